"""The life of one connection: marks in, phases and requests and at last a record out.

Rules of this file: which mark leads where is said in `transitions` and worked out in `course`; time
only comes in marks; a mark that the table does not expect changes no phase and is counted as an
anomaly, because the programs we watch may do anything. Phases therefore never overlap and always
add up to the lifetime.

Every connection comes through here, exported or not, so what only an export needs is made when it
is asked for: a timeline keeps its legs and adds nothing up.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.core.course import Leg, Said, add_spent, add_up, course_of, intervals_of
from tcpwatch.core.marks import MARK, Accepted, Closing, Ending, Exchanged, Freezes, Marks, Tls
from tcpwatch.core.outcome import Signs, is_ordinary, outcome_of
from tcpwatch.core.record import (
    BEFORE_REQUESTS,
    IN_REQUEST,
    INTERVALS_KEPT,
    UNTIL_LAST_BYTE,
    Blame,
    ConnectionRecord,
    RequestRecord,
)
from tcpwatch.core.transitions import OVER

MOST_INTERVALS: Final = 2 * INTERVALS_KEPT
"""Forgetting is cheaper for many than one by one."""

_END: Final = tuple(map(Closing._fields.index, ("state", "bytes_received")))

_make: Final[Callable[..., Any]] = tuple.__new__
"""Makes a NamedTuple of a tuple that has its fields; calling the class costs twice as much."""


class Timeline:
    """Turns the marks of one connection into legs, requests and, at its end, a record.

    `requests` collects what has finished; the owner takes and clears it as it likes. Everything
    else is in the record. The first mark is always ACCEPTED. What the kernel gave of a connection's
    end is read by `read_end` (state and bytes received) and by `read_closing` (all of it), in the
    process that has it.
    """

    __slots__ = (
        *("_before_tls", "_dropped_phases", "_exchange", "_exchange_start", "_exchange_wall"),
        *("_intervals", "_legs", "_read_closing", "_read_end", "_signs", "accepted"),
        *("accepted_ns", "anomalies", "blame", "blocking"),
        *("count", "dispatch", "dropped", "ending", "error", "flags", "key", "last_ns", "method"),
        *("outcome", "phase", "requests", "requests_exported", "scheme", "sequence"),
        *("server_errors", "since_ns", "start_ns", "tls", "trace_state"),
    )

    def __init__(
        self,
        key: int,
        read_end: Callable[[Any], tuple[int | None, int | None]] = itemgetter(*_END),
        read_closing: Callable[[Any], Closing] = Closing._make,
    ) -> None:
        self.key = key
        self._read_end, self._read_closing = read_end, read_closing
        self.phase: str = names.ACCEPT_QUEUE
        self.accepted: Accepted | None = None
        self.accepted_ns = self.start_ns = self.since_ns = 0
        self.last_ns = 0
        """When it last went from one phase to another, or turned out to speak HTTP."""
        self.sequence = self.count = 0
        self.anomalies = self.server_errors = self.dropped = 0
        self.dispatch: str | None = None
        self.method: str | None = None
        self.scheme: str | None = None
        self.tls: Tls | None = None
        self.ending: Ending | None = None
        self.blame: Blame | None = None
        self.blocking: str | None = None
        self.flags: int | None = None
        self.trace_state: tuple[tuple[str, str], ...] = ()
        self.requests_exported = False
        self.outcome: str | None = None
        self.error: str | None = None
        self.requests: list[RequestRecord] = []
        self._legs: list[Leg] = []
        self._intervals = 0
        """How many they are made of."""
        self._dropped_phases: dict[str, int] = {}
        self._before_tls: str = names.DISPATCH
        self._exchange: list[Leg] | None = None
        """The earlier legs of the request that is under way."""
        self._exchange_start = self._exchange_wall = 0
        self._signs: Signs | None = None
        """Nothing out of the ordinary, as long as it is None."""

    @property
    def over(self) -> bool:
        """Return whether the connection has ended."""
        return self.phase == OVER

    @property
    def sampled(self) -> bool:
        """Return whether its span will be exported, as far as that is decided."""
        return self.requests_exported or bool(self.flags)

    def feed(self, marks: Marks) -> Leg:
        """Take marks in the order in which they were made; times that run backwards are clamped.

        Return the leg of the connection's life that they make.
        """
        first = self.accepted is None
        if first:
            marks = self._begin(marks)
        course = course_of(self.phase, self._before_tls, tuple(marks[::MARK]))
        times = [self.since_ns, *marks[1::MARK]]
        if times != sorted(times) or (len(times) > 1 and times[1] < self.last_ns):
            times = course.clamped(times, self.last_ns)
        leg: Leg = _make(Leg, (course, times, self.sequence, first))
        last = course.last
        if last:
            self.phase, self._before_tls = course.phase, course.before_tls
            self.since_ns, self.last_ns = times[course.since], times[last]
            self._legs.append(leg)
            self._intervals += len(course.steps)
            if self._intervals >= MOST_INTERVALS:
                self._forget()
        if course.anomalies:
            self.anomalies += course.anomalies
        for said in course.said:
            if marks[said[1]] is not None:
                NOTES[said[0]](self, leg, said, marks)
        if self._exchange is not None:
            self._exchange.append(leg)
        if course.phase == OVER and last:
            self.conclude(course.speaks_http)
        elif course.speaks_http:
            self.signs.speaks_http = True
        return leg

    def _begin(self, marks: Marks) -> Marks:
        now = marks[1]
        accepted = self.accepted = _make(Accepted, marks[2])
        wait = accepted.wait_ns
        self.accepted_ns = self.last_ns = now
        if wait is not None:
            self.start_ns = self.since_ns = now - wait
            return marks
        self.start_ns = self.since_ns = now
        self.phase = names.DISPATCH  # how long it had been in the queue nobody knows
        return marks[MARK:]

    def _forget(self) -> None:
        """Keep the last legs only, so that an hour of keep-alive has bounded memory."""
        legs, kept, gone = self._legs, self._intervals, 0
        for leg in legs:
            fewer = kept - len(leg.course.steps)
            if fewer < INTERVALS_KEPT:
                break
            kept = fewer
            gone += 1
        add_up(legs[:gone], self._dropped_phases)
        del legs[:gone]
        self.dropped += self._intervals - kept
        self._intervals = kept

    @property
    def signs(self) -> Signs:
        """What is out of the ordinary, to be added to."""
        if self._signs is None:
            self._signs = Signs()
        return self._signs

    # -- what marks say ---------------------------------------------------------------------------

    def _tls_ended(self, leg: Leg, said: Said, marks: Marks) -> None:
        error, facts = marks[said.payload]
        if error is not None:
            self.signs.tls_error = error
        self.tls = Tls(*facts) if facts is not None else None

    def _rejected(self, leg: Leg, said: Said, marks: Marks) -> None:
        self.signs.rejected = True

    def _handler_began(self, leg: Leg, said: Said, marks: Marks) -> None:
        self.dispatch = marks[said[1]]

    def _first_byte(self, leg: Leg, said: Said, marks: Marks) -> None:
        self.sequence += 1
        self._exchange_start, self._exchange_wall = leg.times[said.time], marks[said.payload]
        self._exchange = []
        self.signs.unfinished = True

    def _head_parsed(self, leg: Leg, said: Said, marks: Marks) -> None:
        self.method, self.scheme = marks[said.payload]

    def _no_request(self, leg: Leg, said: Said, marks: Marks) -> None:
        self.method = self.scheme = self._exchange = None
        self.sequence -= said.began is None
        self.signs.unfinished = False
        self.signs.bad_request = True

    def _exchange_ended(self, leg: Leg, said: Said, marks: Marks) -> None:
        _, payload, time, left, since, began = said
        told: tuple[Any, ...] | Freezes = marks[payload]
        exchanged: Exchanged = _make(Exchanged, told if isinstance(told, tuple) else told.freeze())
        times = leg[1]
        legs: tuple[Leg, ...]
        if began is not None:
            sequence = self.sequence = self.sequence + 1
            legs, start, wall = (leg,), times[began // MARK + 1], marks[began]
        else:
            sequence = self.sequence
            legs = (*(self._exchange or ()), leg)
            start, wall = self._exchange_start, self._exchange_wall
            self.method = self.scheme = self._exchange = None
            self.signs.unfinished = False
        self.count += 1
        # A request ends with its last byte: the drain is the connection's.
        end = times[since if left == names.DRAIN else time]
        flags, refused, status = _verdict(exchanged)
        if flags:
            self.requests_exported = True
        if refused:
            self.refused(status)
        elif status is not None and status >= 500:
            self.server_errors += 1
        self.requests.append(
            _make(RequestRecord, (sequence, start, end, wall, legs, exchanged)),
        )

    def refused(self, status: int | None) -> None:
        """Note that a request was none that could be answered."""
        self.signs.bad_request = True
        self.signs.refused_status = status

    def _read_failed(self, leg: Leg, said: Said, marks: Marks) -> None:
        self.signs.read_error = marks[said.payload]
        self.signs.read_error_in_request = said.left in IN_REQUEST

    def _handler_ended(self, leg: Leg, said: Said, marks: Marks) -> None:
        self.signs.handler_error, self.signs.client_left = marks[said.payload]

    def _blocked_others(self, leg: Leg, said: Said, marks: Marks) -> None:
        self.blocking = marks[said.payload][0]

    def _sampled(self, leg: Leg, said: Said, marks: Marks) -> None:
        self.flags, state = marks[said.payload]
        self.trace_state = tuple(tuple(pair) for pair in state)

    def _closed(self, leg: Leg, said: Said, marks: Marks) -> None:
        self.ending = marks[said[1]]

    def _abandoned(self, leg: Leg, said: Said, marks: Marks) -> None:
        self.signs.abandoned = marks[said.payload]

    # -- the end ----------------------------------------------------------------------------------

    def conclude(self, speaks_http: bool) -> None:
        """Say how it ended; `speaks_http` if its last marks say that it is HTTP."""
        accepted, ending, signs = self.accepted, self.ending, self._signs
        assert accepted is not None  # what is over has begun
        at_accept = accepted.state
        at_close, received = self._read_end(ending) if ending is not None else (None, None)
        if signs is None and self.count and is_ordinary(at_accept, at_close):
            self.outcome = names.COMPLETED
            return
        signs = self.signs
        signs.state_at_accept, signs.state_at_close = at_accept, at_close
        signs.bytes_received = received
        signs.speaks_http = signs.speaks_http or speaks_http
        self.outcome, self.error = outcome_of(signs, self.count)

    def phases_of(self, request: RequestRecord) -> dict[str, int]:
        """Return nanoseconds by phase of a request until its last byte.

        The first one's wait begins with ESTABLISHED, so what came before the handler is part of it.
        """
        found: dict[str, int] = {}
        if request.sequence == 1:
            add_spent([leg for leg in self._legs if not leg.requests], 0, BEFORE_REQUESTS, found)
        add_spent(request.legs, request.sequence, UNTIL_LAST_BYTE, found)
        return found

    def _closing(self) -> Closing:
        return self._read_closing(self.ending) if self.ending is not None else Closing()

    def record(self, shortest_ns: int = 0) -> ConnectionRecord:
        """Return the record of a connection that is over; of its intervals those that took so long.

        Raises ValueError if it is not over: a record is final.
        """
        if self.outcome is None or self.accepted is None:
            raise ValueError(f"connection {self.key} is in phase {self.phase}, not over")
        more = max(self._intervals - INTERVALS_KEPT, 0)
        at_once = 0 if more else shortest_ns
        intervals = intervals_of(self._legs, at_once)
        if more:
            intervals = [
                each for each in intervals[more:] if each.end_ns - each.start_ns >= shortest_ns
            ]
        phases = dict(self._dropped_phases)
        add_up(self._legs, phases)
        return ConnectionRecord(
            key=self.key,
            accepted=self.accepted,
            accepted_ns=self.accepted_ns,
            start_ns=self.start_ns,
            end_ns=self.since_ns,
            dispatch=self.dispatch,
            phases=phases,
            intervals=tuple(intervals),
            intervals_dropped=self.dropped + more,
            requests=self.sequence,
            server_errors=self.server_errors,
            outcome=self.outcome,
            error=self.error,
            tls=self.tls,
            closing=self._closing(),
            blame=self.blame,
            blocking=self.blocking,
            flags=self.flags,
            trace_state=self.trace_state,
            requests_exported=self.requests_exported,
            anomalies=self.anomalies,
        )


_verdict: Final = itemgetter(*map(Exchanged._fields.index, ("flags", "refused", "status")))

NOTES: Final[dict[int, Callable[[Timeline, Leg, Said, Marks], None]]] = {
    kinds.TLS_ENDED: Timeline._tls_ended,
    kinds.REJECTED: Timeline._rejected,
    kinds.HANDLER_BEGAN: Timeline._handler_began,
    kinds.FIRST_BYTE: Timeline._first_byte,
    kinds.HEAD_PARSED: Timeline._head_parsed,
    kinds.EXCHANGE_ENDED: Timeline._exchange_ended,
    kinds.NO_REQUEST: Timeline._no_request,
    kinds.READ_FAILED: Timeline._read_failed,
    kinds.HANDLER_ENDED: Timeline._handler_ended,
    kinds.BLOCKING: Timeline._blocked_others,
    kinds.CLOSED: Timeline._closed,
    kinds.ABANDONED: Timeline._abandoned,
    kinds.SAMPLED: Timeline._sampled,
}
"""What else a mark says, besides moving the connection to another phase."""
