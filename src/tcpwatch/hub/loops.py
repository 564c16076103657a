"""The loops of this process: those that are watched now, and those that were until lately."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from threading import get_ident
from time import monotonic_ns as clock
from typing import Final

from tcpwatch.hub.connection import Connection
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.kernel.reader import Kernel

_RETIRED: Final = 64


class Loops:
    """Finds a loop by its server, its listening socket, its listener's key, or by its thread."""

    def __init__(self) -> None:
        self.by_server: dict[int, Loop] = {}
        """By id() of the server; in the helper process, whose servers are elsewhere, by key."""
        self.by_socket: dict[int, Loop] = {}
        """By id() of the listening socket."""
        self._retired: deque[Loop] = deque()

    def __iter__(self) -> Iterator[Loop]:
        """Iterate over the loops that are watched now; others may come and go meanwhile."""
        return iter(list(self.by_server.values()))

    def add(
        self, identity: int, listener: Listener, sock: socket.socket | None, kernel: Kernel
    ) -> Loop:
        """Watch the loop of the server with this id()."""
        loop = self.by_server[identity] = Loop(listener, sock, kernel)
        if sock is not None:
            self.by_socket[id(sock)] = loop
        return loop

    def retire(self, identity: int) -> None:
        """The server of a loop is gone; what the loop has counted is remembered for a while."""
        loop = self.by_server.pop(identity, None)
        if loop is not None:
            self.by_socket.pop(id(loop.sock), None)
            loop.sock = None
            loop.stop(clock())  # a server that served by hand may never have been closed
            if len(self._retired) == _RETIRED:
                self._bequeath(self._retired.popleft(), loop)
            self._retired.append(loop)

    def _bequeath(self, oldest: Loop, youngest: Loop) -> None:
        """Have another loop of the same series go on with what the oldest has counted."""
        for heir in (*self._retired, youngest):
            if heir.listener._replace(key=0) == oldest.listener._replace(key=0):
                heir.inherit(oldest)
                return

    def retire_all(self) -> None:
        """Nobody watches any of them any longer."""
        for identity in list(self.by_server):
            self.retire(identity)

    def forget_retired(self) -> None:
        """What the loops of earlier servers have counted is nobody's any longer."""
        self._retired.clear()

    def known(self) -> list[Loop]:
        """Return the loops that are or were watched, for counters that must not run backwards."""
        return [*self.by_server.values(), *self._retired]

    def by_key(self, key: int) -> Loop | None:
        """Return the loop whose listener has this key."""
        return next((loop for loop in self.known() if loop.listener.key == key), None)

    def accepting_here(self) -> Connection | None:
        """Return the connection that a loop of this thread has in its get_request()."""
        return next((loop.accepting for loop in self._here() if loop.accepting), None)

    def _here(self) -> list[Loop]:
        here = get_ident()
        return [loop for loop in self if loop.thread_id == here]
