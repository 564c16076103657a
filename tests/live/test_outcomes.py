"""Outcomes: one word for how a connection ended, for each way that no other theme covers."""

from __future__ import annotations

import socket

import pytest

from tcpwatch.view.recording import Span
from tests.live.conftest import Start
from tests.live.seen import Seen
from tests.live.wire import local_port, read_all, read_response, request_bytes, reset

KEEP = {"Connection": "keep-alive"}


def outcome(span: Span) -> tuple[object, str, object]:
    """Return the outcome with what goes with it: the span's status and error.type."""
    told = span.attributes
    return told["tcpwatch.connection.outcome"], span.status, told.get("error.type")


@pytest.mark.parametrize("server", ["flask", "plain", "wsgiref"])
def test_a_connection_without_a_byte_is_no_request(start: Start, seen: Seen, server: str) -> None:
    """A preconnect or a health probe is normal, and makes no request."""
    running = start("--server", server)
    running.connect().close()
    (connection,) = seen.wait_connections(1)
    running.flush()
    assert outcome(connection) == ("no_request", "UNSET", None)
    assert connection.attributes["tcpwatch.connection.requests"] == 0
    assert not seen.requests


def test_a_request_that_stays_unfinished_times_out(start: Start, seen: Seen) -> None:
    """A handler's timeout inside a request is `timeout`, an error."""
    server = start("--server", "plain", "--timeout", "0.2")
    with server.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert read_all(client) == b""
    (connection,) = seen.wait_connections(1)
    told, status, error = outcome(connection)
    assert (told, status) == ("timeout", "ERROR")
    assert error


def test_an_idle_keep_alive_that_times_out_is_completed(start: Start, seen: Seen) -> None:
    """A handler's timeout between requests is how keep-alive ends; before the first, no_request."""
    server = start("--server", "plain", "--timeout", "0.2")
    with server.connect() as served, server.connect() as silent:
        served.sendall(request_bytes("/", KEEP))
        read_response(served)
        assert read_all(served) == read_all(silent) == b""
        assert outcome(seen.connection_of(local_port(served))) == ("completed", "UNSET", None)
        assert outcome(seen.connection_of(local_port(silent))) == ("no_request", "UNSET", None)


@pytest.mark.parametrize("override", ["VerifyRequestOwn", "VerifyRequestSuper"])
def test_a_connection_refused_by_verify_request_is_rejected(
    start: Start, seen: Seen, override: str
) -> None:
    """`verify_request` saying no is `rejected`, however the server overrides it."""
    server = start("--server", "overriding", "--override", override)
    with server.raw(source="127.0.0.2") as client:
        assert read_all(client) == b""
        refused = seen.connection_of(local_port(client))
    assert server.get("/").status == 200
    assert outcome(refused) == ("rejected", "UNSET", None)
    assert [outcome(span)[0] for span in seen.wait_connections(2)] == ["rejected", "completed"]


def test_a_client_that_resets_in_the_queue_is_gone(start: Start, seen: Seen) -> None:
    """A reset while the loop was busy is `client_gone_in_queue`, found at accept."""
    server = start("--dispatch", "inline")
    with server.connect() as busy:
        busy.sendall(request_bytes("/hold"))
        seen.wait("the held request", lambda now: now.total("http.server.active_requests") == 1)
        queued = server.connect()
        port = local_port(queued)
        queued.sendall(request_bytes("/"))
        reset(queued)
        server.tell("release")
        read_all(busy)
    # The kernel forgets the address of a peer that has reset, so the port may be unknown.
    gone = seen.wait_connections(2)[1]
    assert outcome(gone)[:2] == ("client_gone_in_queue", "UNSET")
    assert gone.attributes.get("network.peer.port") in (port, None)


def test_a_half_closed_client_is_served(start: Start, seen: Seen) -> None:
    """A client that has sent everything and shut down its side in the queue is not gone."""
    server = start("--dispatch", "inline")
    with server.connect() as busy, server.connect() as queued:
        busy.sendall(request_bytes("/hold"))
        seen.wait("the held request", lambda now: now.total("http.server.active_requests") == 1)
        queued.sendall(request_bytes("/"))
        queued.shutdown(socket.SHUT_WR)
        server.tell("release")
        read_all(busy)
        assert b"hello" in read_all(queued)
        assert outcome(seen.connection_of(local_port(queued))) == ("completed", "UNSET", None)


@pytest.mark.parametrize("dispatch", ["inline", "thread", "process"])
def test_a_handler_that_raises(start: Start, seen: Seen, dispatch: str) -> None:
    """An exception out of a handler is `handler_error`, however it was dispatched."""
    server = start("--server", "echo", "--dispatch", dispatch)
    assert server.exchange(b"raise\n") == b""
    (connection,) = seen.wait_connections(1)
    assert outcome(connection) == ("handler_error", "ERROR", "RuntimeError")
    assert "the handler failed" in server.stderr


def test_keep_alive_that_the_client_ends_is_completed(start: Start, seen: Seen) -> None:
    """A close between requests is how keep-alive ends."""
    server = start("--server", "plain")
    with server.connect() as client:
        client.sendall(request_bytes("/", KEEP))
        read_response(client)
    assert outcome(seen.wait_connections(1)[0]) == ("completed", "UNSET", None)
