"""What a panel showed: its very query, asked with what Grafana would put in."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from typing import Any

from stack import prometheus
from stack.prometheus import Sample
from stack.running import Stack
from tests.dashboards import asked

RATE = 20
"""Seconds of $__rate_interval: Grafana takes four times the interval of export."""
CHOSEN = {"$culprit": "inline", "$status": "500"}
"""What is chosen above the lists of traces."""


def most(stack: Stack, query: str, service: str, began: float, until: float) -> list[Sample]:
    """Return the largest values that a query had between two moments, by series."""
    seconds = max(int(until - began), 1)
    chosen = {"service": service, "__rate_interval": f"{RATE}s", "__range": f"{seconds}s"}
    expression = asked.choose(query, **chosen)
    if "$__range" not in query:
        expression = f"max_over_time(({expression})[{seconds}s:1s])"
    found = prometheus.query(stack.prometheus, expression, until)
    return [(labels, value) for labels, value in found if value == value]  # not NaN: 0 / 0  # noqa: PLR0124


def traces(stack: Stack, search: dict[str, Any], service: str, began: float, until: float) -> int:
    """Return how many traces a list of them had, asked as Grafana's Jaeger data source asks."""
    pairs = (pair.partition("=") for pair in search.get("tags", "").split())
    said = {
        "service": service,
        "start": int(began * 1e6),
        "end": int(until * 1e6),
        "limit": search["limit"],
        "operation": search.get("operation"),
        "minDuration": search.get("minDuration"),
        "tags": json.dumps({key: CHOSEN.get(value, value) for key, _, value in pairs}),
    }
    words = urllib.parse.urlencode({key: value for key, value in said.items() if value})
    with urllib.request.urlopen(f"{stack.jaeger}/api/traces?{words}", timeout=30) as answer:
        return len(json.load(answer)["data"])


def something(
    stack: Stack, target: dict[str, Any], service: str, began: float, until: float
) -> bool:
    """Say whether a query of a panel showed more than nothing between two moments."""
    if target.get("queryType") == "search":
        return traces(stack, target, service, began, until) > 0
    return any(value > 0 for _, value in most(stack, target["expr"], service, began, until))
