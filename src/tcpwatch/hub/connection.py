"""A live connection and its current exchange, as the serving threads write on them.

Everything here is touched on the hot path: plain slots, no locks. One thread at a time serves a
connection, so one thread at a time writes.
"""

from __future__ import annotations

from time import monotonic_ns as clock
from time import time_ns as wall_clock
from typing import TYPE_CHECKING, Any, Final

from tcpwatch import names
from tcpwatch.core.marks import Accepted, Exchanged, Kind, Mark

if TYPE_CHECKING:
    from tcpwatch.hub.loop import Loop

# How far the handler's thread is, for the watchers of its reads and writes.
RAW: Final = 0
WAITING: Final = 1
HEAD: Final = 2
APP: Final = 3
RESPONDING: Final = 4


class Exchange:
    """One request and its response while they happen; times are monotonic nanoseconds."""

    # Defaults stand on the class: most exchanges change few of them.
    head_ns = first_write_ns = last_write_ns = 0
    method: str | None = None
    target: str | None = None
    version: str | None = None
    scheme = "http"
    host: str | None = None
    forwarded_host: str | None = None
    forwarded_for: str | None = None
    user_agent: str | None = None
    status: int | None = None
    route: str | None = None
    error: str | None = None
    body_wait_ns = received = 0
    request_line = b""
    headers: Any = None
    """The request's, as its handler has parsed them (an email.message.Message)."""
    final = refused = ended = cut_short = False
    peer_instrumented = excluded = False
    span: Any = None
    release: Any = None

    def __init__(self, sequence: int, now: int, wall: int) -> None:
        self.sequence = sequence
        self.first_byte_ns, self.wall_ns = now, wall

    @property
    def steps_back(self) -> bool:
        """Whether our request span and metrics leave this exchange to others, or it is over."""
        return self.ended or self.peer_instrumented or self.excluded

    def raised(self, cls: type[BaseException]) -> None:
        """Note what the application raised; what came first counts."""
        if self.error is None:
            module = "" if cls.__module__ == "builtins" else cls.__module__ + "."
            self.error = module + cls.__qualname__

    def freeze(self, span: tuple[Any, ...] | None) -> tuple[Any, ...]:
        """Return the fields of `Exchanged`; `span` is its part from trace_id on."""
        return (
            self.method,
            self.target,
            self.version,
            self.scheme,
            self.host,
            self.forwarded_host,
            self.forwarded_for,
            self.user_agent,
            self.status,
            self.route,
            self.error,
            self.refused,
            self.body_wait_ns,
            self.peer_instrumented,
            self.excluded,
            *(span or NO_SPAN),
        )


NO_SPAN: Final = (0, 0, 0, False, 0, (), False)
assert len(Exchanged._fields) == 15 + len(NO_SPAN)


class Connection:
    """One accepted connection; `marks` are those that nobody has been handed yet."""

    # Defaults stand on the class: most connections change few of them.
    stage = RAW
    sequence = 0
    exchange: Exchange | None = None
    dispatch: str | None = None
    handler_ns = ready_ns = tls_ns = 0
    handling = over = forked = stream_failed = False
    flags: int | None = None
    trace_state: Any = None
    socket_id = 0
    socket_ref: Any = None
    handled_by: Any = None
    application: Any = None

    def __init__(self, key: int, loop: Loop, now: int, pid: int, accepted: Accepted) -> None:
        self.key = key
        self.loop = loop
        self.pid = pid
        self.accepted = accepted
        self.accepted_ns = now
        self.marks: list[Mark] = [(Kind.ACCEPTED, now, tuple(accepted))]
        self.tail: tuple[str, int] = (names.ACCEPT_QUEUE, now)

    def first_byte(self, now: int) -> Exchange:
        """Begin an exchange: its first byte was read at `now`."""
        wall = wall_clock()
        self.sequence += 1
        self.stage = HEAD
        exchange = self.exchange = Exchange(self.sequence, now, wall)
        self.marks.append((Kind.FIRST_BYTE, now, wall))
        return exchange

    def sampled(self, flags: int, trace_state: tuple[tuple[str, str], ...]) -> None:
        """Note the head decision."""
        self.marks.append((Kind.SAMPLED, clock(), flags, trace_state))

    def peer_sampled(self) -> None:
        """Note that another instrumentation's sampled span links to us: we must be exported."""
        self.sampled(1, self.trace_state or ())

    @staticmethod
    def now() -> int:
        """Return the time of the marks' clock (ns)."""
        return clock()

    def failed(self, error: BaseException) -> None:
        """Note that a read or write of ours ended in `error` (EPIPE, ECONNRESET, a timeout, …)."""
        self.stream_failed = True
        self.marks.append((Kind.READ_FAILED, clock(), type(error).__name__))
