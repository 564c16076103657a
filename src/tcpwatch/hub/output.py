"""What the hub expects of the way out; `emit` has the implementations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.message import Message
from typing import TYPE_CHECKING, Any, Protocol

from tcpwatch.core.course import Leg
from tcpwatch.core.marks import Accepted
from tcpwatch.core.timeline import Timeline
from tcpwatch.hub.connection import Connection, Exchange
from tcpwatch.hub.loop import Loop

if TYPE_CHECKING:
    from tcpwatch.hub.registry import Hub


class Requests(Protocol):
    """Request spans, which start and end on the serving thread.

    `began` is the twin of `begin` in C, which gets the same and says whether it has done it; None
    if there is none, as where `begin` is another's.
    """

    began: Callable[..., bool] | None

    def begin(self, connection: Connection, exchange: Exchange, head: Message, app: Any) -> None:
        """The head of a request was parsed: decide, start its span, make it current.

        What makes it no longer current is left in `exchange.release`, for this thread to call.
        """

    def end(self, connection: Connection, exchange: Exchange) -> None:
        """The exchange is over: end its span, or start the one of a request that was refused.

        `exchange.span_facts` then are what `Exchanged` has of it. Any thread may call it.
        """

    def route(self, exchange: Exchange, route: str) -> None:
        """The application has matched a route."""


class Blocker(Protocol):
    """What is still known of a connection that may have blocked others."""

    @property
    def accepted(self) -> Accepted:
        """What was known when it was accepted."""

    @property
    def exported(self) -> bool:
        """Whether its span was exported."""


class Sink(Protocol):
    """Takes what has finished, on the worker's thread."""

    def take(self, loop: Loop, connection: Timeline, leg: Leg, blocker: Blocker | None) -> bool:
        """A connection has gone another leg of its life.

        `connection.requests` are those that have ended on it; the connection is over if it has an
        `outcome`. `blocker` is who made it wait, if that is known. Return whether its span was
        exported.
        """

    def tidy(self) -> Iterator[None]:
        """The worker has nothing else to do for a moment: do what there is, a short step each."""


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


class Opener(Protocol):
    """Makes the way out of this process; `forking`: does its server fork for each connection."""

    def prepare(self, hub: Hub, forking: bool) -> None:
        """Do what is slow beforehand: a server is made, nobody can wait for it yet. Never fails.

        A process that serves nobody, or has a helper for it, does without.
        """

    def __call__(self, hub: Hub, forking: bool) -> Output:
        """Open it, at the first accept."""
