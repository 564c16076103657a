"""The life of one connection: marks in, phases and requests and at last a record out.

Rules of this file: which mark leads where is said in `transitions` and worked out in `course`; time
only comes in marks; a mark that the table does not expect changes no phase and is counted as an
anomaly, because the programs we watch may do anything. Phases therefore never overlap and always
add up to the lifetime.

Every connection comes through here, exported or not, so what only an export needs is made when it
is asked for: a timeline keeps its legs and adds nothing up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final

from tcpwatch import names
from tcpwatch.core.course import Leg, Said, course_of
from tcpwatch.core.marks import Accepted, Closing, Exchanged, Kind, Mark, Tls
from tcpwatch.core.outcome import Signs, outcome_of
from tcpwatch.core.record import (
    IN_REQUEST,
    INTERVALS_KEPT,
    Blame,
    ConnectionRecord,
    RequestRecord,
    totals,
)
from tcpwatch.core.transitions import OVER

_make: Final[Callable[..., Any]] = tuple.__new__
"""Makes a NamedTuple of a tuple that has its fields; calling the class costs twice as much."""

_kind_of, _time_of = itemgetter(0), itemgetter(1)


class Timeline:
    """Turns the marks of one connection into legs, requests and, at its end, a record.

    `requests` collects what has finished; the owner takes and clears it as it likes. Everything
    else is in the record. The first mark is always ACCEPTED.
    """

    # Defaults stand on the class: most connections change few of them.
    phase: str = names.ACCEPT_QUEUE
    accepted: Accepted | None = None
    accepted_ns = start_ns = since_ns = 0
    dispatch: str | None = None
    sequence = count = 0
    dropped = anomalies = server_errors = 0
    tls: Tls | None = None
    closing: tuple[Any, ...] | None = None
    blame: Blame | None = None
    blocking: str | None = None
    flags: int | None = None
    trace_state: tuple[tuple[str, str], ...] = ()
    requests_exported = False
    method: str | None = None
    scheme: str | None = None
    outcome: str | None = None
    error: str | None = None
    _last_ns = 0
    _before_tls: str = names.DISPATCH
    _exchange: list[Leg] | None = None
    """The legs of the request that is under way, but the present one."""
    _exchange_start = _exchange_wall = 0
    _kept = 0
    """How many phases the legs have."""
    _dropped_phases: dict[str, int] | None = None

    def __init__(self, key: int) -> None:
        self.key = key
        self.requests: list[RequestRecord] = []
        self._legs: deque[Leg] = deque()
        self._signs = Signs()

    @property
    def over(self) -> bool:
        """Return whether the connection has ended."""
        return self.phase == OVER

    @property
    def sampled(self) -> bool:
        """Return whether its span will be exported, as far as that is decided."""
        return self.requests_exported or bool(self.flags)

    @property
    def last_ns(self) -> int:
        """Return when it last went from one phase to another, or turned out to speak HTTP."""
        return self._last_ns

    def feed(self, marks: Sequence[Mark]) -> Leg:
        """Take marks in the order in which they were made; times that run backwards are clamped.

        Return the leg of the connection's life that they make.
        """
        first = self.accepted is None
        if first:
            marks = self._begin(marks)
        course = course_of(self.phase, self._before_tls, tuple(map(_kind_of, marks)))
        times: tuple[int, ...] = (self.since_ns, *map(_time_of, marks))
        if list(times) != sorted(times) or (len(times) > 1 and times[1] < self._last_ns):
            times = course.clamped(times, self._last_ns)
        leg: Leg = _make(Leg, (course, times, self.sequence, first))
        if course.moving:
            self.phase, self._before_tls = course.phase, course.before_tls
            self.since_ns, self._last_ns = times[course.since], times[course.moving[-1]]
            if course.speaks_http:
                self._signs.speaks_http = True
            self._keep(leg)
        self.anomalies += course.anomalies
        for said in course.said:
            _NOTES[said[1]](self, leg, said, marks[said[0]])
        if self._exchange is not None:
            self._exchange.append(leg)
        return leg

    def _begin(self, marks: Sequence[Mark]) -> Sequence[Mark]:
        _, now, facts = marks[0]
        accepted = self.accepted = _make(Accepted, facts)
        wait = accepted.wait_ns
        self.accepted_ns = self._last_ns = now
        self.start_ns = self.since_ns = now - (wait or 0)
        self._signs.state_at_accept = accepted.state
        if wait is not None:
            return marks
        self.phase = names.DISPATCH  # how long it had been in the queue nobody knows
        return marks[1:]

    def _keep(self, leg: Leg) -> None:
        legs = self._legs
        legs.append(leg)
        self._kept += len(leg.course.steps)
        while self._kept - len(legs[0].course.steps) >= INTERVALS_KEPT:
            self._drop(legs.popleft().intervals())

    def _drop(self, intervals: list[Any]) -> None:
        self._kept -= len(intervals)
        self.dropped += len(intervals)
        self._dropped_phases = totals(intervals, self._dropped_phases)

    # -- what marks say ---------------------------------------------------------------------------

    def _tls_ended(self, leg: Leg, said: Said, mark: Mark) -> None:
        self._signs.tls_error = mark[2]
        self.tls = Tls(*mark[3]) if mark[3] is not None else None

    def _rejected(self, leg: Leg, said: Said, mark: Mark) -> None:
        self._signs.rejected = True

    def _handler_began(self, leg: Leg, said: Said, mark: Mark) -> None:
        self.dispatch = mark[2]

    def _first_byte(self, leg: Leg, said: Said, mark: Mark) -> None:
        self.sequence += 1
        self._exchange_start, self._exchange_wall = leg.times[said.mark + 1], mark[2]
        self._exchange = []
        self._signs.unfinished = True

    def _head_parsed(self, leg: Leg, said: Said, mark: Mark) -> None:
        self.method, self.scheme = mark[2], mark[3]

    def _no_request(self, leg: Leg, said: Said, mark: Mark) -> None:
        self.method = self.scheme = self._exchange = None
        self.sequence -= 1
        self._signs.unfinished = False
        self._signs.bad_request = True

    def _exchange_ended(self, leg: Leg, said: Said, mark: Mark) -> None:
        self.method = self.scheme = None
        legs, self._exchange = self._exchange or (), None
        exchanged: Exchanged = _make(Exchanged, mark[2])
        self.count += 1
        # A request ends with its last byte: the drain is the connection's.
        end = leg.times[said.since if said.left == names.DRAIN else said.mark + 1]
        signs = self._signs
        signs.unfinished = False
        if exchanged.flags:
            self.requests_exported = True
        if exchanged.refused:
            signs.bad_request = True
            signs.refused_status = exchanged.status
        elif exchanged.status is not None and exchanged.status >= 500:
            self.server_errors += 1
        start, wall = self._exchange_start, self._exchange_wall
        request = (self.sequence, start, end, wall, (*legs, leg), exchanged)
        self.requests.append(_make(RequestRecord, request))

    def _read_failed(self, leg: Leg, said: Said, mark: Mark) -> None:
        self._signs.read_error = mark[2]
        self._signs.read_error_in_request = said.left in IN_REQUEST

    def _handler_ended(self, leg: Leg, said: Said, mark: Mark) -> None:
        self._signs.handler_error, self._signs.client_left = mark[2], mark[3]

    def _blocked_others(self, leg: Leg, said: Said, mark: Mark) -> None:
        self.blocking = mark[2]

    def _sampled(self, leg: Leg, said: Said, mark: Mark) -> None:
        self.flags, self.trace_state = mark[2], tuple(tuple(pair) for pair in mark[3])

    def _closed(self, leg: Leg, said: Said, mark: Mark) -> None:
        closing = self.closing = mark[2]
        if closing is not None:
            self._signs.state_at_close = closing[_STATE]
            self._signs.bytes_received = closing[_BYTES_RECEIVED]
        self.outcome, self.error = outcome_of(self._signs, self.count)

    def _abandoned(self, leg: Leg, said: Said, mark: Mark) -> None:
        self._signs.abandoned = mark[2]
        self.outcome, self.error = outcome_of(self._signs, self.count)

    # -- the end ----------------------------------------------------------------------------------

    def record(self) -> ConnectionRecord:
        """Return the record of a connection that is over.

        Raises ValueError if it is not over: a record is final.
        """
        if self.outcome is None or self.accepted is None:
            raise ValueError(f"connection {self.key} is in phase {self.phase}, not over")
        intervals = [interval for leg in self._legs for interval in leg.intervals()]
        return ConnectionRecord(
            key=self.key,
            accepted=self.accepted,
            accepted_ns=self.accepted_ns,
            start_ns=self.start_ns,
            end_ns=self.since_ns,
            dispatch=self.dispatch,
            phases=totals(intervals, self._dropped_phases),
            intervals=tuple(intervals[-INTERVALS_KEPT:]),
            intervals_dropped=self.dropped + max(len(intervals) - INTERVALS_KEPT, 0),
            requests=self.sequence,
            server_errors=self.server_errors,
            outcome=self.outcome,
            error=self.error,
            tls=self.tls,
            closing=Closing(*self.closing) if self.closing is not None else Closing(),
            blame=self.blame,
            blocking=self.blocking,
            flags=self.flags,
            trace_state=self.trace_state,
            requests_exported=self.requests_exported,
            anomalies=self.anomalies,
        )


_STATE: Final = Closing._fields.index("state")
_BYTES_RECEIVED: Final = Closing._fields.index("bytes_received")

_NOTES: Final[dict[int, Callable[[Timeline, Leg, Said, Mark], None]]] = {
    Kind.TLS_ENDED: Timeline._tls_ended,
    Kind.REJECTED: Timeline._rejected,
    Kind.HANDLER_BEGAN: Timeline._handler_began,
    Kind.FIRST_BYTE: Timeline._first_byte,
    Kind.HEAD_PARSED: Timeline._head_parsed,
    Kind.EXCHANGE_ENDED: Timeline._exchange_ended,
    Kind.NO_REQUEST: Timeline._no_request,
    Kind.READ_FAILED: Timeline._read_failed,
    Kind.HANDLER_ENDED: Timeline._handler_ended,
    Kind.BLOCKING: Timeline._blocked_others,
    Kind.CLOSED: Timeline._closed,
    Kind.ABANDONED: Timeline._abandoned,
    Kind.SAMPLED: Timeline._sampled,
}
"""What else a mark says, besides moving the connection to another phase."""
