"""Where the servers' metrics come from: a door of our own for OTLP, or a viewer that has one."""

from __future__ import annotations

import errno
import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tcpwatch import names
from tcpwatch.cli.live.viewers import is_viewer
from tcpwatch.view import now
from tcpwatch.view.connections import Connection
from tcpwatch.view.receiver import Receiver
from tcpwatch.view.recording import Recording

_SPANS, _POINTS = 5_000, 20_000
"""What is kept: enough for the last two exports of many servers."""

_PATIENCE: Final = 5.0
_LATEST: Final = 5


class NoSourceError(Exception):
    """There is nothing to read from; the message says what is in the way, and what would help."""


@dataclass(frozen=True)
class Seen:
    """What servers have told: how they stand, and which connections ended last."""

    servers: tuple[now.Server, ...] = ()
    ended: tuple[now.Ended, ...] = ()


class Source(Protocol):
    """Somewhere to look; `where` is its address."""

    where: str

    def look(self) -> Seen:
        """Return what is known now; raises NoSourceError if that is over."""

    def wait(self, predicate: Callable[[Seen], bool], timeout: float) -> bool:
        """Return whether what is seen satisfies `predicate` within `timeout` seconds."""

    def close(self) -> None:
        """Let go of it."""


class Door:
    """Listens for OTLP over HTTP, as a collector or `tcpwatch view` would.

    Raises:
        NoSourceError: the port is not ours to listen on.
    """

    def __init__(self, host: str, port: int) -> None:
        self.recording = Recording(_SPANS, _POINTS)
        try:
            self._receiver = Receiver(self.recording, host, port)
        except OSError as error:
            raise NoSourceError(
                f"cannot listen on {host}:{port}: {error.strerror}. If a viewer is there:"
                f" tcpwatch top http://{host}:{port}"
            ) from error
        self.where = self._receiver.endpoint

    def look(self) -> Seen:
        """See `Source`."""
        return _seen(self.recording)

    def wait(self, predicate: Callable[[Seen], bool], timeout: float) -> bool:
        """See `Source`."""
        return self.recording.wait_until(lambda recording: predicate(_seen(recording)), timeout)

    def close(self) -> None:
        """Stop listening."""
        self._receiver.close()


class Viewer:
    """Asks a `tcpwatch view` that runs.

    Raises:
        NoSourceError: there is no viewer at this address.
    """

    def __init__(self, address: str) -> None:
        self.where = address.rstrip("/")
        if not is_viewer(self.where):
            raise NoSourceError(f"{self.where} is no tcpwatch viewer, or does not answer")

    def look(self) -> Seen:
        """See `Source`."""
        url = f"{self.where}/api/now?most={_LATEST}"
        try:
            with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:  # noqa: S310  # see is_viewer
                told = json.load(answer)
            return Seen(
                tuple(map(_server, told["servers"])),
                tuple(now.Ended(**one) for one in told["ended"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = f"{self.where} does not answer any longer, or is of another version: {error}"
            raise NoSourceError(why) from error

    def wait(self, predicate: Callable[[Seen], bool], timeout: float) -> bool:
        """See `Source`."""
        deadline = time.monotonic() + timeout
        while not predicate(self.look()):
            if time.monotonic() >= deadline:
                return False
            time.sleep(min(0.5, max(deadline - time.monotonic(), 0)))
        return True

    def close(self) -> None:
        """Nothing is open."""


def _seen(recording: Recording) -> Seen:
    connections = [
        Connection(span)
        for span in recording.spans
        if span.scope == names.SCOPE and span.name in (names.SPAN_TCP, names.SPAN_UNIX)
    ]
    connections.sort(key=lambda one: one.span.end_ns, reverse=True)
    return Seen(
        tuple(now.servers(recording.history(*now.METRICS))),
        tuple(
            now.Ended(one.peer, one.outcome, one.span.duration, one.queue_wait)
            for one in connections[:_LATEST]
        ),
    )


def _server(told: dict[str, Any]) -> now.Server:
    opened = tuple(now.Open(**one) for one in told["open"])
    return now.Server(**{**told, "open": opened})


def find(address: str | None, host: str, port: int) -> Source:
    """Return the source that was asked for: a viewer's address, else a door of our own.

    If a viewer has the port already, it is asked instead.

    Raises:
        NoSourceError: there is neither.
    """
    if address is not None:
        return Viewer(address)
    try:
        return Door(host, port)
    except NoSourceError as error:
        taken = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE
        if taken and is_viewer(f"http://{host}:{port}"):
            return Viewer(f"http://{host}:{port}")
        raise
