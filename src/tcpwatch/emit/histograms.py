"""What has finished, to histograms, with its span where that is sampled: exemplars lead to traces.

A series is looked up once for each set of attributes, not once for each value.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from time import time_ns
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import Meter, MeterProvider

from tcpwatch import names
from tcpwatch.core.record import Interval, RequestRecord
from tcpwatch.core.timeline import Timeline
from tcpwatch.emit import attributes as words
from tcpwatch.emit.collecting import Collecting
from tcpwatch.emit.distributions import Distribution, Noted, Series
from tcpwatch.emit.tracing import span_context
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.hub.output import Blocker

HISTOGRAMS: Final[dict[str, tuple[str, tuple[float, ...], str]]] = {
    names.M_CONNECTION_DURATION: (
        "s",
        names.CONNECTION_BUCKETS,
        "From ESTABLISHED in the kernel to the socket's close.",
    ),
    names.M_PHASE_DURATION: (
        "s",
        names.PHASE_BUCKETS,
        "One stretch of one phase of a connection.",
    ),
    names.M_QUEUE_WAIT: (
        "s",
        names.QUEUE_WAIT_BUCKETS,
        "From ESTABLISHED in the kernel to accept() returned.",
    ),
    names.M_QUEUE_LENGTH: (
        "{connection}",
        names.QUEUE_LENGTH_BUCKETS,
        "Connections left in the accept queue, seen at each accept.",
    ),
    names.M_REQUEST_DURATION: (
        "s",
        names.REQUEST_BUCKETS,
        "Duration of HTTP server requests.",
    ),
}
"""Unit, boundaries and meaning of each histogram."""


Recorder = Callable[[dict[str, Any]], Series]
"""Finds the series of a histogram's attributes."""


class Histograms:
    """The sink that records what has finished."""

    def __init__(self, provider: MeterProvider, meter: Meter) -> None:
        ours = {
            name: Distribution(name, unit, meaning, buckets)
            for name, (unit, buckets, meaning) in HISTOGRAMS.items()
        }
        collecting = self._collecting = Collecting.of(provider, ours)
        self._exemplars = collecting.exemplars if collecting is not None else None
        find = {
            name: collecting.distributions[name].series
            if collecting is not None
            else _of_the_sdk(meter, name)
            for name in HISTOGRAMS
        }
        self._duration = _Known(find[names.M_CONNECTION_DURATION])
        self._length = _Known(find[names.M_QUEUE_LENGTH])
        self._request = _Known(find[names.M_REQUEST_DURATION])
        self._find = find
        self._phases: dict[int, dict[str, Series]] = {}

    def accepted(self, loop: Loop, connection: Timeline) -> None:
        """Record the depth of the queue that an accept has left behind."""
        accepted, listener = connection.accepted, loop.listener
        if accepted is None or accepted.depth is None:
            return
        series = self._length.get(listener.key)
        if series is None:
            series = self._length.add(listener.key, words.listener_attributes(listener))
        if self._wanted(connection.sampled):
            noted = accepted.depth, accepted.trace_id, accepted.span_id, time_ns()
            series.record_sampled(noted)
        else:
            series.record(accepted.depth)

    def intervals(self, loop: Loop, intervals: Sequence[Interval], connection: Timeline) -> None:
        """Record the phases; the accept queue's has a histogram of its own."""
        phases = self._phases.get(loop.listener.key)
        if phases is None:
            phases = self._phases[loop.listener.key] = self._series_of(loop.listener)
        if not self._wanted(connection.sampled):
            for phase, start_ns, end_ns, _ in intervals:
                phases[phase].record((end_ns - start_ns) / 1e9)
            return
        accepted = connection.accepted
        assert accepted is not None
        trace_id, span_id, now = accepted.trace_id, accepted.span_id, time_ns()
        for phase, start_ns, end_ns, _ in intervals:
            phases[phase].record_sampled(((end_ns - start_ns) / 1e9, trace_id, span_id, now))

    def _series_of(self, listener: Listener) -> dict[str, Series]:
        common = words.listener_attributes(listener)
        find = self._find[names.M_PHASE_DURATION]
        found = {phase: find({**common, names.PHASE_NAME: phase}) for phase in names.PHASES[1:]}
        return {names.ACCEPT_QUEUE: self._find[names.M_QUEUE_WAIT](common), **found}

    def request(self, loop: Loop, request: RequestRecord, connection: Timeline) -> None:
        """Record a request, unless another instrumentation does."""
        exchanged = request.exchanged
        if exchanged.peer_instrumented or exchanged.excluded:
            return
        key = (
            exchanged.method,
            exchanged.scheme,
            exchanged.route,
            exchanged.status,
            exchanged.error,
            exchanged.version,
        )
        series = self._request.get(key)
        if series is None:
            series = self._request.add(key, words.request_metric_attributes(exchanged))
        seconds = (request.end_ns - request.start_ns) / 1e9
        if self._wanted(bool(exchanged.flags)):
            series.record_sampled((seconds, exchanged.trace_id, exchanged.span_id, time_ns()))
        else:
            series.record(seconds)

    def connection(self, loop: Loop, connection: Timeline, blocker: Blocker | None) -> bool:
        """Record a connection's lifetime."""
        key = (loop.listener.key, connection.outcome, connection.error)
        series = self._duration.get(key)
        if series is None:
            found = words.listener_attributes(loop.listener)
            found[names.CONNECTION_OUTCOME] = connection.outcome
            if connection.error is not None:
                found[names.ERROR_TYPE] = connection.error
            series = self._duration.add(key, found)
        accepted = connection.accepted
        if accepted is not None and self._wanted(connection.sampled):
            noted = connection.seconds, accepted.trace_id, accepted.span_id, time_ns()
            series.record_sampled(noted)
        else:
            series.record(connection.seconds)
        return False

    def tidy(self) -> None:
        """Keep what waits for the readers small."""
        if self._collecting is not None:
            self._collecting.tidy()

    def _wanted(self, sampled: bool) -> bool:
        return sampled if self._exemplars is None else self._exemplars


class _Known(dict[Hashable, Series]):
    """The series of one histogram by a key that is made faster than their attributes."""

    _MOST = 4096

    def __init__(self, find: Recorder) -> None:
        self._find = find

    def add(self, key: Hashable, attributes: dict[str, Any]) -> Series:
        """Look a series up; what a client may invent is in keys, so they are not kept for ever."""
        if len(self) >= self._MOST:
            self.clear()
        series = self[key] = self._find(attributes)
        return series


def _of_the_sdk(meter: Meter, name: str) -> Recorder:
    """Use an instrument of the SDK's."""
    unit, buckets, meaning = HISTOGRAMS[name]
    instrument: Any = meter.create_histogram(
        name, unit, meaning, explicit_bucket_boundaries_advisory=list(buckets)
    )

    def series(attributes: dict[str, Any]) -> Series:
        def record(value: float) -> None:
            instrument.record(value, attributes)

        def record_sampled(noted: Noted) -> None:
            value, trace_id, span_id, _ = noted
            span = trace.NonRecordingSpan(span_context(trace_id, span_id, 1))
            instrument.record(value, attributes, trace.set_span_in_context(span, Context()))

        return Series(record, record_sampled)

    return series
