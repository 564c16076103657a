"""The nouns of the viewer: a span and a metric point as they came over OTLP, in plain Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

Value = Union[None, bool, int, float, str, bytes, "tuple[Value, ...]", "Mapping[str, Value]"]
"""What an attribute can hold."""

Attributes = Mapping[str, Value]


@dataclass(frozen=True)
class Link:
    """A span's pointer to another span; ids are lower-case hex."""

    trace_id: str
    span_id: str
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """Something that happened during a span, at `time_ns` of the wall clock."""

    name: str
    time_ns: int
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class Span:
    """One finished span. Ids are lower-case hex, `parent_span_id` is "" for a root."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: Attributes = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    events: tuple[Event, ...] = ()
    status: str = "UNSET"
    status_message: str = ""
    scope: str = ""
    scope_schema_url: str = ""
    resource: Attributes = field(default_factory=dict)
    trace_state: str = ""
    flags: int = 0

    @property
    def duration(self) -> float:
        """Seconds from start to end."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True)
class Exemplar:
    """One measurement that stands for its point, with the span it was made in ("" if none)."""

    value: float
    trace_id: str
    span_id: str
    time_ns: int


@dataclass(frozen=True)
class Point:
    """One point of one metric series.

    `kind` is "sum", "gauge" or "histogram". Sums and gauges have `value`; histograms have `count`,
    `sum`, `bounds` and `bucket_counts`, and `min` and `max` if the sender knew them.
    `temporality` is "CUMULATIVE", "DELTA" or "" for a gauge.
    """

    name: str
    unit: str
    kind: str
    monotonic: bool = False
    temporality: str = ""
    attributes: Attributes = field(default_factory=dict)
    value: int | float | None = None
    count: int = 0
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    bounds: tuple[float, ...] = ()
    bucket_counts: tuple[int, ...] = ()
    start_ns: int = 0
    time_ns: int = 0
    scope: str = ""
    resource: Attributes = field(default_factory=dict)
    exemplars: tuple[Exemplar, ...] = ()
