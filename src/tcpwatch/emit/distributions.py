"""Histograms that cost nothing while they are filled: values are noted, and sorted when collected.

The SDK aggregates each value as it comes, for about 10 µs; a connection has a dozen of them. Here a
series keeps what came since it was last looked at, and counts all of it at once. Nothing is sampled
or rounded: the points are the SDK's.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from itertools import count, repeat
from time import time_ns
from typing import Any, Final, NamedTuple

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
)

Origin = tuple[int, int]
"""The trace and span that a value belongs to, or NOBODY."""

NOBODY: Final[Origin] = (0, 0)
"""Nothing that is exported."""

Noted = tuple[int, Origin, int]
"""A value, whose it is, and the wall clock (ns)."""

LARGEST: Final = 256
"""So many values of a series wait at most, in a process that nobody collects from."""

MOST_SERIES: Final = 2000
"""Sets of attributes per histogram, the default of the SDK's specification; the rest is one."""

OVERFLOW: Final = {"otel.metric.overflow": True}


class Series(NamedTuple):
    """Where the values of one set of attributes go; those of spans may become exemplars.

    `record_of_spans` also wants each value's origin and time, two lists as long as its first.
    """

    record: Callable[[Sequence[int]], None]
    record_of_spans: Callable[[Sequence[int], Sequence[Origin], Sequence[int]], None]


class Sorted(NamedTuple):
    """Values in order, how many are in each bucket, and the last sampled one of each."""

    values: list[int]
    counts: list[int]
    exemplars: dict[int, Noted]


class Point:
    """What one reader knows of one series."""

    __slots__ = ("count", "counts", "exemplars", "highest", "lowest", "start_ns", "total")

    def __init__(self, buckets: int, start_ns: int) -> None:
        self.start_ns = start_ns
        self.counts = [0] * buckets
        self.count = self.total = 0
        self.lowest, self.highest = float("inf"), float("-inf")
        self.exemplars: dict[int, Noted] = {}

    def add(self, found: Sorted) -> None:
        """Take in values."""
        values, counts, exemplars = found
        self.counts = [old + new for old, new in zip(self.counts, counts, strict=True)]
        self.count += len(values)
        self.total += sum(values)
        self.lowest = min(self.lowest, values[0])
        self.highest = max(self.highest, values[-1])
        self.exemplars.update(exemplars)

    def export(
        self, attributes: Any, bounds: Sequence[float], scale: int, now: int
    ) -> HistogramDataPoint:
        """Return it as the SDK's; exemplars are told once."""
        exemplars, self.exemplars = self.exemplars, {}
        return HistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=self.start_ns,
            time_unix_nano=now,
            count=self.count,
            sum=self.total / scale,
            bucket_counts=tuple(self.counts),
            explicit_bounds=bounds,
            min=self.lowest / scale,
            max=self.highest / scale,
            exemplars=[
                Exemplar({}, value / scale, when, span_id, trace_id)
                for value, (trace_id, span_id), when in exemplars.values()
            ],
        )


class Waiting:
    """The values of one set of attributes that no reader has seen yet, and what each has seen."""

    __slots__ = ("attributes", "exemplars", "points", "values")

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes
        self.values: list[int] = []
        self.exemplars: dict[int, Noted] = {}
        """The last value of each bucket that belongs to a span."""
        self.points: dict[Hashable, Point] = {}

    def take(self) -> list[int]:
        """Take away the values that have come; others may add to them all the while."""
        values = self.values[:]
        del self.values[: len(values)]
        return values


class Distribution:
    """One histogram: its series, and what each reader has been told.

    Values are whole numbers, `scale` of them to the unit: nanoseconds, of which a second has 10⁹.
    """

    def __init__(
        self, name: str, unit: str, meaning: str, bounds: Sequence[float], scale: int = 1
    ) -> None:
        self.name, self.unit, self.meaning, self.scale = name, unit, meaning, scale
        self.bounds = tuple(float(bound) for bound in bounds)
        self._edges = [round(bound * scale) for bound in bounds]
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
        return Series(waiting.values.extend, partial(self._record_of_spans, waiting))

    def _record_of_spans(
        self,
        waiting: Waiting,
        values: Sequence[int],
        origins: Sequence[Origin],
        times: Sequence[int],
    ) -> None:
        buckets = map(bisect_left, repeat(self._edges), values)
        if NOBODY in origins:
            theirs = zip(buckets, enumerate(origins), strict=True)
            last_of_each = {bucket: at for bucket, (at, origin) in theirs if origin != NOBODY}
        else:
            last_of_each = dict(zip(buckets, count()))  # one of them never ends
        with self._lock:
            waiting.values.extend(values)
            for bucket, at in last_of_each.items():
                waiting.exemplars[bucket] = values[at], origins[at], times[at]

    def tidy(self, readers: Sequence[Hashable]) -> bool:
        """Sort what waits in long series; call it now and then. Return whether there was one."""
        full = [one for one in list(self._waiting.values()) if len(one.values) > LARGEST]
        for waiting in full:
            with self._lock:
                self._sort(waiting, readers)
        return bool(full)

    def _sort(self, waiting: Waiting, readers: Sequence[Hashable]) -> None:
        values = waiting.take()
        if not values:
            return
        values.sort()
        edges = [bisect_right(values, edge) for edge in self._edges]
        counts = [
            upto - before for before, upto in zip((0, *edges), (*edges, len(values)), strict=True)
        ]
        found = Sorted(values, counts, waiting.exemplars)
        waiting.exemplars = {}
        for reader in readers:
            point = waiting.points.get(reader)
            if point is None:
                start = self._read_ns.get(reader, self._began_ns)
                point = waiting.points[reader] = Point(len(counts), start)
            point.add(found)

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
                points.append(point.export(waiting.attributes, self.bounds, self.scale, now))
                if delta:
                    del waiting.points[reader]
            if delta:
                self._read_ns[reader] = now
        if not points:
            return None
        return Metric(self.name, self.meaning, self.unit, Histogram(points, temporality))
