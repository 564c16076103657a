"""The post: messages from serving threads to the worker, wherever it is.

The worker is a thread of this process; or the far end of a relay, for a forked child and for a
forking server that has left its worker to the helper.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable

from tcpwatch.hub.exchanges import frozen
from tcpwatch.hub.relay import Message, Relay, receive
from tcpwatch.hub.worker import Worker

_HURRY = 256
"""With more messages waiting the worker is woken before its next tick."""

_CHILD_PATIENCE = 0.05
"""Seconds that a child waits for room in the relay; its parent's loop waits for nothing."""


class Post:
    """Carries messages; a full queue loses its oldest, and every loss is counted in `dropped`."""

    __slots__ = (
        *("_capacity", "_crowd", "dropped", "in_child", "queue", "relay", "remote", "worker"),
    )

    def __init__(self, capacity: int) -> None:
        self.hold(capacity)
        self.queue: deque[Message] = deque()
        self.dropped: Counter[str] = Counter()
        self.worker: Worker | None = None
        self.relay: Relay | None = None
        self.remote = False
        """Whether the worker is the helper's."""
        self.in_child = False
        """Whether this process was forked to serve one connection."""

    def hold(self, capacity: int) -> None:
        """Let so many messages wait at most."""
        self._capacity = capacity
        self._crowd = min(capacity, _HURRY)

    def send(self, message: Message) -> None:
        """Send a message to the worker."""
        if self.remote or self.in_child:
            self._relay(message, _CHILD_PATIENCE if self.in_child else 0.0)
            return
        queue = self.queue
        queue.append(message)
        if len(queue) > self._crowd:
            self._hurry(queue)

    def _hurry(self, queue: deque[Message]) -> None:
        worker = self.worker
        if worker is not None and not worker.bell.has_rung():
            worker.bell.ring()
        waiting: list[Message] = []
        while len(queue) + len(waiting) > self._capacity:
            try:
                lost = queue.popleft()
            except IndexError:  # the worker was faster
                break
            if lost[0] == "settled":  # somebody waits for it, and it is no record
                waiting.append(lost)
                continue
            self.dropped["queue_full"] += 1
        queue.extendleft(reversed(waiting))

    def send_of_child(self, message: Message) -> None:
        """Send a message about a child by the way of the child's own, so that none overtakes."""
        if self.relay is not None and not self.remote:
            self._relay(message, _CHILD_PATIENCE)
        else:
            self.send(message)

    def _relay(self, message: Message, patience: float) -> None:
        if message[0] == "marks":
            message = ("marks", message[1], frozen(message[2]))
        relay = self.relay
        if relay is None:
            self.dropped["no_relay"] += 1
        elif not relay.send(message, patience):
            self.dropped["relay_full"] += 1

    def employ(self, worker: Worker) -> None:
        """Have a worker of this process take the messages, on a daemon thread.

        Raises RuntimeError if no thread can be started now.
        """
        threading.Thread(target=worker.run, name="tcpwatch-worker", daemon=True).start()
        self.worker = worker

    def open_relay(self, take: Callable[[Message], bool]) -> None:
        """Let forked children send to this process's worker.

        `take` sees each message first and says whether it has dealt with it. Raises OSError or
        RuntimeError if there is no descriptor or no thread to be had.
        """
        relay = Relay()
        try:
            threading.Thread(
                target=self._collect, args=(relay, take), name="tcpwatch-relay", daemon=True
            ).start()
        except RuntimeError:
            relay.sock.close()
            relay.far_end.close()
            raise
        self.relay = relay

    def _collect(self, relay: Relay, take: Callable[[Message], bool]) -> None:
        with relay.far_end:
            while (message := receive(relay.far_end)) is not None:
                if not take(message):
                    self.send(message)

    def reset(self) -> None:
        """Forget everything: a process that was forked for something else, or an uninstall."""
        worker = self.worker
        if worker is not None:
            worker.stop()
        self.disown()
        if worker is not None:
            self.dropped.update(worker.dropped)  # the next one counts from zero

    def disown(self) -> None:
        """Drop the worker without a touch: in a forked child its locks may be held for ever."""
        self.queue = deque()
        if self.relay is not None:
            self.relay.sock.close()
        self.worker = self.relay = None
        self.remote = self.in_child = False

    def become_child(self) -> None:
        """From now on this is a child that serves one connection: the relay is the only way."""
        self.queue = deque()
        self.worker = None
        self.in_child = True
