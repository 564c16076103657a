"""Every PromQL of dashboards, rules and links parses, and uses names of the contract only."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dashboards.series import FOREIGN, label, metric, series
from stack.programs import PROMTOOL
from tcpwatch import names
from tests.dashboards import asked

OF_THE_RESOURCE = {"service_name", "service_instance_id"}
OF_OTHERS = {"job", "instance", "exporter", "le"}
"""Labels of the Collector's own metrics, and of every histogram."""
RULES_TEST = Path(__file__).parent / "rules.yml"


@pytest.fixture
def promtool() -> Path:
    """Prometheus' own parser; without it the tests that need it say so."""
    if not PROMTOOL.there:
        pytest.skip("promtool is not built (make stack-test builds it; it needs Go)")
    return PROMTOOL.path


def test_there_are_queries_of_all_three_kinds() -> None:
    """What follows is not about nothing."""
    assert list(asked.of_panels())
    assert list(asked.of_rules())
    assert list(asked.of_links())


@pytest.mark.parametrize(("place", "query"), asked.everything())
def test_a_query_uses_names_of_the_contract_only(place: str, query: str) -> None:
    """Series are the contract's, recorded ones, or those that others count of lost spans."""
    recorded = {place for place, _ in asked.of_rules() if ":" in place}
    query = asked.choose(query)
    assert asked.selected(query), place
    assert asked.selected(query) <= series() | recorded, place
    known = {label(value) for key, value in vars(names).items() if isinstance(value, str)}
    assert asked.labels(query) <= known | OF_THE_RESOURCE | OF_OTHERS, place
    assert "$" not in query, place


def test_what_begins_with_its_first_error_is_never_asked_for_its_rate_alone() -> None:
    """`rate` does not see the value that a series begins with: one error would be none."""
    begins = [names.M_ACCEPT_ERRORS, names.M_SELF_DROPPED, names.M_SELF_ERRORS]
    for place, query in asked.everything():
        for name in (*map(metric, begins), *FOREIGN):
            assert f"rate({name}" not in query, place
            assert f"increase({name}" not in query or "unless" in query, place


@pytest.mark.parametrize("wrong", ["rate(tcpwatch_gone_total{}[1m])", "max(tcpwatch_gone{})"])
def test_a_name_that_is_not_in_the_contract_is_found(wrong: str) -> None:
    """The check above can fail."""
    assert not asked.selected(wrong) <= series()


def test_prometheus_parses_every_query(promtool: Path, tmp_path: Path) -> None:
    """Read as rules by promtool, all of them."""
    rules = [
        {"record": f"asked:{number}", "expr": asked.choose(query)}
        for number, (_, query) in enumerate(asked.everything())
    ]
    file = tmp_path / "asked.yml"
    file.write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}))
    done = subprocess.run(
        [promtool, "check", "rules", "--lint=none", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_alerts_fire_in_their_case_and_not_in_steady_load(promtool: Path) -> None:
    """The unit tests of the rules pass."""
    done = subprocess.run(
        [promtool, "test", "rules", RULES_TEST], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    """No alert is shipped that no unit test has seen firing."""
    alerts = {place for place, _ in asked.of_rules() if ":" not in place}
    text = RULES_TEST.read_text()
    fired = {
        name for name in alerts if f'alertname="{name}"' in text or f"alertname: {name}" in text
    }
    assert fired == alerts
