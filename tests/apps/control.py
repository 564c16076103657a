"""The test's line into a server's process: one JSON object a line each way, over a socket pair.

A thread serves it; where the accepting process must stay without threads (a forking server), a
signal does: the test sends SIGUSR1 after each line.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.apps import gate

Answer = Any


def _snapshot(connection: Any) -> dict[str, Any]:
    return dataclasses.asdict(connection)


def _burn() -> None:
    """Use the CPU and the GIL for ever."""
    while True:
        sum(range(1000))


class Control:
    """Answers the test's commands."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._lines = self._socket.makefile("r")
        self._last: dict[str, Callable[[], Answer]] = {}
        self._commands: dict[str, Callable[[], Answer]] = {
            "connections": self._connections,
            "flush": self._flush,
            "install": self._install,
            "uninstall": self._uninstall,
            "release": gate.release,
            "burn": lambda: threading.Thread(target=_burn, daemon=True).start(),
            "errors": self._errors,
            "patched": self._patched,
            "threads": lambda: sorted(t.name for t in threading.enumerate()),
            "fds": lambda: len(list(Path("/proc/self/fd").iterdir())),
        }

    def on(self, command: str, do: Callable[[], Answer]) -> None:
        """Add a command."""
        self._commands[command] = do

    def on_leaving(self, command: str, do: Callable[[], Answer]) -> None:
        """Add a command that ends the process: it is answered before it is done."""
        self._last[command] = do

    def say(self, answer: Answer) -> None:
        """Send a line to the test."""
        self._socket.sendall(json.dumps(answer, default=_snapshot).encode() + b"\n")

    def serve_by_thread(self) -> None:
        """Answer from a thread, for as long as the process runs."""
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def serve_by_signal(self) -> None:
        """Answer one line at each SIGUSR1, from the main thread."""
        signal.signal(signal.SIGUSR1, lambda *_: self._answer(self._lines.readline()))

    def _serve(self) -> None:
        for line in self._lines:
            self._answer(line)

    def _answer(self, line: str) -> None:
        command = json.loads(line)
        if command in self._last:
            self.say({"answer": None})
            self._last[command]()
            return
        try:
            self.say({"answer": self._commands[command]()})
        except Exception as error:
            self.say({"error": f"{type(error).__name__}: {error}"})

    def _connections(self) -> Answer:
        import tcpwatch

        return [_snapshot(connection) for connection in tcpwatch.connections()]

    def _flush(self) -> Answer:
        import tcpwatch

        return tcpwatch.flush(5)

    def _errors(self) -> Answer:
        from tcpwatch.guard import guard

        return dict(guard.errors)

    def _patched(self) -> Answer:
        """Return what the classes that tcpwatch patches hold, by name and identity."""
        import http.server
        import socketserver
        import wsgiref.handlers

        from werkzeug import serving

        modules = (socketserver, http.server, serving, wsgiref.handlers)
        classes = [c for m in modules for c in vars(m).values() if isinstance(c, type)]
        return sorted(
            f"{c.__module__}.{c.__qualname__}.{name} {id(held)}"
            for c in {*classes, socket.socket}
            for name, held in vars(c).items()
            if callable(held)
        )

    def _install(self) -> Answer:
        import tcpwatch

        tcpwatch.install()

    def _uninstall(self) -> Answer:
        import tcpwatch

        tcpwatch.uninstall()
