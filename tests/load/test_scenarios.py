"""Each scenario, run by Locust on a real server, has the effect that it states.

The very queries of the panels are asked of the real Prometheus, with what Grafana would put in.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest

import run
from scenarios import PORTS, SCENARIOS, Scenario, Shown
from stack import jaeger, prometheus
from stack.running import Stack
from tests.dashboards import asked

pytestmark = [pytest.mark.timeout(150), pytest.mark.usefixtures("locust_there")]
LOG = logging.getLogger(__name__)
NAMES = {"app": "shop", "app-inline": "shop-inline", "app-tls": "shop-tls"}
"""service.name by the service of deploy/compose.yaml."""
CHOSEN = {"$culprit": "inline", "$status": "500"}
"""What is chosen above the lists of traces."""
RATE = 20
"""Seconds of $__rate_interval: Grafana takes four times the interval of export."""
EXPORTED = 12.0
"""Seconds in which what happened is stored: an export, a batch, an evaluation."""
ORDER = ["steady", *(name for name in SCENARIOS if name != "steady")]
"""Steady load first, before anything is there that might ring an alarm."""
QUIET = {
    "TCP connections of the process, by state": "off by default",
    "Kept traces": "nothing is sampled away, so nothing is kept against it",
    "Kept though not sampled": "the same",
    "Lost in tcpwatch": "nothing is lost",
    "Records lost in tcpwatch": "nothing is lost",
    "Errors in tcpwatch": "there are none",
    "Spans lost: SDK queue": "nothing is lost",
    "Spans lost: sending": "nothing is lost",
    "Spans lost on the way": "nothing is lost",
    "Phase handle": "these servers speak HTTP",
}
"""Panels that show nothing in any scenario, and why."""


@dataclass
class Ran:
    """A scenario that was run, and when, in seconds on the wall clock."""

    name: str
    scenario: Scenario
    began: float
    over: float


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


def panel(dashboard: str, title: str) -> dict[str, Any]:
    """Return a panel by its title."""
    path = next(path for path in asked.DASHBOARDS if path.stem == dashboard)
    [found] = [panel for panel in asked.page(path)["panels"] if panel["title"] == title]
    assert isinstance(found, dict)
    return found


def largest(stack: Stack, ran: Ran, shown: Shown) -> float | None:
    """Return the largest value that a panel showed from the scenario's begin until now."""
    [query] = [
        target["expr"]
        for target in panel(shown.dashboard, shown.panel)["targets"]
        if target["refId"] == shown.query
    ]
    seconds = int(time.time() - ran.began)
    chosen = {
        "service": NAMES[shown.service or ran.scenario.service],
        "__rate_interval": f"{RATE}s",
        "__range": f"{seconds}s",
    }
    expression = asked.choose(query, **chosen)
    if "$__range" not in query:
        expression = f"max_over_time(({expression})[{seconds}s:1s])"
    values = [
        value
        for labels, value in prometheus.query(stack.prometheus, expression)
        if shown.series.items() <= labels.items() and value == value  # not NaN: 0 / 0  # noqa: PLR0124
    ]
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


def answered(spans: list[jaeger.Span]) -> dict[str, jaeger.Span]:
    """Return the client spans of steady load by their ids; Locust cuts a few off at its end."""
    return {
        span.span_id: span
        for span in spans
        if span.service == "locust-steady" and "http.response.status_code" in span.attributes
    }


def served(spans: list[jaeger.Span]) -> list[jaeger.Span]:
    """Return the server's spans that are children of an answered client's, in its trace."""
    clients = answered(spans)
    children = [span for span in spans if span.service == "shop" and span.parent in clients]
    return [span for span in children if span.trace_id == clients[span.parent].trace_id]


def test_client_and_server_are_one_trace(stack: Stack, done: dict[str, Ran]) -> None:
    """Each answered request of a client has the server's span as its child, in one trace."""
    if "steady" not in done:
        pytest.skip("steady was not run")
    spans = jaeger.wait(
        stack.jaeger,
        "locust-steady",
        lambda spans: len(answered(spans)) > 400 and len(served(spans)) == len(answered(spans)),
    )
    assert len(answered(spans)) > 400
    assert len(served(spans)) == len(answered(spans))


@pytest.mark.parametrize(("place", "query"), list(asked.of_panels()))
def test_a_panel_has_data_in_one_of_the_scenarios(
    stack: Stack, done: dict[str, Ran], place: str, query: str
) -> None:
    """Each query has returned something for one of the servers, or it is said why not."""
    if set(done) != set(SCENARIOS):
        pytest.skip("not all scenarios were run")
    seconds = int(time.time() - min(ran.began for ran in done.values()))
    found = []
    for service in NAMES.values():
        chosen = {"service": service, "__rate_interval": f"{RATE}s", "__range": f"{seconds}s"}
        expression = asked.choose(query, **chosen)
        if "$__range" not in query:
            expression = f"max_over_time(({expression})[{seconds}s:5s])"
        found += prometheus.query(stack.prometheus, expression)
    title = place.partition(": ")[2].rpartition(" ")[0]
    if not found and title in QUIET:
        pytest.skip(f"shows nothing here: {QUIET[title]}")
    assert found, place


def searches() -> list[tuple[str, dict[str, Any]]]:
    """Return what panels ask of Jaeger, by dashboard."""
    return [
        (path.stem, target)
        for path in asked.DASHBOARDS
        for panel in asked.page(path)["panels"]
        for target in panel.get("targets", [])
        if target.get("queryType") == "search"
    ]


@pytest.mark.parametrize(("dashboard", "search"), searches())
def test_a_list_of_traces_has_some(
    stack: Stack, done: dict[str, Ran], dashboard: str, search: dict[str, Any]
) -> None:
    """Asked as Grafana's Jaeger data source asks, Jaeger finds traces of one of the servers."""
    if set(done) != set(SCENARIOS):
        pytest.skip("not all scenarios were run")
    found = [jaeger_finds(stack, search, service) for service in NAMES.values()]
    assert any(found), dashboard


def jaeger_finds(stack: Stack, search: dict[str, Any], service: str) -> int:
    """Return how many traces a panel's search finds."""
    pairs = (pair.partition("=") for pair in search.get("tags", "").split())
    said = {
        "service": service,
        "lookback": "1h",
        "limit": search["limit"],
        "operation": search.get("operation"),
        "minDuration": search.get("minDuration"),
        "tags": json.dumps({key: CHOSEN.get(value, value) for key, _, value in pairs}),
    }
    words = urllib.parse.urlencode({key: value for key, value in said.items() if value})
    with urllib.request.urlopen(f"{stack.jaeger}/api/traces?{words}", timeout=30) as answer:
        return len(json.load(answer)["data"])
