"""Streams and corners of WSGI on werkzeug: same bytes and same log as bare, and truly told."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.hard.apps_a_pair import Pair, outcome, pair
from tests.live.seen import number
from tests.live.wire import local_port, request_bytes, reset


class Case(NamedTuple):
    """A path, and what the request's span has to say about it."""

    path: str
    status: int | None
    error: str | None = None
    method: str = "GET"


CASES = (
    Case("generator", 200),
    Case("generator", 200, method="HEAD"),
    Case("empty", 200),
    Case("never_iterated", 500, "RuntimeError"),
    Case("raises_midway", 200, "RuntimeError"),
    Case("close_raises", 200, "RuntimeError"),
    Case("raises", 500, "RuntimeError"),
    Case("raises", 500, "RuntimeError", method="HEAD"),
    Case("no_content", 204),
    Case("no_content", 204, method="HEAD"),
    Case("not_modified", 304),
    Case("length", 200),
    Case("length", 200, method="HEAD"),
    Case("write", 200),
    Case("twice", 500, "AssertionError"),
    Case("never_started", 500, "AssertionError"),
    Case("replaced", 503, "503"),
    Case("too_late", 200, "ValueError"),
    Case("text", 200, "AssertionError"),
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Return a threaded pair that all cases share."""
    with pair(tmp_path_factory.mktemp("corners"), "--server", "corners") as both:
        yield both


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.method} {case.path}")
def test_a_corner_of_wsgi_is_as_without_us(servers: Pair, case: Case) -> None:
    """Bytes and log are the bare server's; the span has the status on the wire and the error."""
    told = servers.same(request_bytes(f"/{case.path}", method=case.method))
    connection, request = servers.spans(told.port)
    assert told.wire.startswith(f"HTTP/1.1 {case.status} ")
    assert outcome(connection) == ("completed", "UNSET", None)
    assert request.attributes["http.response.status_code"] == case.status
    assert request.attributes.get("error.type") == case.error
    assert request.status == ("UNSET" if case.error is None else "ERROR")


def test_a_stream_shows_in_the_gauge_until_its_reader_resets(servers: Pair) -> None:
    """An endless stream is open in `respond`; a reset ends it as a client that left."""
    port = 0
    for server in (servers.bare, servers.watched):
        client = server.connect()
        port = local_port(client)
        client.sendall(request_bytes("/endless"))
        client.recv(1000)
        if server is servers.watched:
            servers.watched.wait_connections(
                lambda found: [open_["phase"] for open_ in found] == ["respond"]
            )
        reset(client)
        server.wait_stderr("reader gone\n")
    connection, request = servers.spans(port)
    assert outcome(connection) == ("client_disconnected", "UNSET", None)
    assert request.attributes["http.response.status_code"] == 200
    servers.seen.wait_total("tcpwatch.connection.active", 0)


def test_a_hijacked_socket_is_left_to_its_new_owner(servers: Pair) -> None:
    """A WebSocket taken from `werkzeug.socket` works; its request has no status and no error."""
    told = servers.same(request_bytes("/hijack"), b"ping")
    connection, request = servers.spans(told.port)
    assert told.wire.endswith("\r\n\r\nping")
    assert outcome(connection) == ("completed", "UNSET", None)
    assert "http.response.status_code" not in request.attributes
    assert request.status == "UNSET"


def test_an_unread_body_is_no_sign_of_anything(servers: Pair) -> None:
    """A body that the view has not read is thrown away by werkzeug, as it is without us."""
    data = request_bytes("/unread", method="POST", body=b"x" * 300_000)
    told = servers.same(data, half_close=True)
    connection, request = servers.spans(told.port)
    assert "not read" in told.wire
    assert outcome(connection) == ("completed", "UNSET", None)
    assert number(connection, "tcpwatch.tcp.bytes_received") == len(data)
    assert request.attributes["http.response.status_code"] == 200


def test_a_body_shorter_than_promised_is_a_client_that_left(servers: Pair) -> None:
    """A view that waits for the rest gets what there is, as without us; the client has gone."""
    data = request_bytes("/read", {"Content-Length": "10"}, method="POST", body=b"only 6")
    told = servers.same(data, half_close=True)
    connection, request = servers.spans(told.port)
    assert told.wire.endswith("6\r\n0\r\n\r\n")
    assert outcome(connection) == ("client_disconnected", "UNSET", None)
    assert request.attributes["http.response.status_code"] == 200


def test_a_view_that_calls_sys_exit_ends_its_thread_only(servers: Pair) -> None:
    """SystemExit in a handler's thread is silent in `threading`; telemetry calls it an error."""
    told = servers.same(request_bytes("/leaves"))
    connection, request = servers.spans(told.port)
    assert told.wire == told.stderr == ""
    assert outcome(connection) == ("handler_error", "ERROR", "SystemExit")
    assert request.attributes["error.type"] == "SystemExit"


@pytest.mark.parametrize("path", ["raises", "raises_midway", "close_raises"])
def test_the_debugger_shows_what_it_shows_without_us(tmp_path: Path, path: str) -> None:
    """With werkzeug's debugger the page has the same frames, and the answer is an error's."""
    with pair(tmp_path, "--server", "debugger") as both:
        told = both.same(request_bytes(f"/{path}"))
        connection, request = both.spans(told.port)
        assert outcome(connection)[0] == "completed"
        if path == "raises":
            assert request.attributes["http.response.status_code"] == 500
            assert request.status == "ERROR"
            assert "RuntimeError" in told.wire


@pytest.mark.parametrize(
    ("path", "message"),
    [("raises", "at once"), ("raises_midway", "midway"), ("close_raises", "in close")],
)
def test_errors_that_pass_through_are_handler_errors(
    tmp_path: Path, path: str, message: str
) -> None:
    """With passthrough_errors a view's exception ends the thread with the same traceback."""
    with pair(tmp_path, "--server", "passthrough") as both:
        told = both.same(request_bytes(f"/{path}"), log=f"RuntimeError: {message}\n")
        connection, request = both.spans(told.port)
        assert outcome(connection) == ("handler_error", "ERROR", "RuntimeError")
        assert request.attributes["error.type"] == "RuntimeError"


def test_an_error_that_passes_through_ends_an_inline_server(tmp_path: Path) -> None:
    """Without threads it ends the process, with the bare status and traceback, and is exported."""
    with pair(tmp_path, "--server", "passthrough", "--dispatch", "inline") as both:
        told = both.same(request_bytes("/raises"), log="RuntimeError: at once\n")
        assert both.watched.wait() == both.bare.wait() != -signal.SIGKILL
        connection, request = both.spans(told.port)
        assert outcome(connection) == ("handler_error", "ERROR", "RuntimeError")
        assert request.attributes["error.type"] == "RuntimeError"
