"""Clients that are slow, silent or leave: each at its stage, on a full queue, and kept alive."""

from __future__ import annotations

import contextlib
import signal
import socket
import socketserver
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tcpwatch.testing import recording
from tests.apps.handlers import Plain
from tests.hard.apps_a_pair import outcome, talk
from tests.hard.apps_a_watch import LIMIT, serving, watching
from tests.live.conftest import Start
from tests.live.seen import Seen, number, phases
from tests.live.wire import local_port, read_all, read_response, request_bytes

KEEP = {"Connection": "keep-alive"}
UPLOAD = request_bytes("/upload", method="POST", body=b"x" * 1000)
ENOUGH = 300
"""More requests than a connection keeps phases for (64) or a trace children (32)."""

Address = tuple[str, int]
Stage = Callable[[socket.socket], object]


def silent(client: socket.socket) -> None:
    """Say nothing."""


def in_the_line(client: socket.socket) -> None:
    """Stop inside the request line; `GET /` would be all of an HTTP/0.9 request."""
    client.sendall(b"GET")


def in_the_head(client: socket.socket) -> None:
    """Stop inside the headers."""
    client.sendall(b"GET / HTTP/1.1\r\nHost: te")


def in_the_upload(client: socket.socket) -> None:
    """Stop inside the body."""
    client.sendall(UPLOAD[:-500])


def after_the_request(client: socket.socket) -> None:
    """Say everything."""
    client.sendall(request_bytes("/"))


STAGES: dict[Stage, str] = {
    silent: "no_request",
    in_the_line: "client_disconnected",
    in_the_head: "client_disconnected",
    in_the_upload: "client_disconnected",
    after_the_request: "completed",
}


@pytest.mark.parametrize("server", ["flask", "plain"])
@pytest.mark.parametrize("dispatch", ["inline", "thread"])
def test_a_client_that_half_closes_at_any_stage(
    start: Start, seen: Seen, server: str, dispatch: str
) -> None:
    """Answer and log are the bare server's; EOF is a client that left only inside a request."""
    flags = ("--server", server, "--dispatch", dispatch)
    bare, watched = start(*flags, "--install", "never"), start(*flags)
    for stage, expected in STAGES.items():
        port, answers = 0, []
        for running in (bare, watched):
            with running.connect() as client:
                stage(client)
                client.shutdown(socket.SHUT_WR)
                head, _, body = read_all(client).partition(b"\r\n\r\n")
                answers.append((head.split(b"\r\n")[0], body))
                port = local_port(client)
        assert answers[0] == answers[1], stage.__name__
        assert outcome(seen.connection_of(port)) == (expected, "UNSET", None), stage.__name__
    seen.wait_total("tcpwatch.connection.active", 0)


def test_a_head_that_comes_byte_by_byte(start: Start, seen: Seen) -> None:
    """Each byte by itself is one `read_head`, one request, and the bare answer."""
    bare, watched = (
        start("--server", "plain", *install) for install in (("--install", "never"), ())
    )
    data = request_bytes("/")
    port, took, told = 0, 0.0, []
    for server in (bare, watched):
        with server.connect() as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            began = time.monotonic()
            for byte in data:
                client.sendall(bytes([byte]))
            took = time.monotonic() - began
            told.append(read_response(client).body)
            port = local_port(client)
            assert client.recv(1) == b""  # our FIN would count as a byte
    assert told == [b"/", b"/"]
    request, connection = seen.request_of(port), seen.connection_of(port)
    assert 0 < phases(request)["read_head"] <= took + 1
    assert outcome(connection) == ("completed", "UNSET", None)
    assert number(connection, "tcpwatch.tcp.bytes_received") == len(data)


def test_an_idle_socket_holds_a_server_without_threads(start: Start, seen: Seen) -> None:
    """Who connects and says nothing is named as the one for whom the next client waited."""
    server = start("--dispatch", "inline")
    with server.connect() as quiet:
        server.wait_connections(lambda found: [one["phase"] for one in found] == ["idle"])
        with server.connect() as next_one:
            next_one.sendall(request_bytes("/"))
            seen.wait("a queue", lambda now: now.total("tcpwatch.accept_queue.depth") == 1)
            seen.wait("a busy loop", lambda now: now.total("tcpwatch.accept_loop.busy") > 0.2)
            quiet.close()
            assert b"hello" in read_all(next_one)
            waited = seen.connection_of(local_port(next_one))
    blocker, _ = seen.wait_connections(2)
    assert outcome(blocker)[0] == "no_request"
    assert phases(waited)["accept_queue"] > 0.1
    assert waited.attributes["tcpwatch.blocked_by.activity"] == "inline"
    identity = waited.attributes["tcpwatch.blocked_by.connection.id"]
    assert identity == blocker.attributes["tcpwatch.connection.id"]


class Small(socketserver.TCPServer):
    """A queue of five."""

    request_queue_size = 5


def test_a_full_queue_is_told_with_its_limit_and_its_drops() -> None:
    """With a stuck handler the sixth client is the last to get in; who is dropped is counted."""
    with watching() as watch:
        server = Small(("127.0.0.1", 0), Plain)
        with serving(server) as address, ExitStack() as clients:
            stuck = clients.enter_context(socket.create_connection(address, LIMIT))
            stuck.sendall(request_bytes("/", KEEP))
            read_response(stuck)
            queued = [
                clients.enter_context(socket.create_connection(address, LIMIT)) for _ in range(6)
            ]
            late = clients.enter_context(socket.socket())
            late.setblocking(False)
            assert late.connect_ex(address) != 0
            wait = time.monotonic() + LIMIT
            while not sum(watch.metric("tcpwatch.accept_queue.drops").values()):
                assert time.monotonic() < wait
                time.sleep(0.005)  # the kernel cannot be waited for
            assert watch.metric("tcpwatch.accept_queue.depth") == {None: 6}
            assert watch.metric("tcpwatch.accept_queue.limit") == {None: 5}
            late.close()
            # One leaves with a FIN while it is queued: half-closed, so it is served like any other.
            gone, *waiting = queued
            gone.close()
            stuck.close()
            for client in waiting:
                client.sendall(request_bytes("/"))
                assert read_all(client).endswith(b"/")
        found = [dict(span.attributes or {}) for span in watch.connections]
    ends = Counter(attributes["tcpwatch.connection.outcome"] for attributes in found)
    assert ends == {"completed": 6, "no_request": 1}
    # One was accepted at once, then six: each leaves one fewer behind.
    assert [attributes["tcpwatch.accept_queue.depth"] for attributes in found][1:] == [
        *range(5, -1, -1)
    ]


def test_an_unread_body_is_the_next_request(start: Start, seen: Seen) -> None:
    """What a handler leaves unread `http.server` takes for a request; it is told as that."""
    body = request_bytes("/smuggled")
    data = request_bytes("/first", {**KEEP, "Content-Length": str(len(body))}) + body
    answers = [
        talk(start("--server", "plain", *install), data).wire
        for install in (("--install", "never"), ())
    ]
    assert answers[0] == answers[1]
    assert answers[0].count("HTTP/1.1 200") == 2
    first, second = seen.wait_requests(2)
    assert first.attributes["url.path"] == "/first"
    assert second.attributes["url.path"] == "/smuggled"
    (connection,) = seen.wait_connections(1)
    assert connection.attributes["tcpwatch.connection.requests"] == 2


def said(address: Address, data: bytes) -> bytes:
    """Say all of it, then that it was all, and return what came back."""
    with socket.create_connection(address, LIMIT) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


def test_hundreds_of_requests_on_one_connection() -> None:
    """Sent all at once, each is told once and in order, and the phases add up to the lifetime."""
    paths = [f"/{turn}" for turn in range(ENOUGH)]
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Plain)
    data = b"".join(request_bytes(path, KEEP) for path in paths)
    with recording() as sink, serving(server) as address:
        answers = said(address, data)
    assert answers.count(b"HTTP/1.1 200 OK") == ENOUGH
    assert [request.exchanged.target for request in sink.requests] == paths
    (record,) = sink.connections
    assert record.outcome == "completed"
    assert record.requests == ENOUGH
    assert sum(record.phases.values()) == record.end_ns - record.start_ns


def test_duplicate_lengths_and_absurd_forwarding_headers(start: Start, seen: Seen) -> None:
    """Two Content-Lengths, a Forwarded and an X-Forwarded-For of nonsense change nothing."""
    data = (
        b"POST /upload HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 3\r\n"
        b'Content-Length: 3000000000000000000000\r\nForwarded: for=;;by="\r\n'
        b"X-Forwarded-For: ,,\x01, \xff\r\nX-Forwarded-Host: [::\r\n\r\nabc"
    )
    for kind in ("flask", "plain"):
        bare, watched = (
            talk(start("--server", kind, *install), data, half_close=True)
            for install in (("--install", "never"), ())
        )
        assert watched.wire == bare.wire
        connection = seen.connection_of(watched.port)
        assert connection.attributes["tcpwatch.connection.requests"] == 1
        assert seen.request_of(watched.port).attributes["http.request.method"] == "POST"


def test_a_forking_server_that_is_killed_leaves_no_helper(start: Start) -> None:
    """After SIGKILL nobody says goodbye; the helper sees the last sender end, and goes."""
    server = start("--dispatch", "process")
    for _ in range(3):
        assert server.get("/").body == b"hello"
    group = children(server.process.pid)
    assert group
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    deadline = time.monotonic() + LIMIT
    while any(alive(pid) for pid in group):
        assert time.monotonic() < deadline, "the helper has stayed"
        time.sleep(0.01)  # it is nobody's child any longer


def children(pid: int) -> list[int]:
    """Return the processes that one has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in listed.split()]


def alive(pid: int) -> bool:
    """Say whether a process runs; one that waits to be collected does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False
