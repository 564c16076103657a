"""The scenario `burst` of load/, by Locust, and what Jaeger and Prometheus then say of it.

It states beforehand what must be seen; here each answer of Prometheus has its question below it.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dashboards.series import label, metric
from stack import jaeger, prometheus
from stack.programs import ROOT
from stack.running import Stack
from tcpwatch import names

LOAD = ROOT / "load"
SCENARIO, SERVICE, NAME, PORT = "burst", "app-inline", "shop-inline", 8001
CLIENTS = "locust"
SERVER_KIND = 2
OF = f'{{service_name="{NAME}"}}'
WAIT = metric(names.M_QUEUE_WAIT)
EVER = "[1h]"
"""Longer than this stack has been there."""


class BurstFailed(RuntimeError):
    """Locust did not do what it was told; its own words are above."""


def burst(stack: Stack, folder: Path) -> int:
    """Run it, its files below `folder`; return how many were answered. Raises BurstFailed."""
    done = subprocess.run(
        [
            *(sys.executable, str(LOAD / "run.py"), SCENARIO),
            *(f"--host={stack.url(SERVICE, PORT)}", "--", "--loglevel=ERROR", "--only-summary"),
            f"--csv={folder / SCENARIO}",
        ],
        env={
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp,
            "OTEL_SERVICE_NAME": CLIENTS,
        },
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        raise BurstFailed(f"exit status {done.returncode} of Locust")
    with (folder / f"{SCENARIO}_stats.csv").open(newline="") as file:
        [total] = [row for row in csv.DictReader(file) if row["Name"] == "Aggregated"]
    return int(total["Request Count"]) - int(total["Failure Count"])


def findings(stack: Stack, answered: int) -> Iterator[str]:
    """Yield what Jaeger and Prometheus say, a sentence each."""

    def complete(spans: list[jaeger.Span]) -> bool:
        return len(_connections(spans)) > answered <= min(map(len, _requests(spans)))

    spans = jaeger.wait(stack.jaeger, NAME, complete)
    connections, (requests, children) = _connections(spans), _requests(spans)
    yield (
        f"Jaeger: {len(connections)} connections (one is the health check's) "
        f"and {len(requests)} requests of {NAME}, {len(children)} of them in a caller's trace"
    )
    prometheus.wait(
        stack.prometheus,
        f"sum({WAIT}_count{OF})",
        lambda found: bool(found) and found[0][1] >= len(connections),
    )
    yield from numbers(stack)
    yield from alerts(stack)
    yield from blockers(connections, requests)
    yield from longest(stack, connections)


def numbers(stack: Stack) -> Iterator[str]:
    """Yield depth against limit, drops, waits and culprits, as Prometheus has them."""

    def ask(query: str) -> list[prometheus.Sample]:
        return prometheus.query(stack.prometheus, query)

    [(_, limit)] = ask(f"max({metric(names.M_QUEUE_LIMIT)}{OF})")
    for query, sentence in (
        (
            f"max(max_over_time({metric(names.M_QUEUE_DEPTH)}{OF}{EVER}))",
            f"connections were in the queue at its fullest, where the limit is {limit:.0f}",
        ),
        (
            f"sum({metric(names.M_QUEUE_DROPS)}{OF})",
            "packets were dropped because it was full; those clients tried again",
        ),
        (
            f'sum({WAIT}_count{OF}) - sum({WAIT}_bucket{{service_name="{NAME}",le="10"}})',
            "connections waited more than 10 s for accept()",
        ),
    ):
        [(_, value)] = ask(query)
        yield f"Prometheus: {value:.0f} {sentence}\n    {query}"
    by = label(names.BLOCKED_BY_ACTIVITY)
    query = f"sort_desc(sum by ({by}) ({metric(names.M_LOOP_BLOCKED_TIME)}{OF}) > 0)"
    culprits = ", ".join(f"{seconds:.1f} s of {labels[by]}" for labels, seconds in ask(query))
    yield f"Prometheus: who was waited for: {culprits}\n    {query}"


def alerts(stack: Stack) -> Iterator[str]:
    """Yield which of the alerts that the scenario states have fired, and which have not."""
    listed = subprocess.run(
        [sys.executable, str(LOAD / "scenarios.py")], capture_output=True, text=True, check=True
    )
    stated = set(json.loads(listed.stdout)[SCENARIO]["alerts"])
    query = f'max by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}{EVER}))'

    def fired(found: list[prometheus.Sample]) -> set[str]:
        return {labels["alertname"] for labels, _ in found}

    found = fired(prometheus.wait(stack.prometheus, query, lambda found: stated <= fired(found)))
    yield f"Prometheus: alerts that fired: {', '.join(sorted(found))}\n    {query}"
    if missing := stated - found:
        yield f"Prometheus: alerts that should have fired: {', '.join(sorted(missing))}"


def blockers(connections: list[jaeger.Span], requests: list[jaeger.Span]) -> Iterator[str]:
    """Yield who was waited for, by the request that its connection carried."""
    asked = {span.attributes[names.CONNECTION_ID]: span.name for span in requests}
    waited, seconds = Counter[str](), Counter[str]()
    for span in connections:
        if (by := span.attributes.get(names.BLOCKED_BY_CONNECTION_ID)) in asked:
            waited[asked[by]] += 1
            seconds[asked[by]] += span.attributes[names.PHASE_PREFIX + names.ACCEPT_QUEUE]
    for request, count in waited.most_common():
        yield f"Jaeger: {count} connections waited {seconds[request]:.1f} s behind {request}"


def longest(stack: Stack, connections: list[jaeger.Span]) -> Iterator[str]:
    """Yield where to look: at who waited longest, at who held the loop, and at its request.

    The request is in its caller's trace; the connection's id is what both have.
    """
    wait = names.PHASE_PREFIX + names.ACCEPT_QUEUE
    behind = [span for span in connections if names.BLOCKED_BY_CONNECTION_ID in span.attributes]
    for span in sorted(behind, key=lambda span: -span.attributes[wait])[:1]:
        where = f"{stack.jaeger}/api/v3/traces"
        seconds = span.attributes[wait]
        yield f"Jaeger: who waited longest, {seconds:.1f} s\n    {where}/{span.trace_id}"
        for trace, _ in span.links:
            yield f"Jaeger: its link leads to who held the loop\n    {where}/{trace}"
        tag = {names.CONNECTION_ID: span.attributes[names.BLOCKED_BY_CONNECTION_ID]}
        search = urllib.parse.urlencode({"service": NAME, "tags": json.dumps(tag)})
        yield f"Jaeger: and what was asked there\n    {stack.jaeger}/api/traces?{search}"


def _connections(spans: list[jaeger.Span]) -> list[jaeger.Span]:
    return [span for span in spans if span.name == names.SPAN_TCP]


def _requests(spans: list[jaeger.Span]) -> tuple[list[jaeger.Span], list[jaeger.Span]]:
    """Return the server's spans, and those of them whose parent is a client's."""
    theirs = {span.span_id for span in spans if span.service == CLIENTS}
    ours = [span for span in spans if span.kind == SERVER_KIND and span.service == NAME]
    return ours, [span for span in ours if span.parent in theirs]
