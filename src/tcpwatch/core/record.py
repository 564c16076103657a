"""Records: what happened on a connection, as values that no longer change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tcpwatch import names
from tcpwatch.core.marks import Accepted, Closing, Exchanged, Tls

if TYPE_CHECKING:
    from tcpwatch.core.course import Leg

INTERVALS_KEPT = 64

BEFORE_REQUESTS = frozenset({names.ACCEPT_QUEUE, names.TLS_HANDSHAKE, names.DISPATCH})
"""The phases that delay the first request, before anything of it was read."""

UNTIL_LAST_BYTE = frozenset({names.READ_HEAD, names.APP, names.RESPOND})
"""The phases of a request until its response is out."""

IN_REQUEST = UNTIL_LAST_BYTE | {names.DRAIN}
"""The phases of a request; the others are the connection's alone."""


class Interval(NamedTuple):
    """A stretch of one phase; times are monotonic nanoseconds, sequence 0 is "before a request"."""

    phase: str
    start_ns: int
    end_ns: int
    sequence: int

    @property
    def seconds(self) -> float:
        """Return its duration."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Blame:
    """Who held up a connection in the accept queue: `seconds` of its wait, by `count` activities.

    `connection` is the key of the connection whose activity it was, if it was one connection's.
    """

    activity: str
    seconds: float
    count: int
    connection: int | None


class RequestRecord(NamedTuple):
    """One finished request; `end_ns` is the last byte of its response.

    `legs` are those of the connection's that it was part of.
    """

    sequence: int
    start_ns: int
    end_ns: int
    wall_ns: int
    legs: tuple[Leg, ...]
    exchanged: Exchanged


class ConnectionRecord(NamedTuple):
    """One finished connection; `phases` are total nanoseconds, `intervals` the last ones."""

    key: int
    accepted: Accepted
    accepted_ns: int
    start_ns: int
    end_ns: int
    dispatch: str | None
    phases: dict[str, int]
    intervals: tuple[Interval, ...]
    intervals_dropped: int
    requests: int
    server_errors: int
    outcome: str
    error: str | None
    tls: Tls | None
    closing: Closing
    blame: Blame | None
    blocking: str | None
    flags: int | None
    trace_state: tuple[tuple[str, str], ...]
    requests_exported: bool
    anomalies: int

    @property
    def sampled(self) -> bool:
        """Return whether the head decision, or an exported request of its, wants it exported."""
        return self.requests_exported or bool(self.flags)

    @property
    def seconds(self) -> float:
        """Return its lifetime."""
        return (self.end_ns - self.start_ns) / 1e9
