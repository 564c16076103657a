"""The life of one connection: marks in, phases and requests and at last a record out.

Rules of this file: which mark leads where is said in `transitions`; time only comes in marks; a
mark that the table does not expect changes no phase and is counted as an anomaly, because the
programs we watch may do anything. Phases therefore never overlap and always add up to the lifetime.

Every connection comes through here, exported or not, so what only an export needs is made when it
is asked for: a timeline keeps intervals and adds nothing up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from tcpwatch import names
from tcpwatch.core.marks import Accepted, Closing, Exchanged, Kind, Mark, Tls
from tcpwatch.core.outcome import Signs, outcome_of
from tcpwatch.core.record import (
    INTERVALS_KEPT,
    Blame,
    ConnectionRecord,
    Interval,
    RequestRecord,
    totals,
)
from tcpwatch.core.transitions import BEFORE_TLS, NOTES, OVER, TRANSITIONS

# What the response had been handed to when a phase ended in the middle of a request.
_IN_REQUEST = frozenset({names.READ_HEAD, names.APP, names.RESPOND, names.DRAIN})

_FROM: Final[dict[str, dict[int, str]]] = {
    phase: {kind: target for (start, kind), target in TRANSITIONS.items() if start == phase}
    for phase in (*names.PHASES, OVER)
}
"""The transition table by phase: one look-up for each mark."""

_make: Final[Callable[..., Any]] = tuple.__new__
"""Makes a NamedTuple of a tuple that has its fields; calling the class costs twice as much."""


class Timeline:
    """Turns the marks of one connection into intervals, requests and, at its end, a record.

    `intervals` and `requests` collect what has finished; the owner takes and clears them as it
    likes. Everything else is in the record. The first mark is always ACCEPTED.
    """

    # Defaults stand on the class: most connections change few of them.
    phase: str = names.ACCEPT_QUEUE
    accepted: Accepted | None = None
    accepted_ns = start_ns = since_ns = last_ns = 0
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
    _before_tls: str = names.DISPATCH
    _exchange: list[Interval] | None = None
    _exchange_start = _exchange_wall = 0
    _dropped_phases: dict[str, int] | None = None

    def __init__(self, key: int) -> None:
        self.key = key
        self.intervals: list[Interval] = []
        self.requests: list[RequestRecord] = []
        self._signs = Signs()
        self._kept: deque[Interval] = deque()

    @property
    def over(self) -> bool:
        """Return whether the connection has ended."""
        return self.phase == OVER

    @property
    def sampled(self) -> bool:
        """Return whether its span will be exported, as far as that is decided."""
        return self.requests_exported or bool(self.flags)

    @property
    def seconds(self) -> float:
        """Return how long it has lived until its last change of phase."""
        return (self.since_ns - self.start_ns) / 1e9

    def feed(self, marks: Iterable[Mark]) -> None:
        """Take marks in the order in which they were made; times that run backwards are clamped."""
        for mark in marks:
            kind, now = mark[0], mark[1]
            target = _FROM[self.phase].get(kind)
            if target is None and (kind not in NOTES or self.accepted is None or self.over):
                self.anomalies += 1
                continue
            if now < self.last_ns:  # noqa: PLR1730  # max() is a call, and this a hot loop
                now = self.last_ns
            left = self.phase
            if target is not None:
                self.last_ns = now
                if kind == Kind.ACCEPTED:
                    self._begin(now, _make(Accepted, mark[2:]))
                    continue
                if kind == Kind.HTTP_READY:
                    self.phase = names.IDLE
                    self._signs.speaks_http = True
                    continue
                self._move(target, now)
            note = _NOTED.get(kind)
            if note is not None:
                note(self, now, mark, left)

    def _begin(self, now: int, accepted: Accepted) -> None:
        self.accepted = accepted
        self.accepted_ns = now
        wait = accepted.wait_ns
        self.start_ns = self.since_ns = now - (wait or 0)
        if wait is not None:
            self._move(names.DISPATCH, now)
        self.phase = names.DISPATCH
        self._signs.state_at_accept = accepted.state

    def _move(self, target: str, now: int) -> None:
        phase = self.phase
        interval: Interval = _make(Interval, (phase, self.since_ns, now, self.sequence))
        self.intervals.append(interval)
        if self._exchange is not None:
            self._exchange.append(interval)
        kept = self._kept
        kept.append(interval)
        if len(kept) > INTERVALS_KEPT:
            self.dropped += 1
            self._dropped_phases = totals((kept.popleft(),), self._dropped_phases)
        if target == names.TLS_HANDSHAKE:
            if phase != names.TLS_HANDSHAKE:
                self._before_tls = phase
        elif target == BEFORE_TLS:
            target = self._before_tls
        self.phase = target
        self.since_ns = now

    def _tls_ended(self, now: int, mark: Mark, left: str) -> None:
        self._signs.tls_error = mark[2]
        self.tls = Tls(*mark[3]) if mark[3] is not None else None

    def _rejected(self, now: int, mark: Mark, left: str) -> None:
        self._signs.rejected = True

    def _handler_began(self, now: int, mark: Mark, left: str) -> None:
        self.dispatch = mark[2]

    def _first_byte(self, now: int, mark: Mark, left: str) -> None:
        self.sequence += 1
        self._exchange_start, self._exchange_wall = now, mark[2]
        self._exchange = []
        self._signs.unfinished = True

    def _head_parsed(self, now: int, mark: Mark, left: str) -> None:
        self.method, self.scheme = mark[2], mark[3]

    def _read_failed(self, now: int, mark: Mark, left: str) -> None:
        self._signs.read_error = mark[2]
        self._signs.read_error_in_request = left in _IN_REQUEST

    def _handler_ended(self, now: int, mark: Mark, left: str) -> None:
        self._signs.handler_error, self._signs.client_left = mark[2], mark[3]

    def _blocked_others(self, now: int, mark: Mark, left: str) -> None:
        self.blocking = mark[2]

    def _sampled(self, now: int, mark: Mark, left: str) -> None:
        self.flags, self.trace_state = mark[2], tuple(tuple(pair) for pair in mark[3])

    def _closed(self, now: int, mark: Mark, left: str) -> None:
        closing = self.closing = mark[2]
        if closing is not None:
            self._signs.state_at_close = closing[_STATE]
            self._signs.bytes_received = closing[_BYTES_RECEIVED]
        self._conclude()

    def _abandoned(self, now: int, mark: Mark, left: str) -> None:
        self._signs.abandoned = mark[2]
        self._conclude()

    def _conclude(self) -> None:
        self.outcome, self.error = outcome_of(self._signs, self.count)

    def _exchange_ended(self, now: int, mark: Mark, left: str) -> None:
        self.method = self.scheme = None
        self._signs.unfinished = False
        intervals, self._exchange = self._exchange or (), None
        if mark[2] is None:
            # Bytes that were no request: http.server drops a blank line without a word.
            self.sequence -= 1
            self._signs.bad_request = True
            return
        exchanged: Exchanged = _make(Exchanged, mark[2])
        self.count += 1
        end = self._kept[-1].start_ns if left == names.DRAIN else now
        if exchanged.flags:
            self.requests_exported = True
        if exchanged.refused:
            self._signs.bad_request = True
            self._signs.refused_status = exchanged.status
        elif exchanged.status is not None and exchanged.status >= 500:
            self.server_errors += 1
        start, wall = self._exchange_start, self._exchange_wall
        self.requests.append(
            RequestRecord(self.sequence, start, end, wall, tuple(intervals), exchanged)
        )

    def record(self) -> ConnectionRecord:
        """Return the record of a connection that is over.

        Raises ValueError if it is not over: a record is final.
        """
        if self.outcome is None or self.accepted is None:
            raise ValueError(f"connection {self.key} is in phase {self.phase}, not over")
        return ConnectionRecord(
            key=self.key,
            accepted=self.accepted,
            accepted_ns=self.accepted_ns,
            start_ns=self.start_ns,
            end_ns=self.since_ns,
            dispatch=self.dispatch,
            phases=totals(self._kept, self._dropped_phases),
            intervals=tuple(self._kept),
            intervals_dropped=self.dropped,
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

_NOTED: Final[dict[int, Callable[[Timeline, int, Mark, str], None]]] = {
    Kind.TLS_ENDED: Timeline._tls_ended,
    Kind.REJECTED: Timeline._rejected,
    Kind.HANDLER_BEGAN: Timeline._handler_began,
    Kind.FIRST_BYTE: Timeline._first_byte,
    Kind.HEAD_PARSED: Timeline._head_parsed,
    Kind.EXCHANGE_ENDED: Timeline._exchange_ended,
    Kind.READ_FAILED: Timeline._read_failed,
    Kind.HANDLER_ENDED: Timeline._handler_ended,
    Kind.BLOCKING: Timeline._blocked_others,
    Kind.CLOSED: Timeline._closed,
    Kind.ABANDONED: Timeline._abandoned,
    Kind.SAMPLED: Timeline._sampled,
}
"""What else a mark says, besides moving the connection to another phase."""
