"""Records to spans: the connection, its phases, and the requests that were only carried."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from tcpwatch import names
from tcpwatch.core.course import Leg
from tcpwatch.core.marks import Accepted
from tcpwatch.core.record import ConnectionRecord, RequestRecord
from tcpwatch.core.timeline import Timeline
from tcpwatch.emit import attributes as words
from tcpwatch.emit.keep import Keeper
from tcpwatch.emit.requests import CHILDREN_OF_CONNECTION
from tcpwatch.emit.tracing import FinishedSpan, Tracing, span_context
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.hub.output import Blocker
from tcpwatch.settings import Settings

_ERRORS: Final = frozenset({names.TLS_FAILED, names.HANDLER_ERROR, names.TIMEOUT, names.CHILD_DIED})
_SAMPLED: Final = int(TraceFlags.SAMPLED)


class Spans:
    """The sink that makes spans; it decides at a connection's end whether it is exported."""

    def __init__(self, tracing: Tracing, keeper: Keeper, settings: Settings) -> None:
        self._tracing, self._keeper, self._settings = tracing, keeper, settings
        self._shortest_ns = int(settings.phase_span_min * 1e9)
        self._unsampled: OrderedDict[int, list[RequestRecord]] = OrderedDict()

    def take(self, loop: Loop, connection: Timeline, leg: Leg, blocker: Blocker | None) -> bool:
        """Export what is to be exported; phase spans wait for their connection's end."""
        for request in connection.requests:
            self._request(request, connection)
        return connection.outcome is not None and self._connection(loop, connection, blocker)

    def _request(self, request: RequestRecord, connection: Timeline) -> None:
        """Build a carried request span now if it was sampled, at its connection's end if kept."""
        exchanged, accepted = request.exchanged, connection.accepted
        if (
            accepted is None
            or exchanged.exported
            or not exchanged.span_id
            or exchanged.peer_instrumented
        ):
            return
        if exchanged.flags & _SAMPLED:
            self._emit_request(request, accepted, exchanged.flags)
        else:
            requests = self._unsampled.setdefault(connection.key, [])
            if len(requests) < CHILDREN_OF_CONNECTION and not exchanged.parent_is_remote:
                requests.append(request)

    def tidy(self) -> None:
        """Nothing waits here."""

    def _connection(self, loop: Loop, connection: Timeline, blocker: Blocker | None) -> bool:
        """Export a connection that was sampled or that is worth keeping. Return whether it was."""
        unsampled = self._unsampled.pop(connection.key, ())
        if not self._tracing.enabled:
            return False
        if not self._is_wanted(connection):
            return False
        record = connection.record()
        listener, accepted = loop.listener, record.accepted
        found = words.connection_attributes(record, listener)
        if not self._is_sampled(record, found):
            reason = self._keeper.reason(record)
            if reason is None:
                return False
            loop.kept[reason] += 1
            found[names.KEPT_REASON] = reason
            for request in unsampled:
                self._emit_request(request, accepted, _SAMPLED)
        links = self._blame(record, found, blocker)
        wall = accepted.wall_ns - record.accepted_ns
        failed = record.outcome in _ERRORS
        opened = self._tracing.foreign.pop(record.key, None)
        if opened is not None:
            self._end_foreign(opened, record, listener, found)
            return True
        context = self._context(record)
        self._tracing.emit(
            FinishedSpan(
                name=words.connection_name(listener),
                context=context,
                parent=None,
                start_ns=wall + record.start_ns,
                end_ns=wall + record.end_ns,
                attributes=found,
                links=links,
                status=Status(StatusCode.ERROR) if failed else Status(),
            )
        )
        self._emit_phases(record, listener, context, wall)
        return True

    def _end_foreign(
        self,
        span: Span,
        record: ConnectionRecord,
        listener: Listener,
        found: dict[str, Any],
    ) -> None:
        """End a connection span that was opened by the API."""
        wall = record.accepted.wall_ns - record.accepted_ns
        span.set_attributes(found)
        if record.outcome in _ERRORS:
            span.set_status(StatusCode.ERROR)
        self._emit_phases(record, listener, span.get_span_context(), wall)
        span.end(wall + record.end_ns)

    def _is_wanted(self, connection: Timeline) -> bool:
        """Say whether it may be exported, before a record of it is made."""
        decided_not = self._tracing.sdk is not None and connection.flags is not None
        return not decided_not or connection.sampled or self._keeper.may_keep(connection)

    def _is_sampled(self, record: ConnectionRecord, found: dict[str, Any]) -> bool:
        if record.sampled or self._tracing.sdk is None:
            return True
        if record.flags is not None:
            return False
        decision = self._tracing.decide(
            record.accepted.trace_id, names.SPAN_TCP, SpanKind.INTERNAL, found
        )
        return decision.decision is Decision.RECORD_AND_SAMPLE

    def _context(self, record: ConnectionRecord) -> SpanContext:
        accepted = record.accepted
        return span_context(accepted.trace_id, accepted.span_id, _SAMPLED, record.trace_state)

    def _blame(
        self, record: ConnectionRecord, found: dict[str, Any], blocker: Blocker | None
    ) -> list[Link]:
        blame = record.blame
        if blame is None:
            return []
        found[names.BLOCKED_BY_ACTIVITY] = blame.activity
        found[names.BLOCKED_BY_DURATION] = blame.seconds
        found[names.BLOCKED_BY_COUNT] = blame.count
        if blocker is None:
            return []
        if blocker.accepted.cookie is not None:
            found[names.BLOCKED_BY_CONNECTION_ID] = blocker.accepted.cookie
        if not blocker.exported:
            return []
        return [Link(span_context(blocker.accepted.trace_id, blocker.accepted.span_id, _SAMPLED))]

    def _emit_phases(
        self, record: ConnectionRecord, listener: Listener, parent: SpanContext, wall: int
    ) -> None:
        places = {place[0]: place[1:] for place in listener.code}
        for interval in record.intervals:
            if interval.end_ns - interval.start_ns < self._shortest_ns:
                continue
            _, span_id = self._tracing.allocate()
            found: dict[str, Any] = {}
            if interval.phase in places:
                function, path, line = places[interval.phase]
                found = {
                    names.CODE_FUNCTION_NAME: function,
                    names.CODE_FILE_PATH: path,
                    names.CODE_LINE_NUMBER: line,
                }
            self._tracing.emit(
                FinishedSpan(
                    name=interval.phase,
                    context=span_context(parent.trace_id, span_id, _SAMPLED, record.trace_state),
                    parent=parent,
                    start_ns=wall + interval.start_ns,
                    end_ns=wall + interval.end_ns,
                    attributes=found,
                )
            )

    def _emit_request(self, request: RequestRecord, accepted: Accepted, flags: int) -> None:
        exchanged = request.exchanged
        found = words.request_attributes(exchanged, accepted, self._settings)
        found[names.REQUEST_SEQUENCE] = request.sequence
        found.update(words.response_attributes(exchanged))
        phases = {phase: ns for phase, ns in request.phases.items() if phase != names.DRAIN}
        found.update(words.phase_attributes(phases))
        parent = None
        if exchanged.parent_span_id:
            parent = span_context(
                exchanged.trace_id,
                exchanged.parent_span_id,
                flags,
                exchanged.trace_state,
                exchanged.parent_is_remote,
            )
        links = []
        if parent is None or parent.is_remote:
            links.append(Link(span_context(accepted.trace_id, accepted.span_id, _SAMPLED)))
        failed = words.error_type(exchanged) is not None
        self._tracing.emit(
            FinishedSpan(
                name=words.span_name(exchanged),
                context=span_context(
                    exchanged.trace_id, exchanged.span_id, flags, exchanged.trace_state
                ),
                parent=parent,
                start_ns=request.wall_ns,
                end_ns=request.wall_ns + request.end_ns - request.start_ns,
                attributes=found,
                kind=SpanKind.SERVER,
                links=links,
                status=Status(StatusCode.ERROR) if failed else Status(),
            )
        )
