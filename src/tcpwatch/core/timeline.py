"""The life of one connection: marks in, phases and requests and at last a record out.

Rules of this file: which mark leads where is said in `transitions`; time only comes in marks; a
mark that the table does not expect changes no phase and is counted as an anomaly, because the
programs we watch may do anything. Phases therefore never overlap and always add up to the lifetime.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from tcpwatch import names
from tcpwatch.core.marks import Accepted, Closing, Exchanged, Kind, Mark, Tls
from tcpwatch.core.outcome import Signs, outcome_of
from tcpwatch.core.record import INTERVALS_KEPT, Blame, ConnectionRecord, Interval, RequestRecord
from tcpwatch.core.transitions import BEFORE_TLS, NOTES, OVER, TRANSITIONS

# What the response had been handed to when a phase ended in the middle of a request.
_IN_REQUEST = frozenset({names.READ_HEAD, names.APP, names.RESPOND, names.DRAIN})


class Timeline:
    """Turns the marks of one connection into intervals, requests and, at its end, a record.

    `intervals` and `requests` collect what has finished; the owner takes and clears them as it
    likes. Everything else is in the record.
    """

    __slots__ = (
        "_before_tls",
        "_exchange_phases",
        "_exchange_start",
        "_exchange_wall",
        "_kept",
        "_signs",
        "_totals",
        "accepted",
        "accepted_ns",
        "anomalies",
        "blame",
        "blocking",
        "closing",
        "count",
        "dispatch",
        "dropped",
        "error",
        "flags",
        "intervals",
        "key",
        "last_ns",
        "method",
        "outcome",
        "phase",
        "requests",
        "requests_exported",
        "scheme",
        "sequence",
        "server_errors",
        "since_ns",
        "start_ns",
        "tls",
        "trace_state",
    )

    def __init__(self, key: int) -> None:
        self.key = key
        self.phase: str = names.ACCEPT_QUEUE
        self.accepted: Accepted | None = None
        self.accepted_ns = self.start_ns = self.since_ns = self.last_ns = 0
        self.dispatch: str | None = None
        self.sequence = self.count = 0
        self.intervals: list[Interval] = []
        self.requests: list[RequestRecord] = []
        self.dropped = self.anomalies = self.server_errors = 0
        self.tls: Tls | None = None
        self.closing = Closing()
        self.blame: Blame | None = None
        self.blocking: str | None = None
        self.flags: int | None = None
        self.trace_state: tuple[tuple[str, str], ...] = ()
        self.requests_exported = False
        self.method: str | None = None
        self.scheme: str | None = None
        self.outcome: str | None = None
        self.error: str | None = None
        self._signs = Signs()
        self._before_tls: str = names.DISPATCH
        self._totals: dict[str, int] = {}
        self._kept: deque[Interval] = deque(maxlen=INTERVALS_KEPT)
        self._exchange_phases: dict[str, int] = {}
        self._exchange_start = self._exchange_wall = 0

    @property
    def over(self) -> bool:
        """Return whether the connection has ended."""
        return self.phase == OVER

    @property
    def sampled(self) -> bool:
        """Return whether its span will be exported, as far as that is decided."""
        return self.requests_exported or bool(self.flags)

    def feed(self, marks: Iterable[Mark]) -> None:
        """Take marks in the order in which they were made; times that run backwards are clamped."""
        for mark in marks:
            self._take(mark)

    def _take(self, mark: Mark) -> None:
        kind = mark[0]
        target = TRANSITIONS.get((self.phase, kind))
        if target is None and (kind not in NOTES or self.accepted is None or self.over):
            self.anomalies += 1
            return
        now = max(mark[1], self.last_ns)
        if target is not None:
            self.last_ns = now
        if kind == Kind.ACCEPTED:
            self._begin(now, Accepted(*mark[2:]))
        elif kind == Kind.HTTP_READY:
            self.phase = names.IDLE
            self._signs.speaks_http = True
        else:
            left = self.phase
            if target is not None:
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
        interval = Interval(self.phase, self.since_ns, now, self.sequence)
        self._totals[self.phase] = self._totals.get(self.phase, 0) + now - self.since_ns
        if self._exchange_start:
            phases = self._exchange_phases
            phases[self.phase] = phases.get(self.phase, 0) + now - self.since_ns
        self.intervals.append(interval)
        if len(self._kept) == INTERVALS_KEPT:
            self.dropped += 1
        self._kept.append(interval)
        if self.phase != names.TLS_HANDSHAKE and target == names.TLS_HANDSHAKE:
            self._before_tls = self.phase
        self.phase = self._before_tls if target == BEFORE_TLS else target
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
        self._exchange_phases = {}
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
        if mark[2] is not None:
            self.closing = Closing(*mark[2])
            self._signs.state_at_close = self.closing.state
            self._signs.bytes_received = self.closing.bytes_received

    def _abandoned(self, now: int, mark: Mark, left: str) -> None:
        self._signs.abandoned = mark[2]

    def _exchange_ended(self, now: int, mark: Mark, left: str) -> None:
        self.method = self.scheme = None
        self._signs.unfinished = False
        start, self._exchange_start = self._exchange_start, 0
        if mark[2] is None:
            # Bytes that were no request: http.server drops a blank line without a word.
            self.sequence -= 1
            self._signs.bad_request = True
            return
        exchanged, phases = Exchanged(*mark[2]), self._exchange_phases
        self.count += 1
        end = now - phases[names.DRAIN] if left == names.DRAIN else now
        self.requests_exported = self.requests_exported or bool(exchanged.flags)
        if exchanged.refused:
            self._signs.bad_request = True
            self._signs.refused_status = exchanged.status
        elif exchanged.status is not None and exchanged.status >= 500:
            self.server_errors += 1
        self.requests.append(
            RequestRecord(self.sequence, start, end, self._exchange_wall, phases, exchanged)
        )

    def record(self) -> ConnectionRecord:
        """Return the record of a connection that is over.

        Raises ValueError if it is not over: a record is final.
        """
        if not self.over or self.accepted is None:
            raise ValueError(f"connection {self.key} is in phase {self.phase}, not over")
        self.outcome, self.error = outcome_of(self._signs, self.count)
        return ConnectionRecord(
            key=self.key,
            accepted=self.accepted,
            accepted_ns=self.accepted_ns,
            start_ns=self.start_ns,
            end_ns=self.since_ns,
            dispatch=self.dispatch,
            phases=dict(self._totals),
            intervals=tuple(self._kept),
            intervals_dropped=self.dropped,
            requests=self.sequence,
            server_errors=self.server_errors,
            outcome=self.outcome,
            error=self.error,
            tls=self.tls,
            closing=self.closing,
            blame=self.blame,
            blocking=self.blocking,
            flags=self.flags,
            trace_state=self.trace_state,
            requests_exported=self.requests_exported,
            anomalies=self.anomalies,
        )


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
