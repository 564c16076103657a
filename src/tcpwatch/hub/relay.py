"""Marks from one process to another: forked children and the accepting process to the worker's.

Messages are tuples of plain values, marshalled, over a pair of SOCK_SEQPACKET sockets that is made
before the fork. Sending never blocks a server for long: what does not fit is dropped and counted.
"""

from __future__ import annotations

import itertools
import marshal
import select
import socket
import threading
from time import monotonic
from typing import Any

Message = tuple[Any, ...]

_TYPE = getattr(socket, "SOCK_SEQPACKET", socket.SOCK_DGRAM)
_BUFFER = 1 << 20
_LARGEST = 1 << 20


class Relay:
    """The sending end; shared by a process and its forked children."""

    def __init__(self) -> None:
        self.sock, self.far_end = socket.socketpair(socket.AF_UNIX, _TYPE)
        for end in (self.sock, self.far_end):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self.sock.setblocking(False)
        self.unreported = 0
        self._questions = itertools.count(1)
        self._asking = threading.RLock()

    def send(self, message: Message, patience: float = 0.0) -> bool:
        """Send `message`, waiting at most `patience` seconds for room. False if it was dropped."""
        if self.unreported:
            dropped, self.unreported = self.unreported, 0
            if not self._send(("dropped", dropped), 0.0):
                self.unreported += dropped
        if self._send(message, patience):
            return True
        self.unreported += 1
        return False

    def _send(self, message: Message, patience: float) -> bool:
        data = marshal.dumps(message)
        for last in (False, True):
            try:
                self.sock.send(data)
            except BlockingIOError:
                if last or not patience:
                    return False
                _wait(self.sock, select.POLLOUT, patience)
            except OSError:
                return False
            else:
                return True
        return False

    def ask(self, message: Message, timeout: float) -> Any:
        """Send a question to the far end and return its answer; None if none came in time.

        The answer may still come, so each bears the number of its question.
        """
        deadline = monotonic() + timeout
        if not self._asking.acquire(timeout=timeout):
            return None
        try:
            number = next(self._questions)
            if not self.send(("asked", number, message), _left(deadline)):
                return None
            while _wait(self.sock, select.POLLIN, _left(deadline)):
                answered = receive(self.sock)
                if answered is None or answered[0] == number:
                    return answered and answered[1]
            return None
        finally:
            self._asking.release()


def _left(deadline: float) -> float:
    return max(deadline - monotonic(), 0.0)


def _wait(sock: socket.socket, event: int, timeout: float) -> bool:
    """Wait for a socket to be ready; select() knows only the first 1024 descriptors."""
    poll = select.poll()
    try:
        poll.register(sock, event)
    except ValueError:  # another thread has closed it
        return False
    return bool(poll.poll(timeout * 1000))


def answer(far_end: socket.socket, number: int, value: Any) -> bool:
    """Answer the question of this number. False if there is no room, or nobody to take it."""
    try:
        far_end.send(marshal.dumps((number, value)))
    except OSError:
        return False
    return True


def receive(sock: socket.socket) -> Any:
    """Return the next message; None when all senders are gone."""
    try:
        data = sock.recv(_LARGEST)
    except (ConnectionError, BlockingIOError):
        return None
    return marshal.loads(data) if data else None  # noqa: S302  # from our own processes only
