"""Exactness: what clients did, measured by them, against what the telemetry says about it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live.conftest import Start
from tests.live.seen import JIFFY, Seen, links, number, phases
from tests.live.wire import local_port, parse, read_all, read_response, request_bytes

pytestmark = pytest.mark.alone
N = 101
KEEP = {"Connection": "keep-alive"}


def test_second_client_waits_for_the_view_of_the_first(start: Start, seen: Seen) -> None:
    """While an inline view sleeps, the next client's queue wait is the rest of it and the drain."""
    server = start("--dispatch", "inline")
    server.get("/")
    with server.connect() as first:
        first.sendall(request_bytes("/slow?s=1"))
        time.sleep(0.1)  # the scenario; how long it really was is measured
        with server.connect() as second:
            connected = time.monotonic()
            second.sendall(request_bytes("/"))
            view_ended = parse(read_all(first)).json["ended"]
            assert second.recv(1)
            answered = time.monotonic()
            read_all(second)
            waiting = seen.connection_of(local_port(second))
        blocker = seen.connection_of(local_port(first))
    wait = number(waiting, "tcpwatch.phase.accept_queue")
    assert view_ended - connected - JIFFY <= wait
    assert wait <= answered - connected + JIFFY
    assert waiting.attributes["tcpwatch.blocked_by.activity"] == "inline"
    assert waiting.attributes["tcpwatch.blocked_by.count"] == 1
    assert (
        waiting.attributes["tcpwatch.blocked_by.connection.id"]
        == blocker.attributes["tcpwatch.connection.id"]
    )
    assert blocker.span_id in links(waiting)


def test_silent_tls_client_blocks_the_next(start: Start, seen: Seen, certificate: str) -> None:
    """A silent TLS client holds a threaded server's loop: the next wait and a warning say so."""
    server = start("--certificate", certificate, env={"TCPWATCH_STALL": "0.5"})
    server.get("/")
    with server.raw() as silent, server.raw() as second:
        connected = time.monotonic()
        silent_port, second_port = local_port(silent), local_port(second)
        server.wait_stderr("tls_handshake")
        time.sleep(max(0.0, connected + 1 - time.monotonic()))  # the scenario: silent for 1 s
        silent.close()
        released = time.monotonic()
        with server.wrap(second) as secured:
            accepted = time.monotonic()
            secured.sendall(request_bytes("/"))
            assert parse(read_all(secured)).status == 200
    waiting, blocker = seen.connection_of(second_port), seen.connection_of(silent_port)
    wait = number(waiting, "tcpwatch.phase.accept_queue")
    assert released - connected - JIFFY <= wait <= accepted - connected + JIFFY
    assert waiting.attributes["tcpwatch.blocked_by.activity"] == "tls_handshake"
    assert (
        waiting.attributes["tcpwatch.blocked_by.connection.id"]
        == blocker.attributes["tcpwatch.connection.id"]
    )
    assert blocker.attributes["tcpwatch.connection.outcome"] == "tls_failed"
    assert blocker.status == "ERROR"
    assert blocker.attributes["error.type"]


@pytest.mark.parametrize(
    ("dispatch", "family", "scheme"),
    [
        ("inline", "ipv4", "http"),
        ("inline", "ipv6", "https"),
        ("inline", "unix", "http"),
        ("thread", "ipv4", "https"),
        ("thread", "ipv6", "http"),
        ("thread", "unix", "https"),
        ("process", "ipv4", "http"),
        ("process", "ipv4", "https"),
        ("process", "ipv6", "http"),
        ("process", "unix", "http"),
    ],
)
def test_every_request_is_counted_once(
    start: Start,
    seen: Seen,
    certificate: str,
    socket_path: str,
    dispatch: str,
    family: str,
    scheme: str,
) -> None:
    """N requests are N connections, N SERVER spans and N in every counter, however served."""
    flags = ["--dispatch", dispatch, "--family", family]
    flags += ["--path", socket_path] if family == "unix" else []
    flags += ["--certificate", certificate] if scheme == "https" else []
    server = start(*flags)
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: server.get("/").body, range(N)))
    assert answers == [b"hello"] * N
    seen.wait_connections(N)
    seen.wait_requests(N)
    counters = (
        "tcpwatch.connection.accepted",
        "tcpwatch.connection.duration",
        "http.server.request.duration",
    )
    seen.wait("the counters", lambda now: all(now.total(name) >= N for name in counters))
    server.flush()
    assert len(seen.connections) == N
    assert len(seen.requests) == N
    assert {name: seen.total(name) for name in counters} == dict.fromkeys(counters, N)
    ids = [span.attributes["tcpwatch.connection.id"] for span in seen.connections]
    assert len(set(ids)) == N
    assert {span.attributes["tcpwatch.connection.id"] for span in seen.requests} == set(ids)
    one = seen.connections[0].attributes
    assert one["tcpwatch.dispatch"] == dispatch
    assert one["network.transport"] == ("unix" if family == "unix" else "tcp")
    assert one.get("network.type") == (None if family == "unix" else family)
    assert ("tls.protocol.version" in one) == (scheme == "https")
    assert seen.requests[0].attributes["url.scheme"] == scheme


@pytest.mark.parametrize("dispatch", ["inline", "thread", "process"])
def test_phases_sum_to_the_lifetime(start: Start, seen: Seen, dispatch: str) -> None:
    """The phases of a connection do not overlap and leave nothing out."""
    server = start("--dispatch", dispatch, "--server", "plain")
    with server.connect() as client:
        for path in ("/a", "/slow?s=0.05", "/b"):
            client.sendall(request_bytes(path, KEEP))
            read_response(client)
    server.get("/")
    server.connect().close()
    for connection in seen.wait_connections(3):
        assert sum(phases(connection).values()) == pytest.approx(connection.duration, abs=2e-6)


def test_phase_spans_do_not_overlap(start: Start, seen: Seen, certificate: str) -> None:
    """Phase spans lie inside their connection's span, one after another."""
    server = start("--certificate", certificate, env={"TCPWATCH_PHASE_SPAN_MIN": "0"})
    server.get("/stream")
    (connection,) = seen.wait_connections(1)
    bars = sorted(
        (s for s in seen.children(connection) if s.kind == "INTERNAL"), key=lambda s: s.start_ns
    )
    assert {"tls_handshake", "dispatch", "idle", "read_head", "app", "respond", "drain"} <= {
        bar.name for bar in bars
    }
    edges = [connection.start_ns, *(t for bar in bars for t in (bar.start_ns, bar.end_ns))]
    assert edges == sorted(edges)
    assert edges[-1] <= connection.end_ns


def test_fifty_clients_at_once_are_a_convoy(start: Start, seen: Seen) -> None:
    """Many short requests before one's own are a convoy of so many, and nobody's fault."""
    server = start("--dispatch", "inline")
    server.get("/")
    clients = [server.connect() for _ in range(50)]
    for client in clients:
        client.sendall(request_bytes("/"))
    for client in clients:
        read_all(client)
        client.close()
    waited = [
        connection
        for connection in seen.wait_connections(51)
        if number(connection, "tcpwatch.phase.accept_queue") > 0.1
    ]
    assert len(waited) >= 30
    # On a busy machine one request may take half of somebody's wait: then it is to blame alone.
    convoy = [s for s in waited if s.attributes["tcpwatch.blocked_by.activity"] == "convoy"]
    assert len(convoy) >= 0.6 * len(waited)
    assert min(number(span, "tcpwatch.blocked_by.count") for span in convoy) >= 3
    assert not [s for s in convoy if "tcpwatch.blocked_by.connection.id" in s.attributes]


@pytest.mark.parametrize("dispatch", ["inline", "thread", "process"])
def test_keep_alive_is_one_connection(start: Start, seen: Seen, dispatch: str) -> None:
    """Five requests kept alive are one connection span and five SERVER spans, numbered."""
    server = start("--server", "plain", "--dispatch", dispatch)
    with server.connect() as client:
        for number in range(5):
            client.sendall(request_bytes(f"/{number}", KEEP))
            assert read_response(client).status == 200
    (connection,) = seen.wait_connections(1)
    requests = seen.wait_requests(5)
    server.flush()
    assert len(seen.connections) == 1
    assert [span.attributes["tcpwatch.request.sequence"] for span in requests] == [1, 2, 3, 4, 5]
    assert [span.attributes["url.path"] for span in requests] == [f"/{n}" for n in range(5)]
    assert connection.attributes["tcpwatch.connection.requests"] == 5
    assert connection.attributes["tcpwatch.connection.outcome"] == "completed"


def test_a_long_keep_alive_does_not_grow_one_trace(start: Start, seen: Seen) -> None:
    """From the 33rd on, the requests of a connection are roots that link to it."""
    server = start("--server", "plain")
    with server.connect() as client:
        for _ in range(40):
            client.sendall(request_bytes("/", KEEP))
            read_response(client)
    (connection,) = seen.wait_connections(1)
    requests = seen.wait_requests(40)
    assert {span.parent_span_id for span in requests[:32]} == {connection.span_id}
    assert {span.parent_span_id for span in requests[32:]} == {""}
    assert all(connection.span_id in links(span) for span in requests[32:])
