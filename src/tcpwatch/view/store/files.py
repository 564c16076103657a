"""Recordings as files: OTLP JSON lines, as the OpenTelemetry Collector's file exporter writes them.

One line is one export: `{"resourceSpans": …}` or `{"resourceMetrics": …}`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tcpwatch.view import messages
from tcpwatch.view.store.store import Store

_BATCH = 500
LONGEST_LINE = 64 * 1024 * 1024
_IDS = ("traceId", "spanId", "parentSpanId")


class NotARecordingError(ValueError):
    """A line is no OTLP JSON; the text says which and why."""


def read_lines(store: Store, lines: Iterable[bytes], name: str) -> int:
    """Put a recording into the store and return how many spans and points were refused.

    Args:
        store: where it goes.
        lines: the file's lines.
        name: what the file is called, for the error.

    Raises:
        NotARecordingError: a line is not what it has to be; what was before it is stored.
        StoreError: the store cannot be written.
    """
    refused = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            refused += _take(store, line)
        except messages.GarbageError as error:
            raise NotARecordingError(
                f"{name}, line {number}: {error}. Expected OTLP JSON lines, as tcpwatch exports "
                "and the collector's file exporter writes them."
            ) from error
    return refused


def write_lines(store: Store) -> Iterator[bytes]:
    """Return the whole store as lines: spans, points, logs, each in the order of arrival."""
    at = -1
    while batch := store.read(
        f"""SELECT s.seq, s.body, o.id, o.resource, o.resource_schema, o.scope, o.scope_schema
        FROM spans s JOIN origins o ON o.id = s.origin WHERE s.seq > ? ORDER BY s.seq
        LIMIT {_BATCH}""",
        [at],
    ):
        at = batch[-1][0]
        yield _line(_traces(batch))
    at = -1
    while batch := store.read(
        f"""SELECT p.seq, p.body, o.id, o.resource, o.resource_schema, o.scope, o.scope_schema,
            e.descriptor
        FROM points p JOIN series e ON e.id = p.series JOIN origins o ON o.id = e.origin
        WHERE p.seq > ? ORDER BY p.seq LIMIT {_BATCH}""",
        [at],
    ):
        at = batch[-1][0]
        yield _line(_metrics(batch))
    at = -1
    while batch := store.read(
        f"""SELECT l.seq, l.body, o.id, o.resource, o.resource_schema, o.scope, o.scope_schema
        FROM logs l JOIN origins o ON o.id = l.origin WHERE l.seq > ? ORDER BY l.seq
        LIMIT {_BATCH}""",
        [at],
    ):
        at = batch[-1][0]
        yield _line(_logs(batch))


def _take(store: Store, line: bytes) -> int:
    if len(line) > LONGEST_LINE:
        raise messages.GarbageError(f"it is longer than {LONGEST_LINE} bytes")
    if b'"resourceMetrics"' in line[:200]:
        return store.add_metrics(
            messages.decode(line, messages.JSON, ExportMetricsServiceRequest()), everywhere=True
        )
    if b'"resourceLogs"' in line[:200]:
        return store.add_logs(
            messages.decode(line, messages.JSON, ExportLogsServiceRequest()), everywhere=True
        )
    request = messages.decode(line, messages.JSON, ExportTraceServiceRequest())
    if not request.resource_spans:
        raise messages.GarbageError("it has neither resourceSpans nor resourceMetrics")
    return store.add_traces(request, everywhere=True)


def _traces(batch: list[tuple[Any, ...]]) -> Message:
    request = ExportTraceServiceRequest()
    present: object = None
    of_scope: Any = None
    for _, body, origin, *common in batch:
        if origin != present:
            of_scope = _opened(request.resource_spans.add(), "scope_spans", common)
            present = origin
        of_scope.spans.append(Span.FromString(body))
    return request


def _metrics(batch: list[tuple[Any, ...]]) -> Message:
    request = ExportMetricsServiceRequest()
    present: object = None
    metric: Any = None
    of_scope: Any = None
    for _, body, origin, *common, descriptor in batch:
        if origin != present:
            of_scope = _opened(request.resource_metrics.add(), "scope_metrics", common)
            present, metric = origin, None
        if metric is None or metric[0] != descriptor:
            of_scope.metrics.append(Metric.FromString(descriptor))
            metric = (descriptor, of_scope.metrics[-1])
        one = metric[1]
        points = getattr(one, one.WhichOneof("data")).data_points
        points.add().ParseFromString(body)
    return request


def _logs(batch: list[tuple[Any, ...]]) -> Message:
    request = ExportLogsServiceRequest()
    present: object = None
    of_scope: Any = None
    for _, body, origin, *common in batch:
        if origin != present:
            of_scope = _opened(request.resource_logs.add(), "scope_logs", common)
            present = origin
        of_scope.log_records.append(LogRecord.FromString(body))
    return request


def _opened(of_resource: Any, scopes: str, common: list[Any]) -> Any:
    resource, resource_schema, scope, scope_schema = common
    of_resource.resource.ParseFromString(resource)
    of_resource.schema_url = resource_schema
    of_scope = getattr(of_resource, scopes).add()
    of_scope.scope.ParseFromString(scope)
    of_scope.schema_url = scope_schema
    return of_scope


def _line(request: Message) -> bytes:
    plain = json_format.MessageToDict(request, use_integers_for_enums=True)
    return json.dumps(_with_hex_ids(plain), separators=(",", ":")).encode() + b"\n"


def _with_hex_ids(node: Any) -> Any:
    """Protobuf's JSON has ids in base64 where OTLP's wants hex."""
    if isinstance(node, list):
        return [_with_hex_ids(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: base64.b64decode(value).hex()
        if key in _IDS and isinstance(value, str)
        else _with_hex_ids(value)
        for key, value in node.items()
    }
