"""Which panel is meant for which scenario: there it must show something.

Beside the scenarios of load/ these are the servers of `odd`, and a back end that is away. One query
of a panel that is meant for another than the rest has its letter after the title.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.dashboards import asked

DEAF, FEW, LEAKY, HASTY = "deaf", "few", "leaky", "hasty"
RAW, SULKY = "raw", "sulky"
JAEGER_AWAY, JAEGER_SILENT = "jaeger away", "jaeger silent"
COLLECTOR_AWAY, COLLECTOR_FULL = "collector away", "collector full"

MEANT = {
    "accept-loop": {
        "Loop busy": ["ramp", "silent-tls"],
        "Away now": ["burst"],
        "Queue filled": ["burst"],
        "Wait, 1 in 100": ["shoppers", "ramp"],
        "Dropped": ["burst"],
        "accept() failed": [DEAF, FEW],
        "What the loop does": ["ramp", "silent-tls"],
        "Waiting, by culprit": ["ramp", "silent-tls"],
        "Who was waited for, in this range": ["shoppers", "ramp", "burst", "silent-tls"],
        "Away from select": ["burst"],
        "Wait for accept()": ["shoppers", "ramp"],
        "Wait for accept(), all of it": ["shoppers", "ramp"],
        "Queue against its limit": ["burst"],
        "Accepted and dropped": ["burst"],
        "Accepted and dropped C": [DEAF],
        "Connections that waited because of $culprit": ["shoppers", "ramp", "burst"],
    },
    "connections": {
        "Open": ["idle", "slow-heads"],
        "Oldest": ["idle", "slow-heads"],
        "Accepted": ["steady"],
        "Ended badly": ["resets"],
        "Handlers busy": ["idle", "slow-heads"],
        "Kept traces": [LEAKY],
        "Open, by phase": ["idle", "slow-heads"],
        "Oldest, by phase": ["idle", "slow-heads"],
        "Outcomes": ["idle", "resets", "mixed"],
        "Outcomes, in this range": ["idle", "resets", "mixed"],
        "Where the time goes": ["slow-heads", "slow-readers", "uploads"],
        "Duration of connections": ["idle", "slow-heads"],
        "Handlers, by kind": ["idle", "slow-heads"],
        "Kept though not sampled": [LEAKY],
        "Round-trip time": ["steady"],
        "Retransmits": ["losses"],
        "Retransmits of a connection": ["losses"],
        "Phase tls_handshake": ["silent-tls"],
        "Phase dispatch": ["steady"],
        "Phase idle": ["idle"],
        "Phase read_head": ["slow-heads"],
        "Phase app": ["uploads"],
        "Phase respond": ["slow-readers"],
        "Phase drain": ["steady"],
        "Phase close": ["steady"],
        "Phase handle": [RAW],
        "Connections of a second and longer": ["slow-heads", "slow-readers"],
    },
    "process": {
        "Records lost in tcpwatch": [HASTY],
        "Errors in tcpwatch": [SULKY],
        "Spans lost: SDK queue": [HASTY],
        "Spans lost: sending": [COLLECTOR_AWAY],
        "CPU": ["steady", "mixed"],
        "Memory": ["idle", "mixed"],
        "Descriptors and threads": ["idle", LEAKY],
        "Context switches": ["steady", "mixed"],
        "TCP connections of the process, by state": [LEAKY],
        "tcpwatch on serving threads": ["steady", "mixed"],
        "tcpwatch per connection": ["steady", "mixed"],
        "Lost in tcpwatch": [HASTY],
        "Lost in tcpwatch B": [SULKY],
        "Spans lost on the way": [HASTY],
        "Spans lost on the way B": [COLLECTOR_AWAY],
        "Spans lost on the way C": [JAEGER_AWAY],
        "Spans lost on the way D": [JAEGER_SILENT],
        "Spans lost on the way E": [COLLECTOR_FULL],
    },
    "requests": {
        "Requests": ["steady"],
        "Failed": ["mixed"],
        "Duration, 1 in 20": ["shoppers", "uploads", "slow-readers"],
        "Queue wait, 1 in 20": ["shoppers", "ramp"],
        "In flight": ["uploads", "slow-readers"],
        "Requests per connection": ["steady"],
        "Before and in the application (means)": ["shoppers", "ramp"],
        "Before and in the application (means) B": ["silent-tls"],
        "Queue wait beside duration (1 in 20)": ["shoppers", "ramp"],
        "Rate by route": ["steady", "mixed"],
        "Errors by route": ["mixed"],
        "Duration by route (1 in 20)": ["shoppers", "uploads"],
        "Responses by status": ["steady", "mixed"],
        "Duration of requests": ["shoppers", "uploads"],
        "In flight, by method": ["uploads", "slow-readers"],
        "Requests answered with $status": ["mixed"],
    },
    "recorded": {
        "listener:tcpwatch_accept_loop_busy:ratio_rate1m": ["ramp"],
        "listener:tcpwatch_accept_queue_depth:ratio": ["burst"],
        "listener:tcpwatch_accept_queue_wait_time_seconds:p99_rate1m": ["shoppers"],
        "listener:tcpwatch_accept_loop_blocked_time_seconds:rate1m": ["ramp", "silent-tls"],
        "listener:tcpwatch_accept_errors:increase1m": [DEAF, FEW],
        "reason:tcpwatch_self_dropped:increase1m": [HASTY],
        "error_type:otel_sdk_spans_lost:increase1m": [HASTY, COLLECTOR_AWAY],
    },
    "Jaeger": {  # what its data source offers beside a span
        "Waits of this process by culprit": ["shoppers", "ramp"],
        "Wait for accept(), 1 in 20": ["shoppers", "ramp"],
        "Queue depth": ["burst"],
        "Open connections by phase": ["idle", "slow-heads"],
    },
}


def targets() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield where it stands, title and letter, and what is asked, of every query but the alerts'.

    Alerts have scenarios of their own: who states one, and test_alarms.py.
    """
    for path in asked.DASHBOARDS:
        for panel in asked.page(path)["panels"]:
            for target in panel.get("targets", []):
                yield path.stem, f"{panel['title']} {target['refId']}", target
    for name, _ in asked.of_rules():
        if ":" in name:
            yield "recorded", f"{name} A", {"expr": f'{name}{{service_name="$service"}}'}
    for place, query in asked.of_links():
        source, _, name = place.partition(": ")
        yield source, f"{name} A", {"expr": query}


def scenarios_of(dashboard: str, place: str) -> list[str]:
    """Return the scenarios that a query (title and letter) is meant for."""
    of = MEANT[dashboard]
    return of[place] if place in of else of[place.rpartition(" ")[0]]


def meant_for(*names: str) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Return scenario, dashboard, place and query of all that is meant for these."""
    return [
        (name, dashboard, place, target)
        for dashboard, place, target in targets()
        for name in scenarios_of(dashboard, place)
        if name in names
    ]
