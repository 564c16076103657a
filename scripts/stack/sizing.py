"""Measure what docs/scale.md computes with.

python -m stack.sizing     some minutes; writes docs/scale.json, from which the tables are made
"""

from __future__ import annotations

import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.machine import machine
from stack import kubernetes
from stack.figures import Sent, Sizing, Spent
from stack.metering import METRICS, TRACES, Meter, cpu_seconds, flood, renewed, spans_of
from stack.programs import PINS
from stack.running import Stack
from tcpwatch import names

CONNECTIONS, PAUSE = 400, 0.02
"""One request each, so many seconds apart."""
GZIP = {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
SENDERS = {
    "a view that answers at once": ("/item/1", {}),
    "the same, gzip": ("/item/1", GZIP),
    "a view that takes 10 ms": ("/report?s=0.01", {}),
}
IDLE = 10.0
"""Seconds of which the CPU time is the baseline."""
FLOOD = 150_000
"""Spans."""
SETTLED = 15.0
"""Seconds after which all is exported: tail sampling decides after ten."""
SUBJECTS = {
    "collector.yaml": ("collector",),
    "agent.yaml": ("collector",),
    "gateway.yaml, two of them": kubernetes.GATEWAYS,
}


def sent(path: str, settings: dict[str, str]) -> tuple[Sent, list[ExportTraceServiceRequest]]:
    """Measure what connections of one request send; return it, and the spans themselves."""
    with tempfile.TemporaryDirectory() as folder:
        backends = Stack(Path(folder), "jaeger", "prometheus", "collector")
        with backends, Meter(backends.otlp).running() as meter:
            metered = {"OTEL_EXPORTER_OTLP_ENDPOINT": meter.url, **settings}
            with Stack(Path(folder), "app", settings=metered) as server:
                for _ in range(CONNECTIONS):
                    urllib.request.urlopen(server.url("app", 8000) + path).read()  # noqa: S310
                    time.sleep(PAUSE)
    spans = [span for request in meter.traces() for span in spans_of(request)]
    connections = sum(span.name == names.SPAN_TCP for span in spans)
    return (
        Sent(
            len(spans) / connections,
            sum(map(len, meter.payloads[TRACES])) / connections,
            max(map(len, meter.payloads[METRICS])),
        ),
        meter.traces(),
    )


@contextmanager
def single() -> Iterator[Stack]:
    """One Collector, as in compose.yaml."""
    backends = ("jaeger", "prometheus", "collector")
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), *backends) as stack:
        yield stack


@contextmanager
def cluster() -> Iterator[Stack]:
    """An agent and two gateways, as in kustomization.yaml."""
    with tempfile.TemporaryDirectory() as folder:
        others = kubernetes.cluster(Path(folder))
        with Stack(Path(folder), "jaeger", others=others) as stack:
            yield stack


def spent(
    stack: Stack, subjects: list[tuple[str, ...]], requests: list[ExportTraceServiceRequest]
) -> list[Spent]:
    """Flood the first Collector with these spans; return what each subject spends."""
    before = [cpu_seconds(stack, subject) for subject in subjects]
    time.sleep(IDLE)
    after = [cpu_seconds(stack, subject) for subject in subjects]
    idle = [(b - a) / IDLE for a, b in zip(before, after, strict=True)]
    empty = [resident(stack, subject) for subject in subjects]
    once = sum(len(list(spans_of(request))) for request in requests)
    payloads = [renewed(request) for _ in range(FLOOD // once) for request in requests]
    spans, began = once * (FLOOD // once), time.monotonic()
    seconds = flood(stack.address("collector", 4318), payloads)
    full = [resident(stack, subject) for subject in subjects]
    time.sleep(SETTLED)
    whole = time.monotonic() - began
    return [
        Spent(
            spans,
            spans / seconds,
            (cpu_seconds(stack, subject) - cpu - idling * whole) / spans * 1e6,
            idling,
            (small, large),
        )
        for subject, cpu, idling, small, large in zip(
            subjects, after, idle, empty, full, strict=True
        )
    ]


def resident(stack: Stack, subject: tuple[str, ...]) -> float:
    """Return the memory that these have now, in MB."""
    pids = [stack.processes[name].pid for name in subject]
    return sum(psutil.Process(pid).memory_info().rss for pid in pids) / 1e6


def main() -> None:
    """Measure and write."""
    measured: dict[str, Sent] = {}
    captured: list[ExportTraceServiceRequest] = []
    for name, (path, settings) in SENDERS.items():
        print(f"{name} ...", flush=True)
        measured[name], captured = sent(path, settings)
        print(measured[name])
    found: dict[str, Spent] = {}
    for start, subjects in (
        (single, list(SUBJECTS)[:1]),
        (cluster, list(SUBJECTS)[1:]),
    ):
        print(f"{', '.join(subjects)} ...", flush=True)
        with start() as stack:
            figures = spent(stack, [SUBJECTS[name] for name in subjects], captured)
        found.update(zip(subjects, figures, strict=True))
        print(figures)
    versions = f"Collector {PINS['COLLECTOR_VERSION']}, Jaeger {PINS['JAEGER_VERSION']}"
    Sizing({**machine(), "programs": versions}, measured, found).save()


if __name__ == "__main__":
    main()
