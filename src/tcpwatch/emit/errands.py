"""Errands with a deadline: the SDK's force_flush and shutdown ignore theirs.

They are run by daemon threads that were started beforehand, because at the end of the interpreter
Python 3.12 refuses to start one. What is not done in time goes on behind our back and dies with the
process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from time import monotonic
from typing import Any, Final

from tcpwatch.guard import guard

Task = Callable[[], Any]

_AT_ONCE: Final = 2
"""One errand for each signal, so that traces do not wait for metrics."""


class Errands:
    """A few daemon threads that wait for something to do."""

    def __init__(self) -> None:
        self._pid = self._running = 0
        self._waiting: SimpleQueue[tuple[Task, threading.Semaphore]] = SimpleQueue()

    def prepare(self) -> None:
        """Start the threads, once in each process.

        Raises RuntimeError if there is none to be had now; a later call starts what is missing.
        """
        if self._pid != os.getpid():
            self._waiting, self._running = SimpleQueue(), 0
            self._pid = os.getpid()
        while self._running < _AT_ONCE:
            threading.Thread(
                target=self._work,
                args=(self._waiting,),
                name=f"tcpwatch-{self._running}",
                daemon=True,
            ).start()
            self._running += 1

    def run(self, tasks: Sequence[Task], timeout: float) -> bool:
        """Run tasks side by side for at most `timeout` seconds. Return whether all have ended."""
        with suppress(RuntimeError):
            self.prepare()
        if not self._running:
            return not tasks
        deadline = monotonic() + timeout
        done = threading.Semaphore(0)
        for task in tasks:
            self._waiting.put((task, done))
        return all(done.acquire(timeout=max(deadline - monotonic(), 0)) for _ in tasks)

    def _work(self, waiting: SimpleQueue[tuple[Task, threading.Semaphore]]) -> None:
        while True:
            task, done = waiting.get()
            try:
                task()
            except Exception as error:
                guard.caught("flush", error)
            finally:
                done.release()
            del task, done  # an idle thread keeps no provider alive


errands = Errands()
