"""Each scenario, run by Locust on a real server, has the effect that it states.

The very queries of the panels are asked of the real Prometheus, with what Grafana would put in.
"""

from __future__ import annotations

import logging
import os
import subprocess
import time
from dataclasses import dataclass
from typing import Any

import pytest

import run
from scenarios import PORTS, SCENARIOS
from stack import jaeger, prometheus
from stack.running import Stack
from stated import Scenario, Shown
from tcpwatch import names
from tests.load import meant, showing

pytestmark = [pytest.mark.timeout(150), pytest.mark.usefixtures("locust_there")]
LOG = logging.getLogger(__name__)
NAMES = {"app": "shop", "app-inline": "shop-inline", "app-tls": "shop-tls"}
"""service.name by the service of deploy/compose.yaml."""
EXPORTED = 12.0
"""Seconds in which what happened is stored: an export, a batch, an evaluation."""
ORDER = ["steady", *(name for name in SCENARIOS if name != "steady")]
"""Steady load first, before anything is there that might ring an alarm."""


@dataclass
class Ran:
    """A scenario that was run, and when, in seconds on the wall clock."""

    name: str
    scenario: Scenario
    began: float
    over: float
    looked_at: float = 0.0
    """When its dashboards had been looked at; what came later is the next one's."""


@pytest.fixture(scope="module")
def done() -> dict[str, Ran]:
    """What was run so far in this module."""
    return {}


def load(stack: Stack, name: str) -> Ran:
    """Run a scenario at its own size; its client spans go to the Collector."""
    scenario = SCENARIOS[name]
    tls_host = f"https://{stack.address('app-tls', PORTS['app-tls'])}"
    host = f"http://{stack.address(scenario.service, PORTS[scenario.service])}"
    host = tls_host if scenario.service == "app-tls" else host
    began = time.time()
    ended = subprocess.run(
        run.command(name, scenario, host, f"--tls-host={tls_host}", "--skip-log"),
        env={
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp,
            "OTEL_SERVICE_NAME": f"locust-{name}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return Ran(name, scenario, began, time.time())


def largest(stack: Stack, ran: Ran, shown: Shown) -> float | None:
    """Return the largest value that a panel showed from the scenario's begin until now."""
    query = next(
        target["expr"]
        for dashboard, place, target in meant.targets()
        if (dashboard, place.rpartition(" ")[0]) == (shown.dashboard, shown.panel)
        and shown.curve in (None, target["legendFormat"])
    )
    service = NAMES[shown.service or ran.scenario.service]
    found = showing.most(stack, query, service, ran.began, time.time())
    values = [value for labels, value in found if shown.series.items() <= labels.items()]
    return max(values, default=None)


def fired(stack: Stack, ran: Ran) -> set[str]:
    """Return the alerts that fired for the service since the scenario began."""
    seconds = int(time.time() - ran.began)
    service = NAMES[ran.scenario.service]
    query = f'max_over_time(ALERTS{{alertstate="firing",service_name="{service}"}}[{seconds}s])'
    return {labels["alertname"] for labels, _ in prometheus.query(stack.prometheus, query)}


@pytest.mark.parametrize("name", ORDER)
def test_the_dashboards_show_what_a_scenario_states(
    stack: Stack, done: dict[str, Ran], name: str
) -> None:
    """Each stated panel is within its bounds, each stated alert has fired."""
    ran = done[name] = load(stack, name)
    wrong: list[str] = []
    deadline = time.monotonic() + EXPORTED
    while time.monotonic() < deadline:
        wrong.clear()
        for shown in ran.scenario.shows:
            value = largest(stack, ran, shown)
            if (
                value is None
                or (shown.at_least is not None and value < shown.at_least)
                or (shown.at_most is not None and value > shown.at_most)
            ):
                wrong.append(f"{shown.panel} {shown.series}: {value}, {shown}")
        if missing := set(ran.scenario.alerts) - fired(stack, ran):
            wrong.append(f"did not fire: {missing}")
        if not wrong:
            break
        time.sleep(1)  # nobody tells when a sample is stored
    ran.looked_at = time.time()
    for shown in ran.scenario.shows:
        LOG.info("%s: %s %s %s", name, shown.panel, shown.series, largest(stack, ran, shown))
    assert not wrong, "\n".join(wrong)


def test_no_alert_fires_in_steady_load(stack: Stack, done: dict[str, Ran]) -> None:
    """From its begin until it was over, and what was found of it afterwards."""
    if "steady" not in done:
        pytest.skip("steady was not run")
    ran = done["steady"]
    query = 'ALERTS{alertstate="firing",service_name="shop"}'
    seconds = int(ran.over - ran.began)
    found = prometheus.query(
        stack.prometheus, f"max_over_time({query}[{seconds}s] @ {ran.over + EXPORTED:.0f})"
    )
    assert found == []


def answered(spans: list[jaeger.Span], clients: str) -> dict[str, jaeger.Span]:
    """Return the clients' spans by their ids; Locust cuts a few off at its end."""
    return {
        span.span_id: span
        for span in spans
        if span.service == clients and "http.response.status_code" in span.attributes
    }


def served(spans: list[jaeger.Span], clients: str) -> list[jaeger.Span]:
    """Return the server's spans that are children of an answered client's, in its trace."""
    theirs = answered(spans, clients)
    children = [span for span in spans if span.service == "shop" and span.parent in theirs]
    return [span for span in children if span.trace_id == theirs[span.parent].trace_id]


@pytest.mark.parametrize(("name", "least"), [("steady", 400), ("uploads", 40)])
def test_client_and_server_are_one_trace(
    stack: Stack, done: dict[str, Ran], name: str, least: int
) -> None:
    """Each answered request of Locust's client, or of a raw one, has the server's span as child."""
    if name not in done:
        pytest.skip(f"{name} was not run")
    clients = f"locust-{name}"

    def complete(spans: list[jaeger.Span]) -> bool:
        requests = len(answered(spans, clients))
        return requests > least and len(served(spans, clients)) == requests

    assert complete(jaeger.wait(stack.jaeger, clients, complete))


def test_from_who_waited_to_what_was_asked(stack: Stack, done: dict[str, Ran]) -> None:
    """As deploy/README.md leads there: a link to the blocker, whose id finds the caller's trace."""
    if "burst" not in done:
        pytest.skip("burst was not run")
    ran = done["burst"]
    spans = [span for span in jaeger.traces(stack.jaeger, "shop-inline") if span.start > ran.began]
    connections = {(span.trace_id, span.span_id): span for span in spans}
    waited = [span for span in spans if names.BLOCKED_BY_CONNECTION_ID in span.attributes]
    longest = max(waited, key=lambda s: s.attributes[names.PHASE_PREFIX + names.ACCEPT_QUEUE])
    blocker = longest.attributes[names.BLOCKED_BY_CONNECTION_ID]
    [link] = longest.links
    assert connections[link].attributes[names.CONNECTION_ID] == blocker
    search = {"tags": f"{names.CONNECTION_ID}={blocker}", "operation": "GET /report", "limit": 20}
    assert showing.traces(stack, search, "shop-inline", ran.began, ran.looked_at) == 1


@pytest.mark.parametrize(("name", "dashboard", "place", "target"), meant.meant_for(*SCENARIOS))
def test_a_panel_shows_something_in_the_scenario_that_it_is_meant_for(
    stack: Stack,
    done: dict[str, Ran],
    name: str,
    dashboard: str,
    place: str,
    target: dict[str, Any],
) -> None:
    """Each query has returned more than nothing while its scenario ran, for the loaded server."""
    if name not in done:
        pytest.skip(f"{name} was not run")
    ran = done[name]
    service = NAMES[ran.scenario.service]
    assert showing.something(stack, target, service, ran.began, ran.looked_at), (
        f"{dashboard}: {place}"
    )
