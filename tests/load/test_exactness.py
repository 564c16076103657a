"""A run of Locust of known size: Jaeger has what was made, no more and no less."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from dataclasses import dataclass

import pytest

import run
from scenarios import PORTS, SCENARIOS
from stack import jaeger
from stack.jaeger import Span
from stack.running import Stack
from tcpwatch import names

pytestmark = [pytest.mark.timeout(150), pytest.mark.usefixtures("locust_there")]
CLIENTS, SERVER = "locust", "shop"
SERVER_KIND = 2
SECONDS = 8


@dataclass
class Seen:
    """How many requests Locust has counted, and what Jaeger has of them."""

    made: int
    connections: dict[str, Span]
    """By tcpwatch.connection.id, as the requests are."""
    requests: dict[str, Span]
    clients: dict[str, Span]
    """By span id."""
    spans: list[Span]


def played(stack: Stack) -> int:
    """Run `steady` for a while, to its clients' last answer; return how many there were."""
    steady = SCENARIOS["steady"]
    host = f"http://{stack.address(steady.service, PORTS[steady.service])}"
    more = (f"--run-time={SECONDS}s", "--stop-timeout=30", "--skip-log", "--json")
    done = subprocess.run(
        run.command("steady", steady, host, *more),
        env={
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp,
            "OTEL_SERVICE_NAME": CLIENTS,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)
    assert not any(row["num_failures"] for row in rows), rows
    return sum(row["num_requests"] for row in rows)


def by_connection(spans: list[Span]) -> dict[str, Span]:
    """Return spans by their connection; a second one of the same would be a surprise."""
    found = [(span.attributes[names.CONNECTION_ID], span) for span in spans]
    assert set(Counter(cookie for cookie, _ in found).values()) <= {1}
    return dict(found)


@pytest.fixture(scope="module")
def seen(stack: Stack) -> Seen:
    """What Jaeger has, as soon as it has as much as was made; what is older is left out."""
    began = time.time()
    made = played(stack)

    def since(spans: list[Span]) -> list[Span]:
        return [span for span in spans if span.start >= began]

    def complete(spans: list[Span]) -> bool:
        kinds = Counter(
            (span.service, span.name if span.name == names.SPAN_TCP else span.kind)
            for span in since(spans)
        )
        wanted = ((SERVER, names.SPAN_TCP), (SERVER, SERVER_KIND))
        return all(kinds[kind] >= made for kind in wanted)

    spans = since(jaeger.wait(stack.jaeger, SERVER, complete))
    mine = [span for span in spans if span.service == SERVER]
    return Seen(
        made,
        by_connection([span for span in mine if span.name == names.SPAN_TCP]),
        by_connection([span for span in mine if span.kind == SERVER_KIND]),
        {span.span_id: span for span in spans if span.service == CLIENTS},
        mine,
    )


def test_there_are_as_many_connections_and_requests_as_locust_has_counted(seen: Seen) -> None:
    """One each: the server closes after every response; each connection has ended well."""
    assert seen.made > 100
    assert len(seen.connections) == len(seen.requests) == len(seen.clients) == seen.made
    assert set(seen.connections) == set(seen.requests)
    outcomes = {span.attributes[names.CONNECTION_OUTCOME] for span in seen.connections.values()}
    assert outcomes == {names.COMPLETED}


def test_each_request_is_in_its_callers_trace_and_linked_to_its_connection(seen: Seen) -> None:
    """Parent and child are one to one."""
    assert {span.parent for span in seen.requests.values()} == set(seen.clients)
    for cookie, span in seen.requests.items():
        caller, connection = seen.clients[span.parent], seen.connections[cookie]
        assert span.trace_id == caller.trace_id
        assert span.links == {(connection.trace_id, connection.span_id)}
        assert caller.start <= span.start + 0.001


def test_the_phases_are_the_connections_whole_life(seen: Seen) -> None:
    """Their seconds add up to it, and the phases that have spans are its children."""
    ids = {span.span_id: span for span in seen.connections.values()}
    phases = [span for span in seen.spans if span.name in names.PHASES]
    assert phases
    for phase in phases:
        connection = ids[phase.parent]
        assert phase.trace_id == connection.trace_id
        told = connection.attributes[names.PHASE_PREFIX + phase.name]
        assert phase.seconds <= told + 1e-5
    for connection in seen.connections.values():
        spent = sum(
            seconds
            for name, seconds in connection.attributes.items()
            if name.startswith(names.PHASE_PREFIX) and name != names.PHASE_DROPPED
        )
        assert spent == pytest.approx(connection.seconds, abs=1e-4)
