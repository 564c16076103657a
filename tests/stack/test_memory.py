"""What keeps traces in memory has room for as many as it is told to keep."""

from __future__ import annotations

import re
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from stack import compose
from stack.metering import Meter, flood, renewed, spans_of
from stack.running import Stack

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("built")]
CONNECTIONS, AT_ONCE = 400, 25
TRACES = 160_000
"""Three times what Jaeger keeps; when it kept 100,000 without GOMEMLIMIT, it came to 1.4 GB."""


def taken(stack: Stack) -> float:
    """Return how many spans Jaeger has taken, by its own count."""
    with urllib.request.urlopen(stack.url("jaeger", 8888) + "/metrics") as answer:
        found = re.findall(
            r"^otelcol_receiver_accepted_spans\S* (\S+)$", answer.read().decode(), re.MULTILINE
        )
    return sum(map(float, found))


def test_jaeger_with_all_traces_that_it_keeps_is_within_its_limit_of_memory(
    tmp_path: Path,
) -> None:
    """Beyond the limit of deploy/compose.yaml the kernel kills it, and every trace is gone."""
    limit = int(compose.document()["services"]["jaeger"]["deploy"]["resources"]["limits"]["memory"])
    with Stack(tmp_path, "jaeger", "collector") as stack, Meter(stack.otlp).running() as meter:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": meter.url}
        with Stack(tmp_path, "app", settings=settings) as server:
            for _ in range(CONNECTIONS):
                urllib.request.urlopen(server.url("app", 8000) + "/item/1").read()
        requests = meter.traces()
        traces = len({span.trace_id for request in requests for span in spans_of(request)})
        assert traces >= CONNECTIONS
        spans = sum(1 for request in requests for _ in spans_of(request))
        process, most = psutil.Process(stack.processes["jaeger"].pid), 0
        for turn in range(1, TRACES // (traces * AT_ONCE) + 1):
            again = [renewed(request) for _ in range(AT_ONCE) for request in requests]
            flood(stack.address("collector", 4318), again)
            while taken(stack) < turn * AT_ONCE * spans:
                time.sleep(0.05)  # nobody tells when a span is stored
            most = max(most, process.memory_info().rss)
        assert most < limit, f"{most / 1e6:.0f} MB of {limit / 1e6:.0f}"
