"""The dashboards are what the program makes, say what to conclude, and can be used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.series import COUNTER, HISTOGRAM, METRICS, metric
from tcpwatch import names
from tests import contract
from tests.dashboards import asked

TITLES = {"Accept loop", "Connections", "Requests", "Process and tcpwatch's own cost"}


def panels() -> list[tuple[str, dict[str, Any]]]:
    """Return each panel with its dashboard's name."""
    return [(path.stem, panel) for path in asked.DASHBOARDS for panel in asked.page(path)["panels"]]


def test_the_json_is_what_the_program_makes() -> None:
    """Whoever changes a name or a panel runs `make dashboards`."""
    pytest.importorskip("grafana_foundation_sdk", reason="Grafana's SDK needs Python 3.11 or newer")
    done = subprocess.run(
        [sys.executable, "-m", "dashboards", "--check"],
        cwd=asked.ROOT / "scripts",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", asked.DASHBOARDS, ids=lambda path: path.stem)
def test_grafanas_own_model_reads_a_dashboard_without_loss(path: Path) -> None:
    """What its schema does not know would be gone after reading; but for the search in Jaeger."""
    pytest.importorskip("grafana_foundation_sdk", reason="Grafana's SDK needs Python 3.11 or newer")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    page = asked.page(path)
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(page)))
    for each in (page, again):
        for panel in each["panels"]:
            if panel.get("datasource", {}).get("uid") == "jaeger":
                del panel["targets"]
    assert again == page


def test_all_four_are_there() -> None:
    """Their titles are those that the documents name."""
    assert {asked.page(path)["title"] for path in asked.DASHBOARDS} == TITLES


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_metric_is_translated_by_its_kind_and_unit(name: str) -> None:
    """Prometheus' suffixes follow from instrument and unit in the contract."""
    wanted = contract.METRICS[name]
    kind, unit = METRICS[name]
    assert (kind == HISTOGRAM) == (wanted.kind == "histogram")
    assert (kind == COUNTER) == (wanted.kind == "sum" and wanted.monotonic)
    assert unit == {"s": "seconds", "By": "bytes"}.get(wanted.unit, "")
    assert metric(name).startswith(name.replace(".", "_"))


def test_every_metric_is_translated_and_seen_on_a_panel() -> None:
    """No metric of the contract is left out."""
    ours = {value for key, value in vars(names).items() if key.startswith("M_")}
    assert set(METRICS) == ours
    shown = " ".join(query for _, query in asked.of_panels())
    assert [name for name in METRICS if metric(name) not in shown] == []


@pytest.mark.parametrize("path", asked.DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_can_be_steered_and_left(path: Path) -> None:
    """It has the variables, leads to the others and to traces, and begins with how to read it."""
    page = asked.page(path)
    variables = [variable["name"] for variable in page["templating"]["list"]]
    assert variables[:3] == ["service", "instance", "listener"]
    assert {link["type"] for link in page["links"]} == {"dashboards", "link"}
    assert page["panels"][0]["type"] == "text"
    assert page["panels"][0]["title"] == "How to read this"
    identities = [panel["id"] for panel in page["panels"]]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize(("page", "panel"), panels(), ids=lambda value: "")
def test_a_panel_says_what_to_conclude(page: str, panel: dict[str, Any]) -> None:
    """A sentence at least, ended as one."""
    said = panel["description"]
    assert len(said.split()) >= 8, f"{page}: {panel['title']}"
    assert said.endswith("."), f"{page}: {panel['title']}"


def test_panels_do_not_overlap() -> None:
    """Each cell of the grid belongs to one panel, and none is beyond the right edge."""
    for path in asked.DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in asked.page(path)["panels"]:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert not taken & cells, f"{path.stem}: {panel['title']}"
            taken |= cells


def test_histograms_lead_to_traces() -> None:
    """Waits and durations of connections and requests are drawn with exemplars."""
    traced = {
        name
        for _, panel in panels()
        for target in panel.get("targets", [])
        if target.get("exemplar")
        for name in asked.selected(target["expr"])
    }
    for name in (names.M_QUEUE_WAIT, names.M_CONNECTION_DURATION, names.M_REQUEST_DURATION):
        assert metric(name) + "_bucket" in traced


def test_data_sources_are_those_that_the_panels_ask() -> None:
    """Their uids and addresses are one; exemplars lead to Jaeger, spans back to Prometheus."""
    sources = {s["uid"]: s for s in yaml.safe_load(asked.SOURCES.read_text())["datasources"]}
    used = {panel["datasource"]["uid"] for _, panel in panels() if "datasource" in panel}
    assert used == set(sources) == {"prometheus", "jaeger"}
    assert sources["prometheus"]["url"] == "http://prometheus:9090"
    assert sources["jaeger"]["url"] == "http://jaeger:16686"
    [exemplars] = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert (exemplars["name"], exemplars["datasourceUid"]) == ("trace_id", "jaeger")
    assert sources["jaeger"]["jsonData"]["tracesToMetrics"]["datasourceUid"] == "prometheus"


def test_grafana_finds_the_files_where_compose_mounts_them() -> None:
    """The provider's path is a mount of deploy/compose.yaml."""
    text = (asked.PROVISIONING / "dashboards" / "tcpwatch.yaml").read_text()
    [provider] = yaml.safe_load(text)["providers"]
    compose = yaml.safe_load((asked.ROOT / "deploy" / "compose.yaml").read_text())
    mounts = [volume.split(":") for volume in compose["services"]["grafana"]["volumes"]]
    assert ["../dashboards", provider["options"]["path"], "ro"] in mounts
    assert ["./grafana/provisioning", "/etc/grafana/provisioning", "ro"] in mounts
