"""Hard case 13: whatever the collector does, requests, logs, memory and the exit do not mind.

All servers run side by side and are asked in turns, so that each has the same machine.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from tests.hard import apps_b_collectors as collectors
from tests.hard.apps_b_start import prepared
from tests.live.harness import LiveServer

pytestmark = pytest.mark.alone
BARE = ("bare", "bare again", "bare once more")
"""As one p99 differs from another, so much is noise."""
KINDS = {
    kind.__name__: kind
    for kind in (
        collectors.refusing,
        collectors.refusing_grpc,
        collectors.silent,
        collectors.slow,
        collectors.too_many,
        collectors.unavailable,
        collectors.forbidding,
        collectors.garbage,
        collectors.nameless,
        collectors.vanishing,
    )
}
PATIENT = {"silent", "slow"}
"""They refuse nothing. The SDK waits 10 s for an answer, about as long as this test lasts."""
QUEUE, BATCH = 64, 32
"""Spans that may wait and be on their way: fewer than those of half of the requests."""
ENVIRONMENT = {
    "OTEL_BSP_SCHEDULE_DELAY": "500",
    "OTEL_BSP_MAX_QUEUE_SIZE": str(QUEUE),
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(BATCH),
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
}
GRPC = {**ENVIRONMENT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
ROUNDS = 60
IN_A_ROW = 8
FACTOR = 3.0
"""Median and p99 may be this many times the bare ones, of a hello that takes half a millisecond."""
SLACK = 0.010
"""Seconds that the p99 may be more: five requests of some hundred are slower than it."""
GRACE = 2.0
TOLD = "telemetry cannot be sent: "


@dataclass(slots=True)
class Measured:
    """What was seen of one server."""

    latencies: list[float] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    spans: list[int] = field(default_factory=list)
    exit_seconds: float = 0.0
    exit_status: int = 0

    @property
    def median(self) -> float:
        """The request in the middle, in seconds."""
        return statistics.median(self.latencies)

    @property
    def p99(self) -> float:
        """The request that one in a hundred is slower than, in seconds."""
        return statistics.quantiles(self.latencies, n=100)[98]


def ask(server: LiveServer, into: Measured) -> None:
    """Ask a few times in a row."""
    for _ in range(IN_A_ROW):
        began = time.perf_counter()
        into.statuses.add(server.get("/").status)
        into.latencies.append(time.perf_counter() - began)


def leave(server: LiveServer, into: Measured) -> None:
    """End the server as `docker stop` does."""
    began = time.monotonic()
    into.exit_status = server.stop()
    into.exit_seconds = time.monotonic() - began


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Measured]]:
    """Measure a bare server and one for each collector, in turns."""
    folder = tmp_path_factory.mktemp("collectors")
    gone = threading.Event()
    servers: dict[str, LiveServer] = {}
    found = {name: Measured() for name in (*BARE, *KINDS)}
    with ExitStack() as running:
        for name in found:
            collector = KINDS.get(name, collectors.refusing)
            given = (gone,) if name == "vanishing" else ()
            endpoint = running.enter_context(collector(*given))
            start = running.enter_context(prepared("look,nameless", endpoint, folder))
            flags = ("--install", "never") if name in BARE else ()
            env = GRPC if name.endswith("grpc") else ENVIRONMENT
            servers[name] = start("--server", "plain", *flags, env=env)
        for turn in range(ROUNDS):
            for name, server in servers.items():
                ask(server, found[name])
                if turn in (ROUNDS // 2, ROUNDS - 1):
                    found[name].spans.append(server.tell("spans"))
            if turn == ROUNDS // 2:
                gone.set()
        for name in KINDS.keys() - PATIENT:
            servers[name].wait_stderr(TOLD)
        with ThreadPoolExecutor(len(servers)) as pool:
            for name, server in servers.items():
                pool.submit(leave, server, found[name])
        for name, server in servers.items():
            lines = server.stderr.splitlines()
            found[name].lines = [line for line in lines if not line.startswith("tcpwatch: ")]
        yield found


each = pytest.mark.parametrize("collector", KINDS)


@each
def test_requests_do_not_mind(measured: dict[str, Measured], collector: str) -> None:
    """Every request is answered, and the p99 is within the noise of the bare servers'."""
    bare, watched = [measured[name] for name in BARE], measured[collector]
    assert watched.statuses == {200}
    assert watched.p99 <= FACTOR * max(each.p99 for each in bare) + SLACK
    assert watched.median <= FACTOR * max(each.median for each in bare)


@each
def test_the_log_is_not_filled(measured: dict[str, Measured], collector: str) -> None:
    """One line says that telemetry cannot be sent, for all that fails in a minute and at exit."""
    lines = measured[collector].lines
    assert len(lines) == 1 or (collector in PATIENT and not lines), "\n".join(lines)
    assert all(TOLD in line for line in lines)


@each
def test_memory_is_bounded(measured: dict[str, Measured], collector: str) -> None:
    """What cannot be sent is dropped and not collected."""
    assert max(measured[collector].spans) <= QUEUE + 2 * BATCH < ROUNDS // 2 * IN_A_ROW


@each
def test_the_exit_is_hardly_later(measured: dict[str, Measured], collector: str) -> None:
    """The process ends with the status that it has without us, at most two seconds later."""
    bare, watched = measured[BARE[0]], measured[collector]
    assert watched.exit_status == bare.exit_status
    assert watched.exit_seconds <= bare.exit_seconds + GRACE
