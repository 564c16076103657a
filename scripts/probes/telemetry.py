"""What the telemetry says of a client, or of the server, as lines of text."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tcpwatch
from probes.sample import LIMIT

exporter, reader, warned = InMemorySpanExporter(), InMemoryMetricReader(), list[str]()


class Listening(logging.Handler):
    """Keeps the first line of what tcpwatch logs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        warned.append(record.getMessage().splitlines()[0])


def span_of(port: int) -> ReadableSpan:
    """Return the connection span of the client with this port, waiting for it."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        tcpwatch.flush(1.0)
        for span in exporter.get_finished_spans():
            attributes = span.attributes or {}
            if span.name == "tcp.connection" and attributes.get("network.peer.port") == port:
                return span
        time.sleep(0.01)
    raise AssertionError(f"no connection span of the client on port {port}")


def shown(who: str, port: int, *wanted: str) -> list[str]:
    """Return lines with some attributes of a connection span; an absent one is an error."""
    attributes = span_of(port).attributes or {}
    lines = [f"  {name:<36} {spelt(attributes[name])}" for name in wanted]
    return [f"{who}: tcp.connection", *lines]


def measured(port: int, **wanted: str) -> list[str]:
    """Return lines with metrics of the server on `port`; `wanted` maps `a__b` to its attribute."""
    points = sorted(_points(port), key=lambda point: (point[0], str(sorted(point[1].items()))))
    lines = []
    for key, attribute in wanted.items():
        for name, attributes, value in points:
            if name != key.replace("__", ".") or (attribute and not value):
                continue
            extra = f"{{{attribute}={attributes[attribute]}}}" if attribute else ""
            lines.append(f"{name}{extra}  {spelt(value)}")
    return lines


def _points(port: int) -> Iterator[tuple[str, dict[str, Any], Any]]:
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    attributes = dict(point.attributes or {})
                    if attributes.get("server.port", port) == port:
                        value = getattr(point, "value", None)
                        found = getattr(point, "max", 0) if value is None else value
                        yield metric.name, attributes, found


def spelt(value: Any) -> str:
    """Return a value as the docs write it: a duration in milliseconds' steps."""
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.3f}"
    return str(value)


def value_of(lines: list[str], name: str) -> float:
    """Return the number in the line of `name`."""
    return next(float(line.split()[-1]) for line in lines if line.split()[0].startswith(name))
