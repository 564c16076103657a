"""Only this machine and the compose network are loaded, and not without end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bounds
import run
import scenarios
from tests.dashboards import asked
from tests.load import meant

COMMAND = (sys.executable, "-m", "locust", f"--locustfile={run.LOCUSTFILE}", "--headless")


@pytest.mark.parametrize(
    "host", ["http://127.0.0.1:8000", "http://localhost", "http://[::1]:1", "http://app:8000"]
)
def test_loopback_and_compose_are_loaded(host: str) -> None:
    """These may be."""
    bounds.check(host, bounds.MOST_USERS)


@pytest.mark.parametrize(
    "host", ["http://example.com", "http://10.0.0.1", "http://127.0.0.1.example.com", None, "app"]
)
def test_others_are_refused(host: str | None) -> None:
    """Any other is not, nor what is no URL."""
    with pytest.raises(bounds.Refused):
        bounds.check(host)


def test_too_many_are_refused() -> None:
    """There is a most."""
    with pytest.raises(bounds.Refused, match="501 users are more than the 500"):
        bounds.check("http://127.0.0.1", bounds.MOST_USERS + 1)


def test_locust_itself_refuses_with_a_sentence(locust_there: None) -> None:
    """Also without run.py: nothing is sent, the exit status is not 0."""
    done = subprocess.run(
        [*COMMAND, "--host=http://192.0.2.1:8000", "--users=1", "--run-time=30s", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=25,
    )
    assert done.returncode == 2, done.stderr
    assert "192.0.2.1 is neither this machine nor in the compose network" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", sorted(scenarios.SCENARIOS))
def test_a_scenario_is_bounded_and_states_what_is_seen(name: str) -> None:
    """It ends by itself, and each statement is of a panel and an alert that exist, with a bound."""
    scenario = scenarios.SCENARIOS[name]
    assert scenario.run_time <= 60
    assert scenario.users <= bounds.MOST_USERS
    assert scenario.service in bounds.COMPOSE
    assert scenario.shows
    pages = {path.stem: asked.page(path) for path in asked.DASHBOARDS}
    for shown in scenario.shows:
        [panel] = [p for p in pages[shown.dashboard]["panels"] if p["title"] == shown.panel]
        legends = {target["legendFormat"] for target in panel["targets"]}
        assert shown.curve is None or shown.curve in legends
        assert (shown.at_least, shown.at_most) != (None, None)
    assert set(scenario.alerts) <= {place for place, _ in asked.of_rules()}


def test_the_scenarios_can_be_read_by_a_machine() -> None:
    """Run as a program the table is JSON."""
    done = subprocess.run(
        [sys.executable, scenarios.__file__], capture_output=True, text=True, check=True
    )
    assert set(json.loads(done.stdout)) == set(scenarios.SCENARIOS)


def test_every_panel_is_meant_for_a_scenario() -> None:
    """Each query of each panel is in the table, and the table names nothing else."""
    known = {*scenarios.SCENARIOS, meant.DEAF, meant.FEW, meant.LEAKY, meant.HASTY}
    known |= {meant.RAW, meant.SULKY, meant.JAEGER_AWAY, meant.JAEGER_SILENT}
    known |= {meant.COLLECTOR_AWAY, meant.COLLECTOR_FULL}
    for dashboard, place, _ in meant.targets():
        found = meant.scenarios_of(dashboard, place)
        assert found, f"{dashboard}: {place}"
        assert set(found) <= known, f"{dashboard}: {place}"
    places = {(dashboard, place) for dashboard, place, _ in meant.targets()}
    shown = places | {(dashboard, place.rpartition(" ")[0]) for dashboard, place in places}
    assert {(dashboard, title) for dashboard, of in meant.MEANT.items() for title in of} <= shown
    assert all(meant.meant_for(name) for name in scenarios.SCENARIOS)


def test_every_alert_is_rung_on_the_real_programs() -> None:
    """Each is stated by a scenario, or waited for in test_alarms.py."""
    text = Path(__file__).with_name("test_alarms.py").read_text()
    rung = set(re.findall(r'rings\(odds, "(\w+)"', text))
    rung |= {alert for scenario in scenarios.SCENARIOS.values() for alert in scenario.alerts}
    assert rung == {place for place, _ in asked.of_rules() if ":" not in place}
