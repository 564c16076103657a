"""Where the servers' metrics come from: a door of our own for OTLP, or a viewer that has one."""

from __future__ import annotations

import errno
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Final, Protocol

from tcpwatch.cli import otlp_lines
from tcpwatch.cli.live.viewers import is_viewer
from tcpwatch.view.receiver import Receiver
from tcpwatch.view.recording import Recording

_SPANS, _POINTS = 5_000, 20_000
"""What is kept: enough for the last two exports of many servers."""

_PATIENCE: Final = 5.0
_OVERLAP: Final = 1.0
"""Seconds that we ask a viewer for again: something may have arrived while it answered."""


class NoSourceError(Exception):
    """There is nothing to read from; the message says what is in the way, and what would help."""


class Source(Protocol):
    """Something whose `recording` holds what has arrived so far, after each `poll`."""

    recording: Recording
    where: str

    def poll(self) -> None:
        """Fetch what is new; raises NoSourceError if that is over."""

    def wait(self, predicate: Callable[[Recording], bool], timeout: float) -> bool:
        """Return whether the recording satisfies `predicate` within `timeout` seconds."""

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

    def poll(self) -> None:
        """Do nothing: what is new has come by itself."""

    def wait(self, predicate: Callable[[Recording], bool], timeout: float) -> bool:
        """See `Source`."""
        return self.recording.wait_until(predicate, timeout)

    def close(self) -> None:
        """Stop listening."""
        self._receiver.close()


class Viewer:
    """Reads from a `tcpwatch view` that runs, what it has received since the last time.

    Raises:
        NoSourceError: there is no viewer at this address.
    """

    def __init__(self, address: str) -> None:
        self.where = address.rstrip("/")
        self.recording = Recording(_SPANS, _POINTS)
        if not is_viewer(self.where):
            raise NoSourceError(f"{self.where} is no tcpwatch viewer, or does not answer")
        self._since = 0.0
        self.poll()

    def poll(self) -> None:
        """Fetch what has arrived there since the last time."""
        began = time.time()
        url = f"{self.where}/api/export?since={self._since:.3f}"
        try:
            with urllib.request.urlopen(url, timeout=_PATIENCE) as lines:  # noqa: S310  # see is_viewer
                otlp_lines.read(lines, self.where, self.recording)
        except (OSError, otlp_lines.UnreadableError) as error:
            raise NoSourceError(f"{self.where} does not answer any longer: {error}") from error
        self._since = began - _OVERLAP

    def wait(self, predicate: Callable[[Recording], bool], timeout: float) -> bool:
        """See `Source`."""
        deadline = time.monotonic() + timeout
        while not predicate(self.recording):
            if time.monotonic() >= deadline:
                return False
            time.sleep(min(0.5, max(deadline - time.monotonic(), 0)))
            self.poll()
        return True

    def close(self) -> None:
        """Nothing is open."""


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
