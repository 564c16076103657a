"""Public fakes for tests around tcpwatch: a kernel, a sink, and an output that records.

with recording() as seen:
    ...  # serve something in this process
assert seen.connections[0].outcome == "completed"
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.message import Message
from typing import Any

from tcpwatch import names, patches
from tcpwatch.core.course import Leg, intervals_of
from tcpwatch.core.marks import Closing, Ending
from tcpwatch.core.record import ConnectionRecord, Interval, RequestRecord
from tcpwatch.core.timeline import Timeline
from tcpwatch.hub import Hub, hub
from tcpwatch.hub.connection import Connection, Exchange
from tcpwatch.hub.loop import Loop
from tcpwatch.hub.output import Blocker, Requests, Sink
from tcpwatch.kernel.reader import Kernel
from tcpwatch.kernel.tcp_info import AtAccept
from tcpwatch.settings import Settings


class FakeKernel(Kernel):
    """A kernel that answers what it is told; every answer is None (no such platform) at first."""

    def __init__(self, jiffy_ns: int = 4_000_000) -> None:
        self.jiffy_ns = jiffy_ns
        self.at_accept: AtAccept | None = None
        self.at_close = Closing()
        self.depth_and_limit: tuple[int, int] | None = None
        self.dropped: int | None = None

    def queue(self, listener: socket.socket) -> tuple[int, int] | None:
        """Return `depth_and_limit`."""
        return self.depth_and_limit

    def drops(self, listener: socket.socket) -> int | None:
        """Return `dropped`."""
        return self.dropped

    def accepted(self, connection: socket.socket) -> AtAccept | None:
        """Return `at_accept`."""
        return self.at_accept

    def closing(self, connection: socket.socket) -> Closing:
        """Return `at_close`."""
        return self.at_close

    def ending(self, connection: socket.socket) -> Ending | None:
        """Return `at_close`."""
        return tuple(self.closing(connection))

    def cookie(self, sock: socket.socket) -> str | None:
        """Return None: a fake has no cookies."""
        return None

    def depth_of_port(self, port: int) -> int | None:
        """Return the depth of `depth_and_limit`."""
        return self.depth_and_limit[0] if self.depth_and_limit is not None else None


@dataclass(slots=True)
class RecordingSink:
    """A sink that keeps everything, in the order in which it came."""

    connections: list[ConnectionRecord] = field(default_factory=list)
    requests: list[RequestRecord] = field(default_factory=list)
    phases: list[Interval] = field(default_factory=list)
    accepts: int = 0

    def take(self, loop: Loop, connection: Timeline, leg: Leg, blocker: Blocker | None) -> bool:
        """Keep what has ended; nothing is exported."""
        self.accepts += leg.first
        self.phases += intervals_of([leg], 0)
        self.requests += connection.requests
        if connection.outcome is not None:
            self.connections.append(connection.record())
        return False

    def tidy(self) -> Iterator[None]:
        """Keep everything."""
        return iter(())


class NoRequestSpans:
    """Makes no request spans."""

    began: Callable[..., bool] | None = None

    def begin(self, connection: Connection, exchange: Exchange, head: Message, app: Any) -> None:
        """Do nothing."""

    def end(self, connection: Connection, exchange: Exchange) -> None:
        """Return no span."""

    def route(self, exchange: Exchange, route: str) -> None:
        """Do nothing."""


class RecordingOutput:
    """An output that ends in a `RecordingSink`: no OpenTelemetry, no network."""

    def __init__(self, sink: Sink) -> None:
        self.requests: Requests = NoRequestSpans()
        self.sinks = [sink]
        self._ids = itertools.count(1)

    def allocate(self) -> tuple[int, int]:
        """Return small ids."""
        return next(self._ids), next(self._ids)

    def flush(self, timeout: float) -> bool:
        """Return True: there is nothing to send."""
        return True

    def release(self, timeout: float) -> None:
        """Do nothing."""

    def close(self, timeout: float) -> None:
        """Do nothing."""

    def child_flush(self) -> bool:
        """Return True: there is nothing to send."""
        return True


class RecordingOpener:
    """Opens the way into a `RecordingSink`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def prepare(self, hub: Hub, forking: bool) -> None:
        """Do nothing."""

    def __call__(self, hub: Hub, forking: bool) -> RecordingOutput:
        """Return the way in, and have a worker."""
        hub.start_worker()
        return RecordingOutput(self._sink)


@contextmanager
def recording(
    settings: Settings | None = None, kernel: Kernel | None = None
) -> Iterator[RecordingSink]:
    """Watch this process's servers for the length of a with block, and record what happens.

    Internal errors are raised. At the end everything is given back, and the sink is complete.
    Raises RuntimeError if tcpwatch is installed already.
    """
    if hub.active:
        raise RuntimeError("tcpwatch is installed in this process; uninstall() it first")
    sink = RecordingSink()
    before = hub.kernel
    hub.kernel = kernel or before

    hub.start(replace(settings or Settings(), strict=True), RecordingOpener(sink))
    patches.install()
    try:
        yield sink
    finally:
        patches.uninstall()
        hub.stop(names.UNINSTALLED)
        hub.forget()
        hub.loops.forget_retired()
        hub.kernel = before
