"""The life of a connection as one transition table.

Rules of this file: every transition is in `TRANSITIONS` and nowhere else; time only comes in marks;
a mark that the table does not expect changes no phase and is counted as an anomaly, because the
programs we watch may do anything. Phases therefore never overlap and always add up to the lifetime.

A connection is in exactly one phase. It begins in the kernel's accept queue, `Timeline.feed` moves
it along, and `OVER` ends it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from tcpwatch import names
from tcpwatch.core.marks import Accepted, Closing, Exchanged, Kind, Mark, Tls
from tcpwatch.core.outcome import Signs, outcome_of
from tcpwatch.core.record import INTERVALS_KEPT, Blame, ConnectionRecord, Interval, RequestRecord

OVER: Final = "over"
BEFORE_TLS: Final = "before tls"

_OPEN = tuple(phase for phase in names.PHASES if phase != names.ACCEPT_QUEUE)

TRANSITIONS: Final[dict[tuple[str, int], str]] = {
    (names.ACCEPT_QUEUE, Kind.ACCEPTED): names.DISPATCH,
    # werkzeug shakes hands inside accept(), other handlers do it themselves.
    (names.DISPATCH, Kind.TLS_BEGAN): names.TLS_HANDSHAKE,
    (names.HANDLE, Kind.TLS_BEGAN): names.TLS_HANDSHAKE,
    (names.IDLE, Kind.TLS_BEGAN): names.TLS_HANDSHAKE,
    (names.TLS_HANDSHAKE, Kind.TLS_ENDED): BEFORE_TLS,
    (names.DISPATCH, Kind.HANDLER_BEGAN): names.HANDLE,
    # Until a handler proves to speak HTTP it is a raw one; then that stretch was `idle` all along.
    (names.HANDLE, Kind.HTTP_READY): names.IDLE,
    (names.IDLE, Kind.FIRST_BYTE): names.READ_HEAD,
    (names.READ_HEAD, Kind.HEAD_PARSED): names.APP,
    (names.APP, Kind.FIRST_WRITE): names.RESPOND,
    # http.server answers what it refuses without having a head.
    (names.READ_HEAD, Kind.FIRST_WRITE): names.RESPOND,
    (names.RESPOND, Kind.LAST_WRITE): names.DRAIN,
    **{
        (phase, Kind.EXCHANGE_ENDED): names.IDLE
        for phase in (names.READ_HEAD, names.APP, names.RESPOND, names.DRAIN)
    },
    **{
        (phase, Kind.HANDLER_ENDED): names.CLOSE
        for phase in _OPEN
        if phase not in (names.TLS_HANDSHAKE, names.CLOSE)
    },
    **{(phase, Kind.CLOSED): OVER for phase in _OPEN},
    **{(phase, Kind.ABANDONED): OVER for phase in _OPEN},
}

# Marks that say something but begin no phase.
NOTES: Final = frozenset(
    {Kind.REJECTED, Kind.FORKED, Kind.READ_FAILED, Kind.BLOCKING, Kind.SAMPLED}
)

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
        "last_status",
        "outcome",
        "phase",
        "requests",
        "requests_exported",
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
        self.last_status: int | None = None
        self.flags: int | None = None
        self.trace_state: tuple[tuple[str, str], ...] = ()
        self.requests_exported = False
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
        return self.phase == OVER

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
        now = mark[1] if mark[1] > self.last_ns else self.last_ns
        self.last_ns = now
        if kind == Kind.ACCEPTED:
            self._begin(now, Accepted(*mark[2:]))
        elif kind == Kind.HTTP_READY:
            self.phase = names.IDLE
        else:
            left = self.phase
            if target is not None:
                self._move(target, now)
            self._note(kind, now, mark, left)

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

    def _note(self, kind: int, now: int, mark: Mark, left: str) -> None:
        signs = self._signs
        if kind == Kind.TLS_ENDED:
            signs.tls_error = mark[2]
            self.tls = Tls(*mark[3]) if mark[3] is not None else None
        elif kind == Kind.REJECTED:
            signs.rejected = True
        elif kind == Kind.FORKED:
            self.dispatch = names.PROCESS
        elif kind == Kind.HANDLER_BEGAN:
            self.dispatch = mark[2]
        elif kind == Kind.FIRST_BYTE:
            self.sequence += 1
            self._exchange_start, self._exchange_wall = now, mark[2]
            self._exchange_phases = {}
            signs.unfinished = True
        elif kind == Kind.EXCHANGE_ENDED:
            self._end_exchange(now, mark[2], left)
        elif kind == Kind.READ_FAILED:
            signs.read_error = mark[2]
            signs.read_error_in_request = left in _IN_REQUEST
        elif kind == Kind.HANDLER_ENDED:
            signs.handler_error, signs.client_left = mark[2], mark[3]
        elif kind == Kind.BLOCKING:
            self.blocking = mark[2]
        elif kind == Kind.SAMPLED:
            self.flags, self.trace_state = mark[2], tuple(tuple(pair) for pair in mark[3])
        elif kind == Kind.CLOSED and mark[2] is not None:
            self.closing = Closing(*mark[2])
            signs.state_at_close = self.closing.state
            signs.bytes_received = self.closing.bytes_received
        elif kind == Kind.ABANDONED:
            signs.abandoned = mark[2]

    def _end_exchange(self, now: int, fields: tuple[object, ...] | None, left: str) -> None:
        signs = self._signs
        signs.unfinished = False
        start, self._exchange_start = self._exchange_start, 0
        if fields is None:
            # Bytes that were no request: http.server drops a blank line without a word.
            self.sequence -= 1
            signs.bad_request = True
            return
        exchanged = Exchanged(*fields)  # type: ignore[arg-type]  # the tuple that _replace made
        self.count += 1
        phases = self._exchange_phases
        end = now - phases[names.DRAIN] if left == names.DRAIN else now
        self.last_status = exchanged.status
        self.requests_exported = self.requests_exported or exchanged.exported
        signs.bad_request = signs.bad_request or exchanged.refused
        if exchanged.refused:
            signs.refused_status = exchanged.status
        if exchanged.status is not None and exchanged.status >= 500 and not exchanged.refused:
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
            last_status=self.last_status,
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


def phase_after(phase: str, since_ns: int, marks: Iterable[Mark]) -> tuple[str, int]:
    """Return the phase that `marks` lead to from `phase`, and since when (monotonic ns).

    For a look at an open connection, without making its timeline take the marks.
    """
    before_tls = phase
    for mark in marks:
        target = TRANSITIONS.get((phase, mark[0]))
        if target is None:
            continue
        if target == names.TLS_HANDSHAKE:
            before_tls = phase
        keeps_start = mark[0] == Kind.HTTP_READY
        phase = before_tls if target == BEFORE_TLS else target
        since_ns = since_ns if keeps_start else mark[1]
    return phase, since_ns
