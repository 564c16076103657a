"""A live connection and its current exchange, as the serving threads write on them.

Everything here is touched on the hot path: plain slots, typed where C is built, and no locks. One
thread at a time serves a connection, so one thread at a time writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic_ns as clock
from time import time_ns as wall_clock
from typing import TYPE_CHECKING, Any, Final

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.core.marks import Accepted, Exchanged, Marks, View
from tcpwatch.hub.compiled import connect, quick, typed

if TYPE_CHECKING:
    from tcpwatch.hub.loop import Loop

_make: Final[Callable[..., Any]] = tuple.__new__

STEP_NS: Final = 100_000_000
"""Less than that is a slow thread, or a clock that is slewed by NTP."""

KEPT: Final = 4096
"""Characters of a client's text in a record; more of them are in no attribute."""

# How far the handler's thread is, for the watchers of its reads and writes.
RAW: Final = 0
WAITING: Final = 1
HEAD: Final = 2
APP: Final = 3
RESPONDING: Final = 4


@typed
class Exchange:
    """One request and its response while they happen; times are monotonic nanoseconds."""

    __slots__ = (
        *("body_wait_ns", "cut_short", "ended", "error", "excluded", "final", "first_byte_ns"),
        *("fields", "first_write_ns", "head_ns", "headers"),
        *("last_write_ns", "method", "peer_instrumented", "received", "refused", "release"),
        *("request_line", "route", "scheme", "sequence", "span", "span_facts", "status", "target"),
        *("version", "view", "wall_ns"),
    )

    def __init__(self, sequence: int, now: int, wall: int) -> None:
        self.sequence = sequence
        self.first_byte_ns, self.wall_ns = now, wall
        self.head_ns = self.first_write_ns = self.last_write_ns = 0
        self.body_wait_ns = self.received = 0
        self.scheme = "http"
        self.method: str | None = None
        self.target: str | None = None
        self.version: str | None = None
        self.status: int | None = None
        self.route: str | None = None
        self.view: View | None = None
        self.error: str | None = None
        self.request_line = b""
        self.headers: Any = None
        """The request's, as its handler has parsed them (an email.message.Message)."""
        self.fields: Mapping[str, str] = _NO_FIELDS
        """The first value of each header by its lower-case name, if somebody traces."""
        self.final = self.refused = self.ended = self.cut_short = False
        self.peer_instrumented = self.excluded = False
        self.span: Any = None
        """One that somebody has to end."""
        self.span_facts: tuple[Any, ...] | None = None
        """What `Exchanged` has of its span, from trace_id on; None if it has none."""
        self.release: Any = None

    @property
    def steps_back(self) -> bool:
        """Whether our request span and metrics leave this exchange to others, or it is over."""
        return self.ended or self.peer_instrumented or self.excluded

    @property
    def host(self) -> str | None:
        """What the client has asked for."""
        return self.fields.get("host")

    @property
    def forwarded_host(self) -> str | None:
        """What a proxy's client has asked for."""
        return self.fields.get("x-forwarded-host")

    @property
    def forwarded_for(self) -> str | None:
        """Who a proxy's client is."""
        return self.fields.get("x-forwarded-for")

    @property
    def user_agent(self) -> str | None:
        """What the client says that it is."""
        return self.fields.get("user-agent")

    def raised(self, cls: type[BaseException]) -> None:
        """Note what the application raised; what came first counts."""
        if self.error is None:
            module: object = cls.__module__  # None, if somebody has made it so
            known = isinstance(module, str) and module != "builtins"
            self.error = f"{module}.{cls.__qualname__}" if known else cls.__qualname__

    def freeze(self) -> tuple[Any, ...]:
        """Return the fields of `Exchanged`."""
        return fields_of(self)


@quick
def fields_of(exchange: Exchange) -> tuple[Any, ...]:
    """Return the fields of `Exchanged`.

    Of a text of the client's it has the first `KEPT` characters: many records may wait, and
    the relay of a forked child carries no message of more than some 200 kB.
    """
    asked = (exchange.method, exchange.target, exchange.version)
    told = tuple(map(exchange.fields.get, _TOLD_FIELDS))
    if not 0 < exchange.received <= KEPT:  # else no text can be longer
        asked, told = _beginnings(asked), _beginnings(told)
    return (
        *asked,
        exchange.scheme,
        *told,
        exchange.status,
        exchange.route,
        exchange.view,
        exchange.error,
        exchange.refused,
        exchange.body_wait_ns,
        exchange.peer_instrumented,
        exchange.excluded,
        *(exchange.span_facts or NO_SPAN),
    )


def _beginnings(texts: tuple[str | None, ...]) -> tuple[Any, ...]:
    return tuple(text and text[:KEPT] for text in texts)


_TOLD_FIELDS: Final = ("host", "x-forwarded-host", "x-forwarded-for", "user-agent")
"""In the order in which `Exchanged` has them."""

_NO_FIELDS: Final[Mapping[str, str]] = {}

NO_SPAN: Final = (0, 0, 0, False, 0, (), False)
assert len(Exchanged._fields) == 16 + len(NO_SPAN)

connect(
    "exchange",
    {
        "Exchange": Exchange,
        "EXCHANGED": len(Exchanged._fields),
        "KEPT": KEPT,
        "NO_SPAN": NO_SPAN,
        "TOLD_FIELDS": _TOLD_FIELDS,
    },
)


@typed
class Connection:
    """One accepted connection; `marks` are those that nobody has been handed yet.

    `facts` are the fields of `Accepted`.
    """

    __slots__ = (
        *("accepted", "accepted_ns", "application", "dispatch", "exchange", "flags", "forked"),
        *("handled_by", "handler_ns", "handling", "key", "loop", "marks", "over", "pid"),
        *("ready_ns", "sequence", "socket_id", "socket_ref", "stage", "stream_failed", "tail"),
        *("tls_ns", "trace_state"),
    )

    def __init__(self, key: int, loop: Loop, now: int, pid: int, facts: tuple[Any, ...]) -> None:
        self.key = key
        self.loop = loop
        self.pid = pid
        self.accepted: Accepted = _make(Accepted, facts)
        self.accepted_ns = now
        self.marks: Marks = [kinds.ACCEPTED, now, facts]
        self.tail: tuple[str, int] = (names.ACCEPT_QUEUE, now)
        self.stage = RAW
        self.sequence = self.handler_ns = self.ready_ns = self.tls_ns = self.socket_id = 0
        self.handling = self.over = self.forked = self.stream_failed = False
        self.exchange: Exchange | None = None
        self.dispatch: str | None = None
        self.flags: int | None = None
        self.trace_state: tuple[tuple[str, str], ...] | None = None
        self.socket_ref: Any = None
        self.handled_by: Any = None
        self.application: Any = None

    def first_byte(self, now: int) -> Exchange:
        """Begin an exchange: its first byte was read at `now`.

        Its time on the wall is the connection's plus what has gone by, so that spans of one
        connection are in their order whatever comes between two readings of the clocks; and a
        new reading once the wall clock was stepped.
        """
        wall = wall_clock()
        expected = self.accepted.wall_ns + now - self.accepted_ns
        if -STEP_NS < wall - expected < STEP_NS:
            wall = expected
        self.sequence += 1
        self.stage = HEAD
        exchange = self.exchange = Exchange(self.sequence, now, wall)
        self.marks += (kinds.FIRST_BYTE, now, wall)
        return exchange

    def decided(self, flags: int, trace_state: tuple[tuple[str, str], ...]) -> None:
        """Note the head decision, which holds for all of the connection."""
        self.flags, self.trace_state = flags, trace_state
        self.sampled(flags, trace_state)

    def sampled(self, flags: int, trace_state: tuple[tuple[str, str], ...]) -> None:
        """Note the head decision; it is made when a head was parsed, and noted before that is."""
        exchange = self.exchange
        now = exchange.head_ns if exchange is not None and self.stage == APP else 0
        self.marks += (kinds.SAMPLED, now or clock(), (flags, trace_state))

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
        self.marks += (kinds.READ_FAILED, clock(), type(error).__name__)
