"""A recording's own figures: how long its connections were in each phase."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tcpwatch import names
from tcpwatch.view import messages
from tcpwatch.view.connections import Connection, text
from tcpwatch.view.recording import Recording


class UnreadableError(Exception):
    """The file is no recording; the message says where it stops being one."""


@dataclass(frozen=True)
class Spent:
    """Seconds that connections were in a phase: how many were, their median, the longest."""

    count: int
    median: float
    longest: float


@dataclass(frozen=True)
class Measured:
    """What a recording says of connections; `of` names the server classes that they are of."""

    connections: int
    of: tuple[str, ...]
    phases: Mapping[str, Spent]


def read(file: Path) -> Recording:
    """Read OTLP as JSON, one export request in each line: the collector's file format.

    Raises:
        OSError: the file cannot be read.
        UnreadableError: a line is something else.
    """
    recording = Recording()
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    _take(line, recording)
                except ValueError as error:
                    raise UnreadableError(
                        f"{file}, line {number}: expected OTLP as JSON, one request in a line"
                        f" ({error})"
                    ) from error
    return recording


def _take(line: bytes, recording: Recording) -> None:
    kinds = json.loads(line)
    if not isinstance(kinds, dict):
        raise messages.GarbageError(f"found {type(kinds).__name__}")
    if "resourceSpans" in kinds:
        recording.add_traces(messages.decode(line, messages.JSON, ExportTraceServiceRequest()))
    elif "resourceMetrics" in kinds:
        recording.add_metrics(messages.decode(line, messages.JSON, ExportMetricsServiceRequest()))
    elif "resourceLogs" not in kinds:
        raise messages.GarbageError(f"found {', '.join(sorted(kinds)[:3]) or 'nothing'}")


def measure(recording: Recording, server: str) -> Measured:
    """Return the figures of the connections to servers of this class; of all, if there are none."""
    every = [
        Connection(span)
        for span in recording.spans
        if span.name in (names.SPAN_TCP, names.SPAN_UNIX) and span.scope == names.SCOPE
    ]
    chosen = [one for one in every if _server(one) == server] or every
    seconds: dict[str, list[float]] = defaultdict(list)
    for connection in chosen:
        for phase, spent in connection.phases.items():
            seconds[phase].append(spent)
    return Measured(
        len(chosen),
        tuple(sorted({_server(one) for one in chosen})),
        {phase: _spent(values) for phase, values in seconds.items()},
    )


def _server(connection: Connection) -> str:
    return text(connection.span.attributes, names.SERVER_CLASS)


def _spent(values: Iterable[float]) -> Spent:
    known = list(values)
    return Spent(len(known), statistics.median(known), max(known))
