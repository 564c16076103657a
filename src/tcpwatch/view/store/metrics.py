"""From OTLP metrics to rows: a point is a value and its body, a series is all it has in common."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics, ScopeMetrics

from tcpwatch.view import decode
from tcpwatch.view.signals import Attributes
from tcpwatch.view.store.rows import DAY_NS, INT64, Rows, service_of

NumberOrigin = Callable[[ResourceMetrics, ScopeMetrics, str], "int | None"]
NumberSeries = Callable[[int, str, Metric, Attributes, bytes], "int | None"]


def of_metrics(
    request: ExportMetricsServiceRequest,
    seq: int,
    number_origin: NumberOrigin,
    number_series: NumberSeries,
) -> tuple[Rows, int]:
    """Return the rows of a request's points, and how many points were refused.

    Args:
        request: what was sent.
        seq: the first point's; the following count up from it.
        number_origin: gives a resource and a scope their number, None when there are too many.
        number_series: gives the series (origin, service, metric without points, attributes, key)
            its number, None when there are too many.
    """
    rows: Rows = defaultdict(list)
    refused, latest = 0, time.time_ns() + DAY_NS
    for of_resource in request.resource_metrics:
        service = service_of(of_resource.resource)
        for of_scope in of_resource.scope_metrics:
            origin = number_origin(of_resource, of_scope, service)
            for metric in of_scope.metrics:
                empty = descriptor(metric)
                for point in _points(metric):
                    series = None
                    if origin is not None and point.time_unix_nano <= latest:
                        found = decode.attributes(point.attributes)
                        key = _key(empty, point)
                        series = number_series(origin, service, empty, found, key)
                    if series is None:
                        refused += 1
                        continue
                    rows["points"].append(
                        (
                            seq,
                            series,
                            min(point.time_unix_nano, INT64),
                            min(point.start_time_unix_nano, INT64),
                            _value(point),
                            point.SerializeToString(),
                        )
                    )
                    seq += 1
    return rows, refused


def descriptor(metric: Metric) -> Metric:
    """Return the metric without its points: name, unit, kind and temporality."""
    empty = Metric(
        name=metric.name,
        description=metric.description,
        unit=metric.unit,
        metadata=metric.metadata,
    )
    shape = metric.WhichOneof("data")
    if shape:
        data, kept = getattr(metric, shape), getattr(empty, shape)
        kept.SetInParent()
        for field in ("aggregation_temporality", "is_monotonic"):
            if field in data.DESCRIPTOR.fields_by_name:
                setattr(kept, field, getattr(data, field))
    return empty


def _points(metric: Metric) -> Iterator[Any]:
    shape = metric.WhichOneof("data")
    yield from getattr(metric, shape).data_points if shape else ()


def _key(empty: Metric, point: Any) -> bytes:
    pairs = sorted(pair.SerializeToString() for pair in point.attributes)
    parts = [empty.SerializeToString(), *pairs]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _value(point: Any) -> float | None:
    """Return a number's value, or how many values a histogram or summary has counted."""
    if "count" in point.DESCRIPTOR.fields_by_name:
        return float(point.count)
    shape = point.WhichOneof("value")
    value = float(getattr(point, shape)) if shape else math.nan
    return value if math.isfinite(value) else None
