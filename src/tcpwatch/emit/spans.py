"""Records to spans: the connection, its phases, and the requests that were only carried."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import Span, SpanKind, StatusCode

from tcpwatch import names
from tcpwatch.core.course import Leg
from tcpwatch.core.marks import Accepted
from tcpwatch.core.record import ConnectionRecord, RequestRecord
from tcpwatch.core.timeline import Timeline
from tcpwatch.emit import attributes as words
from tcpwatch.emit.contexts import SAMPLED
from tcpwatch.emit.groups import Grouped
from tcpwatch.emit.keep import Keeper
from tcpwatch.emit.late import INTERNAL, SERVER, FinishedSpan
from tcpwatch.emit.starting import CHILDREN_OF_CONNECTION
from tcpwatch.emit.tracing import Tracing
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.hub.output import Blocker
from tcpwatch.settings import Settings

_make: Final[Callable[..., FinishedSpan]] = tuple.__new__
"""Makes one of its fields at a third of the cost of calling the class; a connection has several."""

_ERRORS: Final = frozenset({names.TLS_FAILED, names.HANDLER_ERROR, names.TIMEOUT, names.CHILD_DIED})


class Spans:
    """The sink that makes spans; it decides at a connection's end whether it is exported."""

    def __init__(self, tracing: Tracing, keeper: Keeper, settings: Settings) -> None:
        self._tracing, self._keeper, self._settings = tracing, keeper, settings
        self._shortest_ns = int(settings.phase_span_min * 1e9)
        self._known_places: dict[int, dict[str, Grouped]] = {}
        self._unsampled: OrderedDict[int, list[RequestRecord]] = OrderedDict()

    def take(self, loop: Loop, connection: Timeline, leg: Leg, blocker: Blocker | None) -> bool:
        """Export what is to be exported; phase spans wait for their connection's end."""
        made: list[FinishedSpan] = []
        try:
            for request in connection.requests:
                self._request(request, connection, made)
            over = connection.outcome is not None
            return over and self._connection(loop, connection, blocker, made)
        finally:
            if made:
                self._tracing.emit(*made)

    def _request(
        self, request: RequestRecord, connection: Timeline, made: list[FinishedSpan]
    ) -> None:
        """Make a carried request span now if it was sampled, at its connection's end if kept."""
        exchanged, accepted = request.exchanged, connection.accepted
        if (
            accepted is None
            or exchanged.exported
            or not exchanged.span_id
            or exchanged.peer_instrumented
        ):
            return
        if exchanged.flags & SAMPLED:
            made.append(self._request_span(request, accepted, connection))
        else:
            requests = self._unsampled.setdefault(connection.key, [])
            if len(requests) < CHILDREN_OF_CONNECTION and not exchanged.parent_is_remote:
                requests.append(request)

    def tidy(self) -> Iterator[None]:
        """Nothing waits here."""
        return iter(())

    def _connection(
        self,
        loop: Loop,
        connection: Timeline,
        blocker: Blocker | None,
        made: list[FinishedSpan],
    ) -> bool:
        """Export a connection that was sampled or that is worth keeping. Return whether it was."""
        unsampled = self._unsampled.pop(connection.key, ())
        if not self._tracing.enabled:
            return False
        if not self._is_wanted(connection):
            return False
        record = connection.record(self._shortest_ns)
        listener, accepted = loop.listener, record.accepted
        found = words.connection_attributes(record, listener)
        if not self._is_sampled(record, found):
            reason = self._keeper.reason(record)
            if reason is None:
                return False
            loop.kept[reason] += 1
            found.add(words.KEPT, reason)
            made += [self._request_span(each, accepted, connection) for each in unsampled]
        links = self._blame(record, found, blocker)
        wall = accepted.wall_ns - record.accepted_ns
        failed = record.outcome in _ERRORS
        opened = self._tracing.foreign.pop(record.key, None)
        if opened is not None:
            self._end_foreign(opened, record, listener, found)
            return True
        ids = accepted.trace_id, accepted.span_id
        times = wall + record.start_ns, wall + record.end_ns
        name, state = words.connection_name(listener), record.trace_state
        fields = (name, ids, _NO_PARENT, times, found, INTERNAL, links, failed, state)
        made.append(_make(FinishedSpan, fields))
        made += self._phases(record, listener, ids, wall)
        return True

    def _end_foreign(
        self,
        span: Span,
        record: ConnectionRecord,
        listener: Listener,
        found: Grouped,
    ) -> None:
        """End a connection span that was opened by the API."""
        wall = record.accepted.wall_ns - record.accepted_ns
        span.set_attributes(dict(found))
        if record.outcome in _ERRORS:
            span.set_status(StatusCode.ERROR)
        context = span.get_span_context()
        ids = context.trace_id, context.span_id
        self._tracing.emit(*self._phases(record, listener, ids, wall))
        span.end(wall + record.end_ns)

    def _is_wanted(self, connection: Timeline) -> bool:
        """Say whether it may be exported, before a record of it is made."""
        decided_not = self._tracing.sdk is not None and connection.flags is not None
        return not decided_not or connection.sampled or self._keeper.may_keep(connection)

    def _is_sampled(self, record: ConnectionRecord, found: Grouped) -> bool:
        if record.sampled or self._tracing.sdk is None:
            return True
        if record.flags is not None:
            return False
        decision = self._tracing.decide(
            record.accepted.trace_id, names.SPAN_TCP, SpanKind.INTERNAL, found
        )
        return decision.decision is Decision.RECORD_AND_SAMPLE

    def _blame(
        self, record: ConnectionRecord, found: Grouped, blocker: Blocker | None
    ) -> list[tuple[int, int]]:
        """Add who is to blame for a wait; return a link to its span, if it has one."""
        blame = record.blame
        if blame is None:
            return []
        cookie = blocker.accepted.cookie if blocker is not None else None
        found.add(words.BLAMED, blame.activity, blame.seconds, blame.count, cookie)
        if blocker is None or not blocker.exported:
            return []
        return [(blocker.accepted.trace_id, blocker.accepted.span_id)]

    def _phases(
        self, record: ConnectionRecord, listener: Listener, parent: tuple[int, int], wall: int
    ) -> Iterator[FinishedSpan]:
        trace_id, parent_id = parent
        new_span_id = self._tracing.new_span_id
        whose, state = (parent_id, False), record.trace_state
        places = self._places(listener) if record.intervals else {}
        for phase, start_ns, end_ns, _ in record.intervals:
            ids, times = (trace_id, new_span_id()), (wall + start_ns, wall + end_ns)
            place = places.get(phase, _NOWHERE)
            fields = (phase, ids, whose, times, place, INTERNAL, (), False, state)
            yield _make(FinishedSpan, fields)

    def _places(self, listener: Listener) -> dict[str, Grouped]:
        """Return the code.* attributes of each phase."""
        known = self._known_places.get(listener.key)
        if known is None:
            known = self._known_places[listener.key] = {
                phase: Grouped([(words.PLACE, (function, path, line))])
                for phase, function, path, line in listener.code
            }
        return known

    def _request_span(
        self, request: RequestRecord, accepted: Accepted, connection: Timeline
    ) -> FinishedSpan:
        exchanged = request.exchanged
        found = words.request_attributes(exchanged, accepted, self._settings, request.sequence)
        found.extend(words.response_attributes(exchanged))
        found.extend(words.phase_attributes(connection.phases_of(request)))
        parent = exchanged.parent_span_id, exchanged.parent_is_remote
        alone = not exchanged.parent_span_id or exchanged.parent_is_remote
        fields = (
            words.span_name(exchanged),
            (exchanged.trace_id, exchanged.span_id),
            parent,
            (request.wall_ns, request.wall_ns + request.end_ns - request.start_ns),
            found,
            SERVER,
            [(accepted.trace_id, accepted.span_id)] if alone else (),
            words.error_type(exchanged) is not None,
            exchanged.trace_state,
        )
        return _make(FinishedSpan, fields)


_NO_PARENT: Final = (0, False)
_NOWHERE: Final = Grouped([])
"""The attributes of a phase that is no Python code."""
