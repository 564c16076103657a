"""What Jaeger has is what was done: connections, requests, parents, links, phases."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

import pytest

from stack import jaeger, prometheus
from stack.jaeger import Span
from stack.running import Stack
from tcpwatch import names
from tests.stack import clients
from tests.stack.clients import Client, Made

SERVER_KIND = 2
ROUTES = {"/": "GET /", "/item/1": "GET /item/<int:number>", "/report?s=0.01": "GET /report"}
CLIENTS = 4
ROUNDS = 10
CONNECTIONS = CLIENTS * ROUNDS * len(ROUTES)
AHEAD = 0.3
"""Seconds that the first client holds the server of one thread."""


@dataclass
class Seen:
    """What was made, and what of it Jaeger has."""

    made: list[Made]
    spans: list[Span]

    def connections(self) -> dict[int, Span]:
        """Return the connection spans by the client's port; a second one would be a surprise."""
        found = [span for span in self.spans if span.name == names.SPAN_TCP]
        ports = Counter(span.attributes[names.NETWORK_PEER_PORT] for span in found)
        assert set(ports.values()) == {1}
        return {span.attributes[names.NETWORK_PEER_PORT]: span for span in found}

    def requests(self) -> dict[int, Span]:
        """Return the request spans by the client's port; a second one would be a surprise."""
        found = [span for span in self.spans if span.kind == SERVER_KIND]
        ports = Counter(span.attributes[names.NETWORK_PEER_PORT] for span in found)
        assert set(ports.values()) == {1}
        return {span.attributes[names.NETWORK_PEER_PORT]: span for span in found}


def look(stack: Stack, service: str, made: list[Made]) -> Seen:
    """Wait until Jaeger has as many connections and requests as were made; leave out older ones."""
    began = min(each.began for each in made)

    def since(spans: list[Span]) -> list[Span]:
        # The health check's connection came before and is over: nothing of its trace is newer.
        return [span for span in spans if span.start >= began - 0.1]

    def complete(spans: list[Span]) -> bool:
        found = since(spans)
        enough = len(made)
        return (
            sum(span.name == names.SPAN_TCP for span in found) >= enough
            and sum(span.kind == SERVER_KIND for span in found) >= enough
        )

    return Seen(made, since(jaeger.wait(stack.jaeger, service, complete)))


@pytest.fixture(scope="module")
def threaded(stack: Stack) -> Seen:
    """Requests of four clients at a time; half of the clients send a traceparent."""
    made: list[Made] = []
    with clients.tracer(stack.otlp) as tracer:

        def work(number: int) -> None:
            for path in [*ROUTES] * ROUNDS:
                traced = tracer if number % 2 else None
                made.append(Client(stack.address("app", 8000), path, traced).answered())

        threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(made) == CONNECTIONS
    return look(stack, "shop", made)


def test_each_connection_is_there_once_and_no_other_is(threaded: Seen) -> None:
    """Jaeger has the connections that were made, by their ports, and how each ended."""
    found = threaded.connections()
    assert set(found) == {made.port for made in threaded.made}
    for span in found.values():
        assert span.attributes[names.CONNECTION_OUTCOME] == names.COMPLETED
        assert span.attributes[names.CONNECTION_REQUESTS] == 1


def test_each_request_is_there_once_and_no_other_is(threaded: Seen) -> None:
    """Jaeger has the request of each connection, by its route, and no more."""
    found = {port: span.name for port, span in threaded.requests().items()}
    assert found == {made.port: ROUTES[made.path] for made in threaded.made}


def test_a_request_without_a_caller_is_a_child_of_its_connection(threaded: Seen) -> None:
    """Where no traceparent came, the connection's trace holds the request."""
    connections, requests = threaded.connections(), threaded.requests()
    alone = [made for made in threaded.made if not made.trace_id]
    assert len(alone) == CONNECTIONS // 2
    for made in alone:
        connection, span = connections[made.port], requests[made.port]
        assert (span.trace_id, span.parent) == (connection.trace_id, connection.span_id)


def test_the_callers_trace_holds_both_sides(threaded: Seen, stack: Stack) -> None:
    """With a traceparent the trace is the caller's: its span, ours below, and a link."""
    connections, requests = threaded.connections(), threaded.requests()
    called = [made for made in threaded.made if made.trace_id]
    assert len(called) == CONNECTIONS // 2
    for made in called:
        connection, span = connections[made.port], requests[made.port]
        assert (span.trace_id, span.parent) == (made.trace_id, made.span_id)
        assert (connection.trace_id, connection.span_id) in span.links
        assert {s.service: s.span_id for s in jaeger.trace(stack.jaeger, made.trace_id)} == {
            "client": made.span_id,
            "shop": span.span_id,
        }


def test_phases_are_children_and_add_up(threaded: Seen) -> None:
    """Each phase's span is a child as long as the connection says; all phases are its lifetime."""
    found = {span.span_id: span for span in threaded.connections().values()}
    phases = [span for span in threaded.spans if span.name in names.PHASES]
    assert {span.name for span in phases} >= {names.APP}
    for span in phases:
        total = found[span.parent].attributes[names.PHASE_PREFIX + span.name]
        assert 0 < span.seconds <= total + 1e-6
    for connection in found.values():
        parts = [
            seconds
            for key, seconds in connection.attributes.items()
            if key.startswith(names.PHASE_PREFIX) and key != names.PHASE_DROPPED
        ]
        assert sum(parts) == pytest.approx(connection.seconds, abs=1e-4)


def test_who_waited_is_linked_to_who_was_served(stack: Stack) -> None:
    """Behind one thread, the connections that waited name the one that held it, and link to it."""
    address = stack.address("app-inline", 8001)
    paths = (f"/report?s={AHEAD}", "/item/1", "/item/2")
    made = [client.answered() for client in [Client(address, path) for path in paths]]
    seen = look(stack, "shop-inline", made)
    found = seen.connections()
    culprit, *waited = (found[each.port] for each in made)
    for waiting in waited:
        assert waiting.attributes[names.PHASE_PREFIX + names.ACCEPT_QUEUE] >= AHEAD / 2
        assert waiting.attributes[names.BLOCKED_BY_ACTIVITY] == names.INLINE
        culprit_id = culprit.attributes[names.CONNECTION_ID]
        assert waiting.attributes[names.BLOCKED_BY_CONNECTION_ID] == culprit_id
        assert (culprit.trace_id, culprit.span_id) in waiting.links


def test_prometheus_has_as_many_and_exemplars_lead_to_jaeger(threaded: Seen, stack: Stack) -> None:
    """Metrics count each connection and request; a histogram's exemplar is a trace in Jaeger."""
    probe = 1  # the health check's connection; its request is left out
    for name, wanted in (
        ("tcpwatch_connection_accepted_total", CONNECTIONS + probe),
        ("http_server_request_duration_seconds_count", CONNECTIONS),
    ):
        query = f'sum({name}{{service_name="shop",service_instance_id="shop-1"}})'
        found = prometheus.wait(
            stack.prometheus,
            query,
            lambda found: bool(found) and found[0][1] >= wanted,  # noqa: B023 - used at once
        )
        assert [value for _, value in found] == [wanted], name
    series = 'tcpwatch_accept_queue_wait_time_seconds_bucket{service_name="shop"}'
    exemplars = prometheus.exemplars(stack.prometheus, series)
    known = {span.trace_id for span in threaded.spans}
    assert exemplars
    assert {exemplar["labels"]["trace_id"] for exemplar in exemplars} & known
