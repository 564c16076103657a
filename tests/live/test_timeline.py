"""The timeline: each phase of a connection is as long as what the client did to cause it."""

from __future__ import annotations

import statistics
import time

import pytest

from tests.live.conftest import Start
from tests.live.seen import JIFFY, Seen, number, phases
from tests.live.wire import local_port, parse, read_all, read_response, request_bytes

pytestmark = pytest.mark.alone
PAUSE = 0.15
"""Seconds that a client takes over something."""
STEP = 0.002
"""By so much may two clocks and a timer differ."""
KEEP = {"Connection": "keep-alive"}


class Stopwatch:
    """What the client knows: how long it paused at least, and how long everything took at most."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.paused = 0.0

    def pause(self) -> None:
        """Do nothing for a while: the scenario, not a wait for something to happen."""
        began = time.monotonic()
        time.sleep(PAUSE)
        self.paused += time.monotonic() - began

    def explains(self, seconds: float, late: float = 0.0) -> bool:
        """Say whether this is the duration of the pause.

        A server that got to it late, because it had its other phases to go through, saw less; of
        its queue it may not know what the kernel's clock shows as two ticks, which is under three.
        """
        unknown = 3 * JIFFY if late else 0.0
        shortest = self.paused - late - unknown - STEP
        return shortest <= seconds <= time.monotonic() - self._began + STEP

    def explains_phase(self, told: dict[str, float], name: str) -> bool:
        """Say whether this phase, by far the longest, is the duration of the pause."""
        late = sum(told.values()) - told[name]
        return late < told[name] and self.explains(told[name], late)


def test_an_idle_server_shows_no_wait_that_nobody_had(start: Start, seen: Seen) -> None:
    """Of 200 requests one after another on a threaded server at most 2 % report a wait over 1 ms.

    Except those whose clients had it: the request took at least half of the wait longer than most.
    """
    server = start()
    took: dict[object, float] = {}
    for _ in range(200):
        began = time.monotonic()
        with server.connect() as client:
            client.sendall(request_bytes("/"))
            assert read_response(client).body == b"hello"
            took[local_port(client)] = time.monotonic() - began
    usual = statistics.median(took.values())
    waits = [
        (number(span, "tcpwatch.phase.accept_queue"), took[span.attributes["network.peer.port"]])
        for span in seen.wait_connections(200)
    ]
    nobodys = [wait for wait, seconds in waits if wait > 0.001 and seconds < usual + wait / 2]
    assert len(nobodys) <= 0.02 * len(waits)


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
    assert "scheduler" in blamed


def test_a_client_that_says_nothing_is_idle(start: Start, seen: Seen) -> None:
    """Time from accept to the first byte is `idle`."""
    server = start()
    server.get("/")
    watch = Stopwatch()
    with server.connect() as client:
        watch.pause()
        client.sendall(request_bytes("/"))
        read_all(client)
        assert watch.explains_phase(phases(seen.connection_of(local_port(client))), "idle")
        request = seen.request_of(local_port(client))
        connection = seen.connection_of(local_port(client))
    # The kernel counts the wait from ESTABLISHED on in jiffies; three may be missing.
    assert (request.start_ns - connection.start_ns) / 1e9 >= watch.paused - 3 * JIFFY - STEP


def test_a_slow_head_is_read_head(start: Start, seen: Seen) -> None:
    """Time from the first byte to the end of the headers is `read_head`, in both spans."""
    server = start()
    server.get("/")
    data = request_bytes("/")
    watch = Stopwatch()
    with server.connect() as client:
        client.sendall(data[:10])
        watch.pause()
        client.sendall(data[10:])
        read_all(client)
        connection = seen.connection_of(local_port(client))
        request = seen.request_of(local_port(client))
    assert watch.explains_phase(phases(connection), "read_head")
    assert phases(request)["read_head"] == pytest.approx(phases(connection)["read_head"], abs=1e-6)
    assert request.duration >= phases(request)["read_head"]


def test_a_slow_view_is_app(start: Start, seen: Seen) -> None:
    """Time from the headers to the first byte of the response is `app`."""
    server = start()
    server.get("/")
    with server.connect() as client:
        client.sendall(request_bytes(f"/slow?s={PAUSE}"))
        view = parse(read_all(client)).json
        told = phases(seen.connection_of(local_port(client)))
    slept = view["ended"] - view["began"]
    assert slept <= told["app"] <= slept + sum(told.values()) / 2
    assert told["respond"] < slept


def test_a_slow_reader_is_respond(start: Start, seen: Seen) -> None:
    """Time that the kernel takes no more bytes of the response is `respond`, and `rwnd_limited`."""
    server = start()
    server.get("/")
    watch = Stopwatch()
    with server.connect() as client:
        client.sendall(request_bytes("/big?n=20000000"))
        watch.pause()
        assert len(read_all(client)) > 20_000_000
        connection = seen.connection_of(local_port(client))
        request = seen.request_of(local_port(client))
    # The view makes its 20 MB during the pause, so a little of it is the view's.
    assert phases(connection)["respond"] >= watch.paused / 2
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
    assert phases(connection)["drain"] >= 0.009
    assert request.duration < connection.duration - 0.009


def test_a_stream_lasts_as_long_as_its_chunks(start: Start, seen: Seen) -> None:
    """A streamed response is `respond` from its first chunk to its last, and the span covers it."""
    server = start()
    server.get("/")
    watch = Stopwatch()
    watch.paused = 0.2  # which is the view's: three chunks with 0.1 s between them
    with server.connect() as client:
        client.sendall(request_bytes("/stream"))
        assert b"2\n" in read_all(client)
        connection = seen.connection_of(local_port(client))
        request = seen.request_of(local_port(client))
    assert watch.explains(phases(connection)["respond"])
    assert watch.explains(request.duration)
    assert number(request, "http.response.status_code") == 200


def test_a_slow_upload_is_body_wait(start: Start, seen: Seen) -> None:
    """Time that a view waits for the body is told apart from the view's own."""
    server = start()
    server.get("/")
    data = request_bytes("/upload", method="POST", body=b"x" * 1000)
    watch = Stopwatch()
    with server.connect() as client:
        client.sendall(data[:-500])
        watch.pause()
        client.sendall(data[-500:])
        assert parse(read_all(client)).json == {"read": 1000}
        request = seen.request_of(local_port(client))
    waited, told = number(request, "tcpwatch.request.body_wait"), phases(request)
    assert watch.explains(waited, late=sum(told.values()) - waited)
    assert PAUSE / 2 < waited <= told["app"]


def test_keep_alive_waits_are_idle(start: Start, seen: Seen) -> None:
    """Time between two requests of a connection is `idle` and in no request."""
    server = start("--server", "plain")
    watch = Stopwatch()
    with server.connect() as client:
        port = local_port(client)
        client.sendall(request_bytes("/", KEEP))
        read_response(client)
        watch.pause()
        client.sendall(request_bytes("/", KEEP))
        read_response(client)
    told = phases(seen.connection_of(port))
    # The client may have the first response long before the server goes on.
    assert watch.explains(told["idle"], late=told["respond"] + told["drain"])
    first, second = seen.wait_requests(2)
    gap = (second.start_ns - first.end_ns) / 1e9
    assert gap + first.duration >= watch.paused - STEP
    assert gap >= watch.paused / 2


@pytest.mark.parametrize("server", ["flask", "plain"])
def test_a_handshake_has_its_own_phase(
    start: Start, seen: Seen, certificate: str, server: str
) -> None:
    """A TLS handshake that takes its time is `tls_handshake`, not accept_queue."""
    running = start("--server", server, "--certificate", certificate)
    running.get("/")
    watch = Stopwatch()
    with running.raw() as client:
        port = local_port(client)
        watch.pause()
        with running.wrap(client) as secured:
            secured.sendall(request_bytes("/"))
            read_all(secured)
    connection = seen.connection_of(port)
    assert watch.explains_phase(phases(connection), "tls_handshake")
    assert phases(connection)["accept_queue"] < watch.paused
    assert connection.attributes["tls.protocol.name"] == "tls"
    assert connection.attributes["tls.protocol.version"] == "1.3"
    assert connection.attributes["tls.cipher"]
    assert connection.attributes["tls.resumed"] is False


def test_a_protocol_of_its_own_is_handle(start: Start, seen: Seen) -> None:
    """A handler that speaks no HTTP has one phase between dispatch and close: `handle`."""
    server = start("--server", "echo")
    watch = Stopwatch()
    with server.connect() as client:
        port = local_port(client)
        client.sendall(b"one\n")
        assert client.recv(10) == b"one\n"
        watch.pause()
    connection = seen.connection_of(port)
    assert watch.explains_phase(phases(connection), "handle")
    assert set(phases(connection)) <= {"accept_queue", "dispatch", "handle", "close"}
    assert number(connection, "tcpwatch.tcp.bytes_received") == 4
    assert number(connection, "tcpwatch.tcp.bytes_sent") == 4


def test_a_phase_span_names_the_code_that_ran(start: Start, seen: Seen) -> None:
    """A phase worth a bar is a child span with the method that the server's class runs for it."""
    server = start()
    with server.connect() as client:
        Stopwatch().pause()
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
