"""Bad input: the server answers as it would without us, and the telemetry says what it was."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tcpwatch.view.receiver import Receiver
from tcpwatch.view.recording import Recording
from tests.live.conftest import Start, starting
from tests.live.harness import LiveServer
from tests.live.seen import Seen, phases
from tests.live.wire import local_port, read_all, request_bytes, reset

HEAD = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
SERVERS = ["flask", "plain"]


@dataclass(frozen=True)
class Case:
    """Bytes for a server, and what telemetry has to say about them.

    `requests` is how many SERVER spans there are, `status` the code on the last.
    """

    data: bytes
    outcome: str
    requests: int = 1
    status: int | None = None


CASES = {
    "garbage": Case(b"\x00\xff\xfe garbage\r\n\r\n", "bad_request", status=400),
    "one word": Case(b"hello\r\n\r\n", "bad_request", status=400),
    "four words": Case(b"GET / / HTTP/1.1\r\n\r\n", "bad_request", status=400),
    "TLS on a plain port": Case(
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)) + b"\r\n",
        "bad_request",
        status=400,
    ),
    "an overlong request line": Case(
        b"GET /" + b"x" * 70000 + b" HTTP/1.1\r\n\r\n", "bad_request", status=414
    ),
    "too many headers": Case(
        HEAD + b"".join(b"X-%d: x\r\n" % n for n in range(150)) + b"\r\n",
        "bad_request",
        status=431,
    ),
    "an overlong header": Case(
        HEAD + b"X: " + b"x" * 70000 + b"\r\n\r\n", "bad_request", status=431
    ),
    "a version of the future": Case(b"GET / HTTP/9.9\r\n\r\n", "bad_request", status=505),
    "a blank line": Case(b"\r\n", "bad_request", requests=0),
    "nothing": Case(b"", "no_request", requests=0),
    "a malformed traceparent": Case(
        HEAD + b"traceparent: 00-zzzz-\xff-01\r\n\r\n", "completed", status=200
    ),
    "a traceparent of zeros": Case(
        HEAD + b"traceparent: 00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01\r\n\r\n",
        "completed",
        status=200,
    ),
    "headers that are not latin": Case(
        HEAD + "User-Agent: ünï\u2603\r\nX-\u2603: \u2603\r\n\r\n".encode(), "completed", status=200
    ),
    "a host that is none": Case(
        b"GET / HTTP/1.1\r\nHost: [::1:x:\xff\r\nConnection: close\r\n\r\n", "completed", status=200
    ),
    "HTTP/0.9": Case(b"GET /\r\n\r\n", "completed"),
    "a path of bytes": Case(
        b"GET /\xff\xfe%ff%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "completed"
    ),
}


@dataclass(frozen=True)
class Pair:
    """The same server without us and with us, and what the one with us told."""

    bare: LiveServer
    watched: LiveServer
    seen: Seen


@pytest.fixture(scope="module", params=SERVERS)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """Return a pair that all cases share, as a server in the world has to take them all."""
    flags = ("--server", str(request.param))
    folder = tmp_path_factory.mktemp("pair")
    with Receiver(Recording()) as receiver, starting(receiver.endpoint, folder) as start:
        bare, watched = start(*flags, "--install", "never"), start(*flags)
        yield Pair(bare, watched, Seen(receiver.recording))


def answer(server: LiveServer, data: bytes) -> tuple[bytes, int]:
    """Send everything, say that no more will come; return the answer without its date, and a port.

    The port is what the server's telemetry knows the client by.
    """
    with server.connect() as client:
        port = local_port(client)
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # refused before all of it was sent
        return re.sub(rb"\r\nDate: [^\r]*", b"", read_all(client)), port


def assert_nothing_leaks(server: LiveServer, seen: Seen) -> None:
    """Nothing is open, no gauge counts anything, and we have logged nothing after our one line."""
    for name in ("tcpwatch.connection.active", "tcpwatch.handler.active"):
        seen.wait_total(name, 0)
    seen.wait_total("http.server.active_requests", 0)
    server.wait_connections(lambda found: not found)
    assert server.tell("errors") == {}
    ours = [line for line in server.stderr.splitlines() if "tcpwatch" in line]
    assert len(ours) <= 1, ours


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_server_answers_as_without_us(pair: Pair, case: Case) -> None:
    """The same bytes bring the same answer, and the outcome says what they were."""
    got, port = answer(pair.watched, case.data)
    assert got == answer(pair.bare, case.data)[0]
    connection = pair.seen.connection_of(port)
    assert connection.attributes["tcpwatch.connection.outcome"] == case.outcome
    assert connection.attributes["tcpwatch.connection.requests"] == case.requests
    if case.requests:
        request = pair.seen.request_of(port)
        if case.status is not None:
            assert request.attributes["http.response.status_code"] == case.status
            assert request.status == ("ERROR" if case.status >= 500 else "UNSET")
        if case.outcome == "bad_request":
            assert "http.route" not in request.attributes
    assert_nothing_leaks(pair.watched, pair.seen)
    requests = [s for s in pair.seen.requests if s.attributes.get("network.peer.port") == port]
    assert len(requests) == case.requests


def test_an_absurd_method(pair: Pair) -> None:
    """A method that no handler has is refused by http.server, and by Flask, as without us."""
    data = request_bytes("/", method="X" * 300)
    got, port = answer(pair.watched, data)
    assert got == answer(pair.bare, data)[0]
    request = pair.seen.request_of(port)
    assert request.attributes["http.response.status_code"] == int(got.split()[1])
    assert request.attributes["http.response.status_code"] in {405, 501}
    assert request.attributes["http.request.method"] == "_OTHER"


def test_a_refused_request_keeps_nothing_of_the_one_before(start: Start, seen: Seen) -> None:
    """After a good request on a connection a bad one has no path, route, caller or user agent."""
    server = start("--server", "plain")
    with server.connect() as client:
        client.sendall(request_bytes("/good?a=b", {"Connection": "keep-alive", "User-Agent": "me"}))
        client.sendall(b"garbage\r\n\r\n")
        assert b"Bad request syntax" in read_all(client)
    good, bad = seen.wait_requests(2)
    assert good.attributes["url.path"] == "/good"
    assert not {"url.path", "url.query", "http.route", "user_agent.original"} & set(bad.attributes)
    assert bad.attributes["tcpwatch.request.sequence"] == 2
    (connection,) = seen.wait_connections(1)
    assert connection.attributes["tcpwatch.connection.outcome"] == "bad_request"
    assert connection.attributes["error.type"]
    assert connection.status == "UNSET"


Stage = Callable[[socket.socket], None]


def after_connect(_: socket.socket) -> None:
    """Leave having said nothing."""


def in_the_line(client: socket.socket) -> None:
    """Leave inside the request line."""
    client.sendall(b"GET /")


def in_the_head(client: socket.socket) -> None:
    """Leave inside the headers."""
    client.sendall(HEAD)


def in_the_body(client: socket.socket) -> None:
    """Leave inside the upload."""
    client.sendall(request_bytes("/upload", method="POST", body=b"x" * 1000)[:-500])


def in_the_response(client: socket.socket) -> None:
    """Leave inside a response that does not fit into any buffer."""
    client.sendall(request_bytes("/big?n=50000000"))
    client.recv(1000)


def after_the_response(client: socket.socket) -> None:
    """Leave when the response is there, while werkzeug lingers."""
    client.sendall(request_bytes("/"))
    data = b""
    while b"hello" not in data:
        data += client.recv(1000)


STAGES: dict[Stage, set[str]] = {
    # A reset before accept() returned is a client gone in the queue.
    after_connect: {"client_disconnected", "client_gone_in_queue"},
    in_the_line: {"client_disconnected", "client_gone_in_queue"},
    in_the_head: {"client_disconnected", "client_gone_in_queue"},
    in_the_body: {"client_disconnected", "client_gone_in_queue"},
    in_the_response: {"client_disconnected"},
    after_the_response: {"client_disconnected"},
}


@pytest.mark.parametrize("dispatch", ["inline", "thread", "process"])
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_a_client_resets(start: Start, seen: Seen, dispatch: str, stage: Stage) -> None:
    """A reset at any stage is a client that left, no error of ours, and the server goes on."""
    server = start("--dispatch", dispatch)
    server.get("/")
    client = server.connect()
    port = local_port(client)
    stage(client)
    left_ns = time.time_ns()
    reset(client)
    assert server.get("/").body == b"hello"
    gone = seen.connection_of(port)
    expected = STAGES[stage]
    if stage is after_the_response and gone.end_ns - phases(gone)["close"] * 1e9 < left_ns:
        expected = {*expected, "completed"}  # the client took longer than werkzeug lingers
    assert gone.attributes["tcpwatch.connection.outcome"] in expected
    assert gone.status == "UNSET"
    assert "error.type" not in gone.attributes
    assert_nothing_leaks(server, seen)


@pytest.mark.parametrize("kind", SERVERS)
def test_a_head_that_never_ends(start: Start, seen: Seen, kind: str) -> None:
    """A head that stops is open and in read_head until the client leaves."""
    server = start("--server", kind)
    with server.connect() as client:
        client.sendall(HEAD)
        seen.wait(
            "an open head",
            lambda now: now.total("tcpwatch.connection.active", tcpwatch__phase__name="read_head"),
        )
        (snapshot,) = server.connections()
        assert snapshot["phase"] == "read_head"
    (connection,) = seen.wait_connections(1)
    assert connection.attributes["tcpwatch.connection.outcome"] == "client_disconnected"
    assert_nothing_leaks(server, seen)


def test_plain_http_on_a_tls_port(start: Start, seen: Seen, certificate: str) -> None:
    """Bytes that are no handshake are `tls_failed`, an error, and no request."""
    bare = start("--certificate", certificate, "--install", "never")
    watched = start("--certificate", certificate)
    answers = []
    for server in (bare, watched):
        with server.raw() as client:
            client.sendall(request_bytes("/"))
            answers.append(read_all(client))
    assert answers[0] == answers[1]
    (connection,) = seen.wait_connections(1)
    assert connection.attributes["tcpwatch.connection.outcome"] == "tls_failed"
    assert "SSL" in str(connection.attributes["error.type"])
    assert connection.status == "ERROR"
    assert not seen.requests
    assert_nothing_leaks(watched, seen)
