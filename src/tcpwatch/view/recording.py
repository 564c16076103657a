"""What was received: a bounded, thread-safe store in memory, with a way to wait for something."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tcpwatch.view import decode
from tcpwatch.view.signals import Attributes, Event, Exemplar, Link, Point, Span, Value

__all__ = [
    "Attributes",
    "Event",
    "Exemplar",
    "Link",
    "Point",
    "Recording",
    "Span",
    "Value",
]


class Recording:
    """Keeps the newest spans and points; what had to go is counted in `evicted`.

    Args:
        max_spans: how many spans are kept, oldest out first.
        max_points: how many metric points are kept for `history`, oldest out first. The latest
            point of each series stays, for at most as many series, the least recent out first.
    """

    def __init__(self, max_spans: int = 200_000, max_points: int = 200_000) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._spans: deque[Span] = deque(maxlen=max_spans)
        self._history: deque[Point] = deque(maxlen=max_points)
        self._latest: dict[Hashable, Point] = {}
        self._evicted = 0

    @property
    def spans(self) -> list[Span]:
        """The spans received so far, in order of arrival."""
        with self._changed:
            return list(self._spans)

    @property
    def evicted(self) -> int:
        """How many spans were dropped for newer ones."""
        with self._changed:
            return self._evicted

    def points(self) -> list[Point]:
        """Return the latest point of each series (resource, scope, metric and attributes)."""
        with self._changed:
            return list(self._latest.values())

    def history(self, *names: str) -> list[Point]:
        """Return every kept point of the metrics of these names, in order of arrival."""
        with self._changed:
            return [point for point in self._history if point.name in names]

    def add_traces(self, request: ExportTraceServiceRequest) -> int:
        """Store the request's spans and return how many were refused for an invalid id."""
        spans, refused = decode.spans(request)
        with self._changed:
            before = len(self._spans)
            self._spans.extend(spans)
            self._evicted += before + len(spans) - len(self._spans)
            self._changed.notify_all()
        return refused

    def add_metrics(self, request: ExportMetricsServiceRequest) -> int:
        """Store the request's points and return how many were refused: none."""
        points = decode.points(request)
        with self._changed:
            self._history.extend(points)
            for point in points:
                series = _series(point)
                self._latest.pop(series, None)
                self._latest[series] = point
            for _ in range(len(self._latest) - (self._history.maxlen or 0)):
                del self._latest[next(iter(self._latest))]
            self._changed.notify_all()
        return 0

    def add_logs(self, request: ExportLogsServiceRequest) -> int:
        """Take the request's log records, keep none, and return how many were refused: none."""
        return 0

    def wait_until(self, predicate: Callable[[Recording], bool], timeout: float) -> bool:
        """Wait until `predicate(self)` holds, asking again whenever something arrives.

        The predicate runs with the store locked, so what it sees does not change under it; it
        must not wait for anything itself.

        Args:
            predicate: takes this recording.
            timeout: seconds to wait at most.

        Returns:
            Whether the predicate held in time.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while not predicate(self):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True


def _series(point: Point) -> Hashable:
    return (
        point.name,
        point.scope,
        frozenset(_frozen(point.attributes)),
        frozenset(_frozen(point.resource)),
    )


def _frozen(attributes: Attributes) -> Iterator[tuple[str, Hashable]]:
    for key, value in attributes.items():
        yield key, _hashable(value)


def _hashable(value: Value) -> Hashable:
    if isinstance(value, Mapping):
        return frozenset(_frozen(value))
    if isinstance(value, tuple):
        return tuple(_hashable(item) for item in value)
    # 1, 1.0 and True are equal keys in Python but different attribute values in OTLP.
    return type(value).__name__, value
