"""Agents and gateways: a trace is judged whole, by one gateway; what matters is kept."""

from __future__ import annotations

import re
import time
import urllib.request
from pathlib import Path

import pytest

from stack import jaeger, kubernetes, prometheus
from stack.running import Stack
from tcpwatch import names
from tests.stack.clients import Client, Load, Made

SERVER_KIND = 2
RATE, SECONDS = 40.0, 8.0
HELD = 0.3
WAITING = 5
JUDGED = "otelcol_processor_tail_sampling_global_count_traces_sampled"
TAKEN = "otelcol_receiver_accepted_spans"
BATCHED = 3.0
"""Seconds after a decision in which the batch (one second) has been handed to the queue."""
DECISION = 20.0
"""Seconds: the gateways decide ten after the first span, and then they send."""


def own(metrics: str, name: str) -> float:
    """Return the sum of one of a Collector's own metrics."""
    with urllib.request.urlopen(f"{metrics}/metrics", timeout=10) as answer:
        found = re.findall(rf"^{name}(?:{{\S*)? (\S+)$", answer.read().decode(), re.MULTILINE)
    return sum(map(float, found))


def ports(spans: list[jaeger.Span]) -> set[int]:
    """Return the clients' ports of the connections among these."""
    found = (span for span in spans if span.name == names.SPAN_TCP)
    return {span.attributes[names.NETWORK_PEER_PORT] for span in found}


def one_waited_for(address: str) -> list[Made]:
    """Have one held by its view behind one thread, and others wait for it."""
    paths = [f"/report?s={HELD}", *["/item/1"] * WAITING]
    return [client.answered() for client in [Client(address, path) for path in paths]]


@pytest.mark.timeout(120)
def test_gateways_keep_what_matters_and_all_metrics(
    built: None, tmp_path: Path, figures: list[str]
) -> None:
    """Those who waited and whom they waited for are in Jaeger; of the rest, few; metrics whole."""
    cluster = kubernetes.cluster(tmp_path)
    with Stack(tmp_path, "jaeger", "app", "app-inline", others=cluster) as stack:
        with Load(stack.address("app", 8000), ["/", "/item/1"], RATE) as load:
            load.last(SECONDS)
        made = one_waited_for(stack.address("app-inline", 8001))
        mattered = {each.port for each in made}
        kept = jaeger.wait(
            stack.jaeger, "shop-inline", lambda spans: mattered <= ports(spans), DECISION
        )
        assert mattered <= ports(kept)
        culprit = next(s for s in kept if s.attributes.get(names.NETWORK_PEER_PORT) == made[0].port)
        waited = [span for span in kept if names.BLOCKED_BY_ACTIVITY in span.attributes]
        assert len(waited) == WAITING
        assert all(culprit.trace_id in {trace for trace, _ in span.links} for span in waited)

        ordinary = jaeger.traces(stack.jaeger, "shop")
        share = len(ports(ordinary)) / len(load.made)
        figures.append(f"tail sampling kept {share:.1%} of {len(load.made)} ordinary connections")
        assert 0 < share < 0.2

        # The health check's request has no span; its connection is one of the rest, too.
        asked = ports(ordinary) & {each.port for each in load.made}
        requests = sum(span.kind == SERVER_KIND for span in ordinary)
        assert requests == len(asked), "a trace was judged in parts"

        shares = {name: own(stack.url(name, 8888), TAKEN) for name in kubernetes.GATEWAYS}
        figures.append(f"spans by gateway: {shares}")
        assert min(shares.values()) > 0.3 * max(shares.values())

        accepted = 'sum(tcpwatch_connection_accepted_total{service_name="shop"})'
        wanted = len(load.made) + 1
        found = prometheus.wait(
            stack.prometheus, accepted, lambda found: bool(found) and found[0][1] >= wanted
        )
        assert [value for _, value in found] == [wanted]

        # The rules work on what comes by remote write, at that Prometheus' own interval of 15 s.
        recorded = 'listener:tcpwatch_accept_queue_depth:ratio{service_name="shop"}'
        assert prometheus.wait(stack.prometheus, recorded, bool)


@pytest.mark.timeout(150)
def test_what_a_gateway_could_not_send_outlives_it(built: None, tmp_path: Path) -> None:
    """Jaeger is away and both gateways are killed: their queues are on disk, and are sent later."""
    cluster = kubernetes.cluster(tmp_path)
    with Stack(tmp_path, "jaeger", "app-inline", others=cluster) as stack:
        stack.kill("jaeger")
        made = one_waited_for(stack.address("app-inline", 8001))
        gateways = [stack.url(name, 8888) for name in kubernetes.GATEWAYS]
        deadline = time.monotonic() + DECISION
        while sum(own(gateway, JUDGED) for gateway in gateways) < len(made):
            assert time.monotonic() < deadline, "the gateways have not judged all"
            time.sleep(0.2)  # nobody tells when a trace is judged
        time.sleep(BATCHED)  # the batch's own timer; nobody tells when it has gone to disk
        for name in kubernetes.GATEWAYS:
            stack.kill(name)
        for name in ("jaeger", *kubernetes.GATEWAYS):
            stack.start(name)
        wanted = {each.port for each in made}
        kept = jaeger.wait(stack.jaeger, "shop-inline", lambda spans: wanted <= ports(spans), 40.0)
        assert wanted <= ports(kept)
