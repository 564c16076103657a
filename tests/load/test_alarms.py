"""Alerts that need a server or a stack with something wrong, on the real programs."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator

import pytest

import run
from scenarios import SCENARIOS
from stack import compose, programs, prometheus
from stack.running import Stack

pytestmark = [pytest.mark.timeout(200), pytest.mark.usefixtures("locust_there")]
DESCRIPTORS = 48
FEW = f"""
import resource, runpy
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}))
runpy.run_path("shop.py", run_name="__main__")
"""
PATIENCE = 60.0


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A sample server that may open few files, and what its metrics need."""
    if missing := programs.missing():
        pytest.skip(f"not built: {', '.join(missing)} (make stack-test builds them; it needs Go)")
    app = compose.services()["app"]
    server = dataclasses.replace(
        app,
        name="app-few",
        command=["python", "-c", FEW, "--listen", "0.0.0.0:8000"],
        environment={**app.environment, "OTEL_SERVICE_NAME": "shop-few"},
    )
    folder = tmp_path_factory.mktemp("stack")
    with Stack(folder, "jaeger", "prometheus", "collector", others=[server]) as running:
        yield running


def load(stack: Stack, name: str, users: int, seconds: int) -> None:
    """Run a scenario at another size than its own."""
    scenario = dataclasses.replace(SCENARIOS[name], users=users, spawn_rate=users, run_time=seconds)
    done = subprocess.run(
        run.command(name, scenario, stack.url("app-few", 8000), "--skip-log"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def rings(stack: Stack, alert: str) -> dict[str, str]:
    """Wait until an alert fires for the server; return its labels."""
    query = f'ALERTS{{alertstate="firing",alertname="{alert}",service_name="shop-few"}}'
    found = prometheus.wait(stack.prometheus, query, bool, PATIENCE)
    assert found, f"{alert} did not fire in {PATIENCE} s"
    return found[0][0]


def test_a_server_out_of_descriptors(few: Stack) -> None:
    """More silent browsers than it may open files: accept() fails, the alert says why."""
    load(few, "idle", users=2 * DESCRIPTORS, seconds=8)
    assert rings(few, "TcpwatchDescriptorsExhausted")["error_type"] == "EMFILE"


def test_spans_that_could_not_be_sent(few: Stack) -> None:
    """The Collector is away for longer than the SDK waits: when it is back, the alert says so."""
    few.kill("collector")
    load(few, "steady", users=4, seconds=20)
    few.start("collector")
    assert rings(few, "TcpwatchSpansLostInSdk")["error_type"]
