"""Agents and gateways: a trace is judged whole, by one gateway; what matters is kept."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import pytest

from stack import jaeger, kubernetes, prometheus
from stack.running import Stack
from tcpwatch import names
from tests.stack.clients import Client, Load

SERVER_KIND = 2
RATE, SECONDS = 40.0, 8.0
HELD = 0.3
WAITING = 5
DECISION = 20.0
"""Seconds: the gateways decide ten after the first span, and then they send."""


def accepted_spans(metrics: str) -> float:
    """Return how many spans a Collector has taken, by its own metrics."""
    with urllib.request.urlopen(f"{metrics}/metrics", timeout=10) as answer:
        found = re.findall(
            r"^otelcol_receiver_accepted_spans\S* (\S+)$", answer.read().decode(), re.MULTILINE
        )
    return sum(map(float, found))


@pytest.mark.timeout(120)
def test_gateways_keep_what_matters_and_all_metrics(
    built: None, tmp_path: Path, figures: list[str]
) -> None:
    """Those who waited and whom they waited for are in Jaeger; of the rest, few; metrics whole."""
    cluster = kubernetes.cluster(tmp_path)
    with Stack(tmp_path, "jaeger", "app", "app-inline", others=cluster) as stack:
        address = stack.address("app-inline", 8001)
        with Load(stack.address("app", 8000), ["/", "/item/1"], RATE) as load:
            load.last(SECONDS)
        paths = [f"/report?s={HELD}", *["/item/1"] * WAITING]
        made = [client.answered() for client in [Client(address, path) for path in paths]]

        def ports(spans: list[jaeger.Span]) -> set[int]:
            found = (span for span in spans if span.name == names.SPAN_TCP)
            return {span.attributes[names.NETWORK_PEER_PORT] for span in found}

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

        requests = sum(span.kind == SERVER_KIND for span in ordinary)
        assert requests == len(ports(ordinary)), "a trace was judged in parts"

        shares = {name: accepted_spans(stack.url(name, 8888)) for name in kubernetes.GATEWAYS}
        figures.append(f"spans by gateway: {shares}")
        assert min(shares.values()) > 0.3 * max(shares.values())

        accepted = 'sum(tcpwatch_connection_accepted_total{service_name="shop"})'
        wanted = len(load.made) + 1
        found = prometheus.wait(
            stack.prometheus, accepted, lambda found: bool(found) and found[0][1] >= wanted
        )
        assert [value for _, value in found] == [wanted]
