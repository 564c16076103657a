"""Servers of this process, bare or watched, with what OpenTelemetry's SDK was given in memory."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from opentelemetry.trace import SpanKind

import tcpwatch
from tcpwatch.guard import guard

LIMIT = 10.0
CONNECTIONS = ("tcp.connection", "unix.connection")


class Watch:
    """What was told so far."""

    def __init__(self, sampler: Sampler) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider(sampler)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider([self.reader])

    @property
    def spans(self) -> list[ReadableSpan]:
        """Wait until each connection that was accepted is told, and return all spans."""
        deadline = time.monotonic() + LIMIT
        while True:
            assert tcpwatch.flush(LIMIT)
            found = list(self.exporter.get_finished_spans())
            accepted = sum(self.metric("tcpwatch.connection.accepted").values())
            if sum(span.name in CONNECTIONS for span in found) >= accepted:
                return found
            assert time.monotonic() < deadline, f"{accepted} accepted, told: {found}"
            time.sleep(0.002)  # nobody else can be waited for

    @property
    def requests(self) -> list[ReadableSpan]:
        """Return the SERVER spans, when all connections are over."""
        return [span for span in self.spans if span.kind is SpanKind.SERVER]

    @property
    def connections(self) -> list[ReadableSpan]:
        """Return the connection spans, when all connections are over."""
        return [span for span in self.spans if span.name in CONNECTIONS]

    def metric(self, name: str, key: str = "") -> dict[Any, float]:
        """Return a metric's values by one attribute."""
        data = self.reader.get_metrics_data()
        found: dict[Any, float] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == name:
                        for point in metric.data.data_points:
                            which = (point.attributes or {}).get(key)
                            value = getattr(point, "value", getattr(point, "count", 0))
                            found[which] = found.get(which, 0) + value
        return found


@contextmanager
def watching(sampler: Sampler = ALWAYS_ON) -> Iterator[Watch]:
    """Watch this process for the length of a with block; no part of ours may fail meanwhile."""
    watch = Watch(sampler)
    errors = dict(guard.errors)
    tcpwatch.install(tracer_provider=watch.tracers, meter_provider=watch.meters)
    try:
        yield watch
        assert dict(guard.errors) == errors
    finally:
        tcpwatch.uninstall()
        watch.tracers.shutdown()
        watch.meters.shutdown()


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[Any]:
    """Serve on a thread for the length of a with block; give the address."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address
    finally:
        server.shutdown()
        thread.join(LIMIT)
        server.server_close()
