"""Metrics: the names, units and kinds of the contract, true to the traffic, and back to zero."""

from __future__ import annotations

import time

import pytest

from tcpwatch import names
from tcpwatch.view.signals import Point
from tests.contract import METRICS
from tests.live.conftest import Start
from tests.live.seen import Seen, number
from tests.live.wire import deaf, local_port, read_all, request_bytes

CONDITIONAL = {
    "tcpwatch.accept.errors": "only when accept failed",
    "tcpwatch.self.dropped": "only when something was dropped",
    "tcpwatch.self.errors": "only when something of ours failed",
    "tcpwatch.process.connection.count": "off by default",
}
LISTENER = {"server.address", "server.port", "network.type", "network.transport"}
EXTRA = {
    "tcpwatch.connection.active": {"tcpwatch.phase.name"},
    "tcpwatch.connection.oldest": {"tcpwatch.phase.name"},
    "tcpwatch.connection.duration": {"tcpwatch.connection.outcome"},
    "tcpwatch.connection.phase.duration": {"tcpwatch.phase.name"},
    "tcpwatch.accept_loop.time": {"tcpwatch.loop.state"},
    "tcpwatch.accept_loop.blocked_time": {"tcpwatch.blocked_by.activity"},
    "tcpwatch.connection.kept": {"tcpwatch.kept.reason"},
    "tcpwatch.handler.active": {"tcpwatch.dispatch"},
}
FORBIDDEN = {
    "network.peer.address",
    "network.peer.port",
    "client.address",
    "url.path",
    "url.query",
    "http.request.method_original",
    "tcpwatch.connection.id",
}
LOSS = 1.0
"""Seconds for which a line loses everything; the kernel sends again after 0.2 s."""
GAUGES = (
    "tcpwatch.connection.active",
    "tcpwatch.handler.active",
    "http.server.active_requests",
)


def all_zero(now: Seen) -> bool:
    """Say whether no gauge counts anything."""
    return not any(now.total(name) for name in GAUGES)


@pytest.fixture
def busy(start: Start, seen: Seen) -> Seen:
    """Return what is seen of an inline server on which one client had to wait for another."""
    server = start("--dispatch", "inline")
    with server.connect() as first:
        first.sendall(request_bytes("/slow?s=0.5"))
        with server.connect() as second, server.connect() as third:
            second.sendall(request_bytes("/item/7"))
            third.sendall(request_bytes("/boom"))
            # While all this goes on, the gauges have something to say.
            seen.wait("a busy loop", lambda now: now.total("tcpwatch.accept_loop.busy") > 0)
            seen.wait("a queue", lambda now: now.total("tcpwatch.accept_queue.depth") == 2)
            seen.wait("a handler", lambda now: now.total("tcpwatch.handler.active") == 1)
            seen.wait("a request", lambda now: now.total("http.server.active_requests") == 1)
            seen.wait(
                "an open connection in `app`",
                lambda now: (
                    now.total("tcpwatch.connection.active", tcpwatch__phase__name="app") == 1
                ),
            )
            for client in (first, second, third):
                read_all(client)
    seen.wait_connections(3)
    seen.wait("the counters", lambda now: now.total("tcpwatch.connection.duration") == 3)
    return seen


def test_every_metric_of_the_contract_is_there(busy: Seen) -> None:
    """After traffic each metric of the contract exists, with its unit and its instrument's kind."""
    missing = set(METRICS) - set(CONDITIONAL)
    busy.wait("every metric", lambda now: missing <= {p.name for p in now.recording.points()})
    ours = [point for point in busy.recording.points() if point.scope == "tcpwatch"]
    assert {point.name for point in ours} <= set(METRICS)
    for point in ours:
        metric = METRICS[point.name]
        assert point.kind == metric.kind, point.name
        assert point.unit == metric.unit, point.name
        if metric.kind == "sum":
            assert point.monotonic == metric.monotonic, point.name
        if metric.bounds:
            assert point.bounds == metric.bounds, point.name


def test_attributes_are_those_of_the_listener(busy: Seen) -> None:
    """Our metrics carry the listener's four attributes and their own; none tells one client."""
    busy.wait("blocked time", lambda now: now.points("tcpwatch.accept_loop.blocked_time"))
    for point in busy.recording.points():
        assert not FORBIDDEN & set(point.attributes), point.name
        if point.name.startswith(("tcpwatch.connection.", "tcpwatch.accept", "tcpwatch.handler.")):
            wanted = LISTENER | EXTRA.get(point.name, set())
            assert set(point.attributes) - {"error.type"} == wanted, point.name
        if point.name.startswith(("process.", "tcpwatch.self.")):
            assert not LISTENER & set(point.attributes), point.name


def test_histograms_count_what_happened(busy: Seen) -> None:
    """Three connections are three waits, lengths, lifetimes, round trips, and three requests."""
    for name in (
        "tcpwatch.connection.accepted",
        "tcpwatch.accept_queue.wait_time",
        "tcpwatch.accept_queue.length",
        "tcpwatch.connection.duration",
        "tcpwatch.connection.rtt",
        "tcpwatch.connection.retransmits",
        "http.server.request.duration",
    ):
        busy.wait_total(name, 3)
    phase = "tcpwatch.connection.phase.duration"
    assert busy.total(phase, tcpwatch__phase__name="app") == 3
    assert busy.total(phase, tcpwatch__phase__name="accept_queue") == 0
    failed = busy.points("http.server.request.duration", http__route="/boom")
    assert [point.attributes["http.response.status_code"] for point in failed] == [500]
    assert [point.attributes["error.type"] for point in failed] == ["RuntimeError"]


def test_what_is_sent_again_is_counted_where_it_happened(start: Start, seen: Seen) -> None:
    """Of two connections one loses what comes for it: the metric counts what its span tells."""
    server = start("--dispatch", "thread")
    server.get("/")
    with server.connect() as client:
        with deaf(client):
            client.sendall(request_bytes("/big?n=16000000"))
            time.sleep(LOSS)
        read_all(client)
    spans = seen.wait_connections(2)
    name = "tcpwatch.connection.retransmits"
    seen.wait(name, lambda now: sum(point.count for point in now.points(name)) == 2)
    again = sorted(number(span, "tcpwatch.tcp.retransmits") for span in spans)
    assert again[0] == 0
    assert again[1] > 0
    [point] = seen.points(name)
    assert point.sum == sum(again)
    assert point.bucket_counts[0] == 1


def test_blocked_time_names_the_culprit(busy: Seen) -> None:
    """The seconds that queued clients waited behind the slow view are counted for `inline`."""
    blocked = "tcpwatch.accept_loop.blocked_time"
    inline = {"tcpwatch__blocked_by__activity": "inline"}
    busy.wait(blocked, lambda now: now.total(blocked, **inline) > 0.8)
    assert busy.total(blocked) < 1.3


@pytest.mark.parametrize("dispatch", ["inline", "thread", "process"])
@pytest.mark.parametrize(
    ("name", "attribute", "wanted"),
    [
        ("tcpwatch.accept_loop.blocked_time", "tcpwatch.blocked_by.activity", names.CULPRITS),
        ("tcpwatch.connection.kept", "tcpwatch.kept.reason", names.KEPT_REASONS),
    ],
)
def test_what_is_known_beforehand_is_counted_from_0(
    start: Start, seen: Seen, dispatch: str, name: str, attribute: str, wanted: tuple[str, ...]
) -> None:
    """Before anybody waits or is kept each culprit and reason is there, so the first is growth."""
    server = start("--dispatch", dispatch)
    server.get("/")
    seen.wait(name, lambda now: now.points(name))
    counted = {point.attributes[attribute]: point.value for point in seen.points(name)}
    assert set(counted) == set(wanted)
    assert not any(count for what, count in counted.items() if what != names.BLAME_SCHEDULER)


def spent(points: list[Point], *states: str) -> float:
    """Return the seconds of the accept loop in these states, or in all."""
    return sum(
        point.value or 0
        for point in points
        if not states or point.attributes["tcpwatch.loop.state"] in states
    )


def test_the_loops_time_adds_up(start: Start, seen: Seen) -> None:
    """The accept loop's seconds by state grow by one each second."""
    server = start("--dispatch", "inline")
    name = "tcpwatch.accept_loop.time"
    server.get("/")
    seen.wait("the first sum", lambda now: now.total(name) > 0)
    first = seen.points(name)
    began = time.monotonic()
    server.get("/slow?s=0.6")
    took = time.monotonic() - began
    server.flush()
    last = seen.points(name)
    elapsed = (last[0].time_ns - first[0].time_ns) / 1e9
    assert spent(last) - spent(first) == pytest.approx(elapsed, abs=0.2)
    # The loop goes back to select a moment after the client has its answer.
    assert 0.599 <= spent(last, "inline") - spent(first, "inline") <= took + 0.1


@pytest.mark.parametrize("dispatch", ["inline", "thread", "process"])
def test_gauges_return_to_zero(start: Start, seen: Seen, dispatch: str) -> None:
    """When all connections are closed nothing is active."""
    server = start("--dispatch", dispatch, "--server", "plain")
    with server.connect() as client:
        client.sendall(request_bytes("/", {"Connection": "keep-alive"}))
        seen.wait("an open one", lambda now: now.total("tcpwatch.connection.active") == 1)
        assert server.wait_connections(bool)
        port = local_port(client)
    seen.connection_of(port)
    seen.wait("zeros", all_zero)
    assert server.connections() == []


def test_accept_errors_are_counted(start: Start, seen: Seen, certificate: str) -> None:
    """What socketserver swallows at accept, a failed handshake, is counted by its error."""
    server = start("--certificate", certificate)
    with server.raw() as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        read_all(client)
    seen.wait("the error", lambda now: now.total("tcpwatch.accept.errors") == 1)
    (point,) = seen.points("tcpwatch.accept.errors")
    assert "SSL" in str(point.attributes["error.type"])
    assert seen.total("tcpwatch.connection.accepted") == 1


def test_exemplars_lead_to_traces(busy: Seen) -> None:
    """A point of the wait's histogram holds the trace of a connection that was exported."""
    traces = {connection.trace_id for connection in busy.connections}
    exemplars = {
        exemplar.trace_id
        for name in ("tcpwatch.accept_queue.wait_time", "tcpwatch.connection.duration")
        for point in busy.recording.history(name)
        for exemplar in point.exemplars
    }
    assert exemplars & traces
