"""From OTLP messages to the viewer's nouns; an id of the wrong length is refused, not repaired."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from tcpwatch.view.signals import Attributes, Event, Exemplar, Link, Point, Span, Value

KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUSES = ("UNSET", "OK", "ERROR")
SHAPES = {
    "sum": "sum",
    "gauge": "gauge",
    "histogram": "histogram",
    "exponential_histogram": "histogram",
}
TEMPORALITIES = ("", "DELTA", "CUMULATIVE")


def spans(request: ExportTraceServiceRequest) -> tuple[list[Span], int]:
    """Return the request's spans and how many were refused for an invalid id."""
    good: list[Span] = []
    refused = 0
    for of_resource in request.resource_spans:
        resource = attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                if has_ids(span):
                    good.append(one_span(span, of_scope.scope.name, resource, of_scope.schema_url))
                else:
                    refused += 1
    return good, refused


def points(request: ExportMetricsServiceRequest) -> list[Point]:
    """Return the request's points; of an exponential histogram only count, sum, min and max."""
    return [
        point
        for of_resource in request.resource_metrics
        for resource in [attributes(of_resource.resource.attributes)]
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
        for point in _points(metric, of_scope.scope.name, resource)
    ]


def one_span(span: trace_pb2.Span, scope: str, resource: Attributes, schema_url: str = "") -> Span:
    """Return a span in the viewer's terms, with the scope and the resource it came with."""
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        name=span.name,
        kind=_named(KINDS, span.kind),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=attributes(span.attributes),
        links=tuple(
            Link(link.trace_id.hex(), link.span_id.hex(), attributes(link.attributes))
            for link in span.links
        ),
        events=tuple(
            Event(event.name, event.time_unix_nano, attributes(event.attributes))
            for event in span.events
        ),
        status=_named(STATUSES, span.status.code),
        status_message=span.status.message,
        scope=scope,
        scope_schema_url=schema_url,
        resource=resource,
        trace_state=span.trace_state,
        flags=span.flags,
    )


def has_ids(span: trace_pb2.Span) -> bool:
    """Say whether a span's ids are of the specification's length and not all zeros."""
    return _is_id(span.trace_id, 16) and _is_id(span.span_id, 8)


def temporality(number: int) -> str:
    """Return "DELTA", "CUMULATIVE" or "" for OTLP's number."""
    return _named(TEMPORALITIES, number)


def _points(metric: metrics_pb2.Metric, scope: str, resource: Attributes) -> Iterator[Point]:
    shape = metric.WhichOneof("data")
    if shape not in SHAPES:
        return
    data: Any = getattr(metric, shape)
    for point in data.data_points:
        is_number = shape in ("sum", "gauge")
        has_buckets = shape == "histogram"
        yield Point(
            name=metric.name,
            unit=metric.unit,
            kind=SHAPES[shape],
            monotonic=shape != "gauge" and getattr(data, "is_monotonic", True),
            temporality=TEMPORALITIES[0]
            if shape == "gauge"
            else _named(TEMPORALITIES, data.aggregation_temporality),
            attributes=attributes(point.attributes),
            value=_number(point) if is_number else None,
            count=0 if is_number else point.count,
            sum=_optional(point, "sum"),
            min=_optional(point, "min"),
            max=_optional(point, "max"),
            bounds=tuple(point.explicit_bounds) if has_buckets else (),
            bucket_counts=tuple(point.bucket_counts) if has_buckets else (),
            start_ns=point.start_time_unix_nano,
            time_ns=point.time_unix_nano,
            scope=scope,
            resource=resource,
            exemplars=_exemplars(point.exemplars),
        )


def _optional(point: Any, name: str) -> float | None:
    known = name in point.DESCRIPTOR.fields_by_name and point.HasField(name)
    return getattr(point, name) if known else None


def _exemplars(exemplars: Iterable[metrics_pb2.Exemplar]) -> tuple[Exemplar, ...]:
    return tuple(
        Exemplar(
            value=_number(exemplar) or 0,
            trace_id=exemplar.trace_id.hex(),
            span_id=exemplar.span_id.hex(),
            time_ns=exemplar.time_unix_nano,
        )
        for exemplar in exemplars
    )


def _number(point: metrics_pb2.NumberDataPoint | metrics_pb2.Exemplar) -> int | float | None:
    shape = point.WhichOneof("value")
    if shape == "as_int":
        return point.as_int
    return point.as_double if shape == "as_double" else None


def attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    """Return attributes as a plain dictionary; of a repeated key the last."""
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Value:
    shape = value.WhichOneof("value")
    if shape == "array_value":
        return tuple(_value(item) for item in value.array_value.values)
    if shape == "kvlist_value":
        return attributes(value.kvlist_value.values)
    plain: Value = getattr(value, shape) if shape else None
    return plain


def _is_id(raw: bytes, length: int) -> bool:
    return len(raw) == length and any(raw)


def _named(names: tuple[str, ...], number: int) -> str:
    return names[number] if 0 <= number < len(names) else str(number)
