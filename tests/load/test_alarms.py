"""Alerts that need a server or a stack with something wrong, on the real programs."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import run
from scenarios import SCENARIOS
from stack import programs, prometheus
from stack.running import Stack
from tests.load import meant, odd, showing

pytestmark = [pytest.mark.timeout(200), pytest.mark.usefixtures("locust_there")]
PATIENCE = 60.0
LONG = 150.0
"""For what takes two minutes: one until the first export, and one that the alert waits."""
SERVICES = {
    meant.FEW: "shop-few",
    meant.DEAF: "shop-deaf",
    meant.LEAKY: "shop-leaky",
    meant.HASTY: "shop-hasty",
    meant.RAW: "shop-raw",
    meant.JAEGER_AWAY: "shop-few",
    meant.JAEGER_SILENT: "shop-hasty",
    meant.SULKY: "shop-sulky",
    meant.COLLECTOR_AWAY: "shop-few",
    meant.COLLECTOR_FULL: "shop-few",
}
"""Whose telemetry is looked at, by what is wrong."""


@pytest.fixture(scope="module")
def began() -> float:
    """When all this began, on the wall clock."""
    return time.time()


@pytest.fixture(scope="module")
def odds(began: float, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The servers with something wrong, and what their telemetry needs."""
    if missing := programs.missing():
        pytest.skip(f"not built: {', '.join(missing)} (make stack-test builds them; it needs Go)")
    folder = tmp_path_factory.mktemp("stack")
    others = [odd.impatient(folder), *odd.servers()]
    with Stack(folder, "jaeger", "prometheus", others=others) as running:
        yield running


def load(stack: Stack, name: str, server: str, users: int, seconds: int) -> None:
    """Run a scenario at another size than its own."""
    scenario = dataclasses.replace(SCENARIOS[name], users=users, spawn_rate=users, run_time=seconds)
    done = subprocess.run(
        run.command(name, scenario, stack.url(f"app-{server}", 8000), "--skip-log"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def rings(stack: Stack, alert: str, patience: float = PATIENCE, **of: str) -> dict[str, str]:
    """Wait until an alert fires; return its labels."""
    labels = {"alertstate": "firing", "alertname": alert, **of}
    query = f"ALERTS{{{','.join(f'{key}={value!r}' for key, value in labels.items())}}}"
    found = prometheus.wait(stack.prometheus, query, bool, patience)
    assert found, f"{alert} did not fire in {patience} s"
    return found[0][0]


def test_a_server_out_of_descriptors(odds: Stack) -> None:
    """More silent browsers than it may open files: accept() fails, the alert says why."""
    load(odds, "idle", "few", users=2 * odd.DESCRIPTORS, seconds=8)
    of = rings(odds, "TcpwatchDescriptorsExhausted", service_name="shop-few")
    assert of["error_type"] == "EMFILE"


def test_a_listener_that_was_shut_down(odds: Stack) -> None:
    """accept() fails though nobody has come, which socketserver tells nobody."""
    odds.processes["app-deaf"].send_signal(signal.SIGUSR1)
    of = rings(odds, "TcpwatchAcceptErrors", service_name="shop-deaf")
    growth = 'rate(tcpwatch_accept_errors_total{service_name="shop-deaf"}[20s]) > 0'
    assert prometheus.wait(odds.prometheus, growth, bool, PATIENCE)
    odds.kill("app-deaf")  # it spins
    assert of["error_type"] == "EINVAL"


def test_a_server_that_speaks_no_http(odds: Stack) -> None:
    """Its handler's time is one phase, as long as its clients are silent."""
    load(odds, "idle", "raw", users=4, seconds=15)
    counted = (
        "sum(tcpwatch_connection_phase_duration_seconds_count"
        '{service_name="shop-raw",tcpwatch_phase_name="handle"})'
    )
    least = 1 + 4 * 4  # the health check, and four turns of each client
    found = prometheus.wait(
        odds.prometheus, counted, lambda found: bool(found) and found[0][1] >= least, PATIENCE
    )
    assert found[0][1] >= least


def test_records_that_could_not_wait(odds: Stack) -> None:
    """With room for one record in the queue some are lost, and counted."""
    load(odds, "steady", "hasty", users=20, seconds=4)
    of = rings(odds, "TcpwatchTelemetryDropped", service_name="shop-hasty")
    assert of["tcpwatch_reason"] == "queue_full"


def test_an_application_whose_sampler_fails(odds: Stack) -> None:
    """It raises when tcpwatch asks it: the answers are as ever, and the errors are counted."""
    for _ in range(3):
        with urllib.request.urlopen(odds.url("app-sulky", 8000), timeout=10) as answer:
            assert answer.read() == b"hello"
    counted = 'sum(tcpwatch_self_errors_total{service_name="shop-sulky"}) > 0'
    assert prometheus.wait(odds.prometheus, counted, bool, PATIENCE)


def test_a_server_that_leaks_descriptors(odds: Stack) -> None:
    """Before the limit is reached somebody is told; it lasts since the server began."""
    for _ in range(3):  # nothing of this server is sampled: who fails is kept
        with pytest.raises(urllib.error.HTTPError, match="500"):
            urllib.request.urlopen(f"{odds.url('app-leaky', 8000)}/error", timeout=10)
    rings(odds, "TcpwatchDescriptorsNearlyExhausted", service_name="shop-leaky")


def test_a_server_that_exports_once_a_minute(odds: Stack) -> None:
    """Alerts on what has grown within a minute cannot see it, so one says that; of it alone."""
    rings(odds, "TcpwatchExportsTooRare", LONG, service_name="shop-rare")
    others = (
        'ALERTS{alertstate="firing",alertname="TcpwatchExportsTooRare",service_name!="shop-rare"}'
    )
    assert not prometheus.query(odds.prometheus, others)


def test_spans_that_the_collector_had_no_room_for(odds: Stack) -> None:
    """Jaeger takes a connection and says nothing: the Collector's queue fills, and it counts."""
    odds.processes["jaeger"].send_signal(signal.SIGSTOP)
    try:
        load(odds, "steady", "hasty", users=10, seconds=15)
        full = 'otelcol_exporter_enqueue_failed_spans{job="collector"} > 0'
        assert prometheus.wait(odds.prometheus, full, bool, PATIENCE)
    finally:
        odds.processes["jaeger"].send_signal(signal.SIGCONT)


def test_spans_that_jaeger_did_not_take(odds: Stack) -> None:
    """Jaeger is away for longer than the Collector tries."""
    odds.kill("jaeger")
    load(odds, "steady", "few", users=4, seconds=8)
    assert rings(odds, "TcpwatchSpansLostInCollector", job="collector")
    odds.start("jaeger")


def test_spans_that_could_not_be_sent(odds: Stack) -> None:
    """The Collector is away for longer than the SDK waits: when it is back, the alert says so."""
    odds.kill("collector")
    load(odds, "steady", "few", users=4, seconds=8)
    odds.start("collector")
    assert rings(odds, "TcpwatchSpansLostInSdk", service_name="shop-few")["error_type"]


def test_spans_that_the_collector_refused(odds: Stack, tmp_path: Path) -> None:
    """At its limit of memory the Collector takes nothing, and it counts what it has refused."""
    usual = odds.services["collector"]
    odds.kill("collector")
    odds.services["collector"] = odd.full(tmp_path)
    try:
        odds.start("collector")
        load(odds, "steady", "few", users=4, seconds=12)  # more than two looks at the Collector
        refused = 'increase(otelcol_receiver_refused_spans{job="collector"}[30s]) > 0'
        assert prometheus.wait(odds.prometheus, refused, bool, PATIENCE)
    finally:
        odds.kill("collector")
        odds.services["collector"] = usual
        odds.start("collector")


@pytest.mark.parametrize(("name", "dashboard", "place", "target"), meant.meant_for(*SERVICES))
def test_a_panel_shows_something_of_what_is_wrong(
    odds: Stack, began: float, name: str, dashboard: str, place: str, target: dict[str, Any]
) -> None:
    """Each query that is meant for one of these has returned more than nothing."""
    found = showing.something(odds, target, SERVICES[name], began, time.time())
    assert found, f"{dashboard}: {place}"
