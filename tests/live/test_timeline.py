"""The timeline: each phase of a connection is as long as what the client did to cause it."""

from __future__ import annotations

import time

import pytest

from tests.live.conftest import Start
from tests.live.seen import JIFFY, Seen, number, phases
from tests.live.wire import local_port, parse, read_all, read_response, request_bytes

PAUSE = 0.15
"""Seconds that a client takes over something; what the server sees may be a little more."""
KEEP = {"Connection": "keep-alive"}


def about(seconds: float, late: float = 0.05) -> object:
    """Compare equal to a duration of at least these seconds, less a timer's step, and few more."""
    return pytest.approx(seconds + late / 2 - 0.001, abs=late / 2 + 0.001)


def test_an_idle_server_shows_no_wait_that_nobody_had(start: Start, seen: Seen) -> None:
    """Of 200 requests one after another on a threaded server at most 2 % waited over 1 ms."""
    server = start()
    for _ in range(200):
        with server.connect() as client:
            client.sendall(request_bytes("/"))
            assert read_response(client).body == b"hello"
    waits = [number(s, "tcpwatch.phase.accept_queue") for s in seen.wait_connections(200)]
    assert len(waits) == 200
    assert len([wait for wait in waits if wait > 0.001]) <= 4


def test_a_busy_interpreter_is_a_wait(start: Start, seen: Seen) -> None:
    """With four threads burning the CPU the kernel's wait is reported, and blamed on scheduling."""
    server = start(env={"TCPWATCH_BLAME_MIN": "0.01"})
    server.get("/")
    for _ in range(4):
        server.tell("burn")
    for _ in range(20):
        with server.connect() as client:
            client.sendall(request_bytes("/"))
            read_response(client)
    waited = [
        connection
        for connection in seen.wait_connections(21)
        if number(connection, "tcpwatch.phase.accept_queue") > 2 * JIFFY
    ]
    assert len(waited) >= 5
    blamed = [span.attributes.get("tcpwatch.blocked_by.activity") for span in waited]
    assert blamed.count("scheduler") >= len(blamed) / 3


def test_a_client_that_says_nothing_is_idle(start: Start, seen: Seen) -> None:
    """Time from accept to the first byte is `idle`."""
    server = start()
    server.get("/")
    with server.connect() as client:
        time.sleep(PAUSE)
        client.sendall(request_bytes("/"))
        read_all(client)
        connection = seen.connection_of(local_port(client))
        request = seen.request_of(local_port(client))
    assert phases(connection)["idle"] == about(PAUSE)
    assert request.start_ns - connection.start_ns >= (PAUSE - 0.001) * 1e9


def test_a_slow_head_is_read_head(start: Start, seen: Seen) -> None:
    """Time from the first byte to the end of the headers is `read_head`, in both spans."""
    server = start()
    server.get("/")
    data = request_bytes("/")
    with server.connect() as client:
        client.sendall(data[:10])
        time.sleep(PAUSE)
        client.sendall(data[10:])
        read_all(client)
        connection = seen.connection_of(local_port(client))
        request = seen.request_of(local_port(client))
    assert phases(connection)["read_head"] == about(PAUSE)
    assert phases(request)["read_head"] == pytest.approx(phases(connection)["read_head"], abs=1e-6)
    assert request.duration >= PAUSE - 0.001


def test_a_slow_view_is_app(start: Start, seen: Seen) -> None:
    """Time from the headers to the first byte of the response is `app`."""
    server = start()
    server.get("/")
    with server.connect() as client:
        client.sendall(request_bytes(f"/slow?s={PAUSE}"))
        read_all(client)
        connection = seen.connection_of(local_port(client))
    assert phases(connection)["app"] == about(PAUSE)
    assert phases(connection)["respond"] < 0.02


def test_a_slow_reader_is_respond(start: Start, seen: Seen) -> None:
    """Time that the kernel takes no more bytes of the response is `respond`, and `rwnd_limited`."""
    server = start()
    server.get("/")
    with server.connect() as client:
        client.sendall(request_bytes("/big?n=20000000"))
        time.sleep(PAUSE)
        assert len(read_all(client)) > 20_000_000
        connection = seen.connection_of(local_port(client))
        request = seen.request_of(local_port(client))
    assert phases(connection)["respond"] >= PAUSE - 0.05
    assert phases(request)["respond"] == pytest.approx(phases(connection)["respond"], abs=1e-6)
    assert number(connection, "tcpwatch.tcp.rwnd_limited") > PAUSE / 2
    # What was still in the kernel's buffer when the server closed is unacked, not lost.
    acked = number(connection, "tcpwatch.tcp.bytes_acked")
    assert acked + number(connection, "tcpwatch.tcp.bytes_unacked") > 20_000_000


def test_werkzeug_lingers_in_drain(start: Start, seen: Seen) -> None:
    """The up to 10 ms that werkzeug waits after a response are `drain`, outside of the request."""
    server = start()
    server.get("/")
    with server.connect() as client:
        client.sendall(request_bytes("/"))
        read_all(client)
        connection = seen.connection_of(local_port(client))
        request = seen.request_of(local_port(client))
    assert 0.009 <= phases(connection)["drain"] <= 0.03
    assert request.duration < connection.duration - 0.009


def test_a_stream_lasts_as_long_as_its_chunks(start: Start, seen: Seen) -> None:
    """A streamed response is `respond` from its first chunk to its last, and the span covers it."""
    server = start()
    server.get("/")
    with server.connect() as client:
        client.sendall(request_bytes("/stream"))
        assert b"2\n" in read_all(client)
        connection = seen.connection_of(local_port(client))
        request = seen.request_of(local_port(client))
    assert phases(connection)["respond"] == about(0.2)
    assert request.duration == about(0.2)
    assert number(request, "http.response.status_code") == 200


def test_a_slow_upload_is_body_wait(start: Start, seen: Seen) -> None:
    """Time that a view waits for the body is told apart from the view's own."""
    server = start()
    server.get("/")
    data = request_bytes("/upload", method="POST", body=b"x" * 1000)
    with server.connect() as client:
        client.sendall(data[:-500])
        time.sleep(PAUSE)
        client.sendall(data[-500:])
        assert parse(read_all(client)).json == {"read": 1000}
        request = seen.request_of(local_port(client))
    assert number(request, "tcpwatch.request.body_wait") == about(PAUSE)
    assert phases(request)["app"] >= number(request, "tcpwatch.request.body_wait")


def test_keep_alive_waits_are_idle(start: Start, seen: Seen) -> None:
    """Time between two requests of a connection is `idle` and in no request."""
    server = start("--server", "plain")
    with server.connect() as client:
        for pause in (0, PAUSE):
            time.sleep(pause)
            client.sendall(request_bytes("/", KEEP))
            read_response(client)
        port = local_port(client)
    connection = seen.connection_of(port)
    assert phases(connection)["idle"] == about(PAUSE)
    assert all(request.duration < PAUSE for request in seen.wait_requests(2))


@pytest.mark.parametrize("server", ["flask", "plain"])
def test_a_handshake_has_its_own_phase(
    start: Start, seen: Seen, certificate: str, server: str
) -> None:
    """A TLS handshake that takes its time is `tls_handshake`, not accept_queue."""
    running = start("--server", server, "--certificate", certificate)
    running.get("/")
    with running.raw() as client:
        port = local_port(client)
        time.sleep(PAUSE)
        with running.wrap(client) as secured:
            secured.sendall(request_bytes("/"))
            read_all(secured)
    connection = seen.connection_of(port)
    assert phases(connection)["tls_handshake"] == about(PAUSE)
    assert phases(connection)["accept_queue"] < 0.01
    assert connection.attributes["tls.protocol.name"] == "tls"
    assert connection.attributes["tls.protocol.version"] == "1.3"
    assert connection.attributes["tls.cipher"]
    assert connection.attributes["tls.resumed"] is False


def test_a_protocol_of_its_own_is_handle(start: Start, seen: Seen) -> None:
    """A handler that speaks no HTTP has one phase between dispatch and close: `handle`."""
    server = start("--server", "echo")
    with server.connect() as client:
        port = local_port(client)
        client.sendall(b"one\n")
        assert client.recv(10) == b"one\n"
        time.sleep(PAUSE)
    connection = seen.connection_of(port)
    assert phases(connection)["handle"] == about(PAUSE)
    assert set(phases(connection)) <= {"accept_queue", "dispatch", "handle", "close"}
    assert number(connection, "tcpwatch.tcp.bytes_received") == 4
    assert number(connection, "tcpwatch.tcp.bytes_sent") == 4


def test_a_phase_span_names_the_code_that_ran(start: Start, seen: Seen) -> None:
    """A phase worth a bar is a child span with the method that the server's class runs for it."""
    server = start()
    with server.connect() as client:
        time.sleep(PAUSE)
        client.sendall(request_bytes(f"/slow?s={PAUSE}"))
        read_all(client)
        connection = seen.connection_of(local_port(client))
    bars = {span.name: span for span in seen.children(connection) if span.kind == "INTERNAL"}
    assert {"idle", "app", "drain"} <= set(bars)
    assert all(bar.duration >= 0.0005 for bar in bars.values())
    for bar in bars.values():
        assert bar.attributes["code.function.name"]
        assert str(bar.attributes["code.file.path"]).endswith(".py")
        assert number(bar, "code.line.number") > 0
    assert "run_wsgi" in str(bars["app"].attributes["code.function.name"])


def test_the_connection_span_says_who_and_where(start: Start, seen: Seen) -> None:
    """A connection span is an INTERNAL root with the ends of the connection and its server."""
    server = start()
    with server.connect() as client:
        peer = client.getsockname()
        client.sendall(request_bytes("/"))
        read_all(client)
        connection = seen.connection_of(peer[1])
    told = connection.attributes
    assert (connection.name, connection.kind) == ("tcp.connection", "INTERNAL")
    assert connection.parent_span_id == ""
    assert connection.scope == "tcpwatch"
    assert connection.status == "UNSET"
    assert (told["network.transport"], told["network.type"]) == ("tcp", "ipv4")
    assert (told["network.peer.address"], told["network.peer.port"]) == peer
    assert [told["network.local.address"], told["network.local.port"]] == server.address
    assert [told["server.address"], told["server.port"]] == server.address
    assert told["tcpwatch.server.class"] == "werkzeug.serving.ThreadedWSGIServer"
    assert told["tcpwatch.dispatch"] == "thread"
    assert told["tcpwatch.connection.outcome"] == "completed"
    assert told["tcpwatch.connection.requests"] == 1
    assert told["tcpwatch.accept_queue.limit"] == 128
    assert 0 <= number(connection, "tcpwatch.accept_queue.depth") <= 129
    assert int(str(told["tcpwatch.connection.id"]), 16) > 0
    assert number(connection, "tcpwatch.tcp.handshake_rtt") > 0
    assert number(connection, "tcpwatch.tcp.bytes_received") == len(request_bytes("/"))


def test_the_peer_can_be_left_out(start: Start, seen: Seen) -> None:
    """With TCPWATCH_PEER_ADDRESS=off no span names the client."""
    server = start(env={"TCPWATCH_PEER_ADDRESS": "off"})
    server.get("/")
    spans = [*seen.wait_connections(1), *seen.wait_requests(1)]
    named = {name for span in spans for name in span.attributes}
    assert not named & {"network.peer.address", "network.peer.port", "client.address"}
