"""What has finished, to histograms, in the context of its span so that exemplars lead to traces."""

from __future__ import annotations

from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import Meter

from tcpwatch import names
from tcpwatch.core.record import ConnectionRecord, Interval, RequestRecord
from tcpwatch.core.timeline import Timeline
from tcpwatch.emit import attributes as words
from tcpwatch.emit.tracing import span_context
from tcpwatch.hub.loop import Loop
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


class Histograms:
    """The sink that records what has finished, in the context of its span (for exemplars)."""

    def __init__(self, meter: Meter) -> None:
        def histogram(name: str) -> Any:
            unit, buckets, meaning = HISTOGRAMS[name]
            return meter.create_histogram(
                name, unit, meaning, explicit_bucket_boundaries_advisory=list(buckets)
            )

        self._duration = histogram(names.M_CONNECTION_DURATION)
        self._phase = histogram(names.M_PHASE_DURATION)
        self._wait = histogram(names.M_QUEUE_WAIT)
        self._length = histogram(names.M_QUEUE_LENGTH)
        self._request = histogram(names.M_REQUEST_DURATION)
        self._listeners: dict[int, dict[str, Any]] = {}

    def _listener(self, loop: Loop) -> dict[str, Any]:
        key = loop.listener.key
        found = self._listeners.get(key)
        if found is None:
            found = self._listeners[key] = words.listener_attributes(loop.listener)
        return found

    def intervals(self, loop: Loop, intervals: list[Interval], connection: Timeline) -> None:
        """Record the phases; the accept queue's has a histogram of its own."""
        listener, accepted = self._listener(loop), connection.accepted
        if accepted is None:
            return
        sampled = _context(accepted.trace_id, accepted.span_id, connection.sampled)
        for interval in intervals:
            if interval.phase == names.ACCEPT_QUEUE:
                self._wait.record(interval.seconds, listener, sampled)
                continue
            self._phase.record(
                interval.seconds, {**listener, names.PHASE_NAME: interval.phase}, sampled
            )

    def accepted(self, loop: Loop, connection: Timeline) -> None:
        """Record the depth of the queue that an accept has left behind."""
        accepted = connection.accepted
        if accepted is not None and accepted.depth is not None:
            sampled = _context(accepted.trace_id, accepted.span_id, connection.sampled)
            self._length.record(accepted.depth, self._listener(loop), sampled)

    def request(self, loop: Loop, request: RequestRecord, connection: Timeline) -> None:
        """Record a request, unless another instrumentation does."""
        exchanged = request.exchanged
        if exchanged.peer_instrumented or exchanged.excluded:
            return
        self._request.record(
            (request.end_ns - request.start_ns) / 1e9,
            words.request_metric_attributes(exchanged),
            _context(exchanged.trace_id, exchanged.span_id, bool(exchanged.flags)),
        )

    def connection(self, loop: Loop, record: ConnectionRecord, blocker: Blocker | None) -> bool:
        """Record a connection's lifetime."""
        found = {**self._listener(loop), names.CONNECTION_OUTCOME: record.outcome}
        if record.error is not None:
            found[names.ERROR_TYPE] = record.error
        accepted = record.accepted
        context = _context(accepted.trace_id, accepted.span_id, record.sampled)
        self._duration.record(record.seconds, found, context)
        return False


def _context(trace_id: int, span_id: int, sampled: bool) -> Context:
    span = trace.NonRecordingSpan(span_context(trace_id, span_id, int(sampled)))
    return trace.set_span_in_context(span, Context())
