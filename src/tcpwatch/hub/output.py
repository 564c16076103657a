"""What the hub expects of the way out; `emit` has the implementations."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import Message
from typing import Any, Protocol

from tcpwatch.core.marks import Accepted
from tcpwatch.core.record import Interval, RequestRecord
from tcpwatch.core.timeline import Timeline
from tcpwatch.hub.connection import Connection, Exchange
from tcpwatch.hub.loop import Loop


class Requests(Protocol):
    """Request spans, which start and end on the serving thread."""

    def begin(self, connection: Connection, exchange: Exchange, head: Message, app: Any) -> None:
        """The head of a request was parsed: decide, start its span, make it current.

        What makes it no longer current is left in `exchange.release`, for this thread to call.
        """

    def end(self, connection: Connection, exchange: Exchange) -> tuple[Any, ...] | None:
        """The exchange is over: end its span. Return the fields of `Exchanged` from trace_id on.

        Any thread may call it.
        """

    def route(self, exchange: Exchange, route: str) -> None:
        """The application has matched a route."""


class Blocker(Protocol):
    """What is still known of a connection that may have blocked others."""

    accepted: Accepted
    exported: bool


class Sink(Protocol):
    """Takes what has finished, on the worker's thread."""

    def accepted(self, loop: Loop, connection: Timeline) -> None:
        """The first marks of a connection have come."""

    def intervals(self, loop: Loop, intervals: Sequence[Interval], connection: Timeline) -> None:
        """Phases of an open or just closed connection have ended."""

    def request(self, loop: Loop, request: RequestRecord, connection: Timeline) -> None:
        """A request has ended."""

    def connection(self, loop: Loop, connection: Timeline, blocker: Blocker | None) -> bool:
        """A connection is over. Return True if its span was exported."""

    def tidy(self) -> None:
        """The worker has nothing else to do for a moment."""


class Output(Protocol):
    """Everything that leaves the process, opened at the first accept."""

    requests: Requests
    sinks: list[Sink]

    def allocate(self) -> tuple[int, int]:
        """Return a new trace id and span id for a connection."""

    def flush(self, timeout: float) -> bool:
        """Export what is there, for at most `timeout` seconds. Return whether it is out."""

    def release(self, timeout: float) -> None:
        """Export what is there and leave the process as it was, for at most `timeout` seconds."""

    def close(self, timeout: float) -> None:
        """Export what is there before the process ends, for at most `timeout` seconds."""

    def child_flush(self) -> bool:
        """In a forked child: export the application's own spans, briefly. False if in vain."""
