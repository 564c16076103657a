"""Histograms that cost nothing while they are filled: values are noted, and sorted when collected.

The SDK aggregates each value as it comes, for about 10 µs; a connection has a dozen of them. Here a
value costs one `list.append`: a series keeps what came since it was last looked at, and sorting
that gives all its buckets at once. Nothing is sampled or rounded: the points are the SDK's.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Sequence
from time import time_ns
from typing import Any, Final, NamedTuple

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
)

Noted = tuple[float, int, int, int]
"""A value of a sampled span: value, trace id, span id, wall clock (ns)."""

LARGEST: Final = 1024
"""So many values of a series wait at most, in a process that nobody collects from."""

MOST_SERIES: Final = 2000
"""Sets of attributes per histogram, the default of the SDK's specification; the rest is one."""

OVERFLOW: Final = {"otel.metric.overflow": True}


class Series(NamedTuple):
    """Where the values of one set of attributes go; sampled ones may become exemplars."""

    record: Callable[[float], None]
    record_sampled: Callable[[Noted], None]


class Point:
    """What one reader knows of one series."""

    __slots__ = ("count", "counts", "exemplars", "highest", "lowest", "start_ns", "total")

    def __init__(self, buckets: int, start_ns: int) -> None:
        self.start_ns = start_ns
        self.counts = [0] * buckets
        self.count = 0
        self.total = 0.0
        self.lowest, self.highest = float("inf"), float("-inf")
        self.exemplars: dict[int, Noted] = {}

    def add(self, values: list[float], counts: list[int], exemplars: dict[int, Noted]) -> None:
        """Take in sorted values, which fall into the buckets like this."""
        self.counts = [old + new for old, new in zip(self.counts, counts, strict=True)]
        self.count += len(values)
        self.total += sum(values)
        self.lowest = min(self.lowest, values[0])
        self.highest = max(self.highest, values[-1])
        self.exemplars.update(exemplars)

    def export(self, attributes: Any, bounds: Sequence[float], now: int) -> HistogramDataPoint:
        """Return it as the SDK's; exemplars are told once."""
        exemplars, self.exemplars = self.exemplars, {}
        return HistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=self.start_ns,
            time_unix_nano=now,
            count=self.count,
            sum=self.total,
            bucket_counts=tuple(self.counts),
            explicit_bounds=bounds,
            min=self.lowest,
            max=self.highest,
            exemplars=[
                Exemplar({}, value, when, span_id, trace_id)
                for value, trace_id, span_id, when in exemplars.values()
            ],
        )


class Waiting:
    """The values of one set of attributes that no reader has seen yet, and what each has seen."""

    __slots__ = ("attributes", "points", "sampled", "values")

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes
        self.values: list[float] = []
        self.sampled: list[Noted] = []
        self.points: dict[Hashable, Point] = {}

    def take(self) -> tuple[list[float], list[Noted]]:
        """Take away what has come so far; the worker may append all the while."""
        values, sampled = self.values[:], self.sampled[:]
        del self.values[: len(values)], self.sampled[: len(sampled)]
        values.extend(noted[0] for noted in sampled)
        values.sort()
        return values, sampled


class Distribution:
    """One histogram: its series, and what each reader has been told."""

    def __init__(self, name: str, unit: str, meaning: str, bounds: Sequence[float]) -> None:
        self.name, self.unit, self.meaning = name, unit, meaning
        self.bounds = tuple(float(bound) for bound in bounds)
        self._waiting: dict[Hashable, Waiting] = {}
        self._began_ns = time_ns()
        self._read_ns: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    def series(self, attributes: dict[str, Any]) -> Series:
        """Return the series of these attributes, or the one of those that are too many."""
        key: Hashable = tuple(sorted(attributes.items()))
        with self._lock:
            if key not in self._waiting and len(self._waiting) >= MOST_SERIES:
                attributes, key = dict(OVERFLOW), "overflow"
            waiting = self._waiting.setdefault(key, Waiting(attributes))
        return Series(waiting.values.append, waiting.sampled.append)

    def tidy(self, readers: Sequence[Hashable]) -> None:
        """Sort what waits in long series; call it now and then."""
        for waiting in list(self._waiting.values()):
            if len(waiting.values) + len(waiting.sampled) > LARGEST:
                with self._lock:
                    self._sort(waiting, readers)

    def _sort(self, waiting: Waiting, readers: Sequence[Hashable]) -> None:
        values, sampled = waiting.take()
        if not values:
            return
        edges = [bisect_right(values, bound) for bound in self.bounds]
        counts = [
            upto - before for before, upto in zip((0, *edges), (*edges, len(values)), strict=True)
        ]
        exemplars: dict[int, Noted] = {}
        filled = sum(1 for count in counts if count)
        for noted in reversed(sampled):
            exemplars.setdefault(bisect_left(self.bounds, noted[0]), noted)
            if len(exemplars) == filled:
                break
        for reader in readers:
            point = waiting.points.get(reader)
            if point is None:
                start = self._read_ns.get(reader, self._began_ns)
                point = waiting.points[reader] = Point(len(counts), start)
            point.add(values, counts, exemplars)

    def collect(
        self, reader: Hashable, readers: Sequence[Hashable], temporality: AggregationTemporality
    ) -> Metric | None:
        """Return what `reader` shall see now; None if there is nothing."""
        delta = temporality is AggregationTemporality.DELTA
        points = []
        with self._lock:
            now = time_ns()
            for waiting in self._waiting.values():
                self._sort(waiting, readers)
                point = waiting.points.get(reader)
                if point is None:
                    continue
                points.append(point.export(waiting.attributes, self.bounds, now))
                if delta:
                    del waiting.points[reader]
            if delta:
                self._read_ns[reader] = now
        if not points:
            return None
        return Metric(self.name, self.meaning, self.unit, Histogram(points, temporality))
