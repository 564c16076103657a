"""What a server really calls: one connection to it, under the interpreter's own profiler."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

from tests.live.wire import LIMIT


class Observed:
    """The functions that were called: for each the moments of its calls, with the callers.

    Args:
        serve: makes a server and serves until it is shut down; called in a thread.
        ask: is given the server's address and makes one request.
    """

    def __init__(self, serve: Callable[[], Any], ask: Callable[[Any], Any]) -> None:
        self.called: dict[CodeType, list[tuple[int, set[CodeType]]]] = {}
        self._moment = 0
        self._serving = threading.Event()
        self._servers: list[Any] = []
        others = set(threading.enumerate())
        threading.setprofile(self._look)
        try:
            thread = threading.Thread(target=serve)
            thread.start()
            assert self._serving.wait(LIMIT)
            (server,) = self._servers
            try:
                ask(server.socket.getsockname())
            finally:
                server.shutdown()
                thread.join(LIMIT)
                server.server_close()
            # A handler's thread closes the connection after the client has seen its end.
            for handling in set(threading.enumerate()) - others:
                handling.join(LIMIT)
        finally:
            threading.setprofile(None)

    def _look(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            above = set(_codes(frame.f_back))
            self._moment += 1
            self.called.setdefault(frame.f_code, []).append((self._moment, above))
            if frame.f_code is socketserver.BaseServer.serve_forever.__code__:
                self._servers.append(frame.f_locals["self"])
                self._serving.set()


def _codes(frame: FrameType | None) -> Iterator[CodeType]:
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back
