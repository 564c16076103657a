"""OTLP as JSON, one export request in each line: the format of the collector's file exporter."""

from __future__ import annotations

import json
from collections.abc import Iterable

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tcpwatch.view import messages
from tcpwatch.view.recording import Recording


class UnreadableError(Exception):
    """It is no such recording; the message says where it stops being one."""


def read(lines: Iterable[bytes], name: str, recording: Recording) -> None:
    """Add lines to a recording.

    Raises:
        OSError: they cannot be read.
        UnreadableError: a line of `name` is something else; those before it have been added.
    """
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                _take(line, recording)
        except ValueError as error:
            raise UnreadableError(
                f"{name}, line {number}: expected OTLP as JSON, one request in a line ({error})"
            ) from error


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
