"""The worker: feeds marks to timelines and hands what has finished to the sinks.

It runs on one daemon thread of the serving process or, for forking servers, in the helper process.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic_ns as clock
from typing import TYPE_CHECKING

from tcpwatch import names
from tcpwatch.core.blame import Activity, blame
from tcpwatch.core.marks import Kind, Mark
from tcpwatch.core.record import ConnectionRecord
from tcpwatch.core.timeline import Timeline
from tcpwatch.guard import guard
from tcpwatch.hub.loop import Loop
from tcpwatch.hub.relay import Message
from tcpwatch.hub.stall import StallWatch

if TYPE_CHECKING:
    from tcpwatch.hub.output import Sink
    from tcpwatch.hub.post import Post

_RECENT = 4096
_HISTORY = 8192
_SWEEP_NS = 5_000_000_000
TICK = 0.1


@dataclass(slots=True)
class Acquaintance:
    """What is remembered of a connection, open or over, that may have blocked others."""

    cookie: str | None
    peer: tuple[str, int | None] | None
    trace_id: int
    span_id: int
    exported: bool = False


class Worker:
    """Owns the timelines; everything here happens on one thread."""

    def __init__(
        self,
        post: Post,
        loops: Callable[[int], Loop | None],
        sinks: Callable[[], list[Sink]],
        watch: StallWatch,
        blame_min: float,
        is_open: Callable[[int], bool],
    ) -> None:
        self.post = post
        self.timelines: dict[int, Timeline] = {}
        self.pids: dict[int, int] = {}
        self.dropped: Counter[str] = Counter()
        self.acquaintances: OrderedDict[int, Acquaintance] = OrderedDict()
        self.wake = threading.Event()
        self._loops = loops
        self._sinks = sinks
        self._watch = watch
        self._is_open = is_open
        self._swept_ns = 0
        self._blame_min_ns = int(blame_min * 1e9)
        self._history: dict[int, deque[Activity]] = {}
        self._broken: set[int] = set()
        self._stopping = False

    def run(self) -> None:
        """Work until `stop`; the thread's main function."""
        while not self._stopping:
            self.wake.wait(TICK)
            self.wake.clear()
            try:
                self.drain()
                now = clock()
                self._watch.look(now)
                self._sweep(now)
            except Exception as error:  # the thread must outlive whatever one message does
                guard.caught("worker", error)

    def stop(self) -> None:
        """Make `run` return after its present round."""
        self._stopping = True
        self.wake.set()

    def drain(self) -> None:
        """Handle every message that is queued now."""
        queue = self.post.queue
        while queue:
            try:
                message = queue.popleft()
            except IndexError:
                break
            try:
                self.handle(message)
            except Exception as error:
                self.dropped["worker_error"] += 1
                guard.caught("worker", error)

    def settle(self, timeout: float) -> bool:
        """Wait until everything queued so far was handled, for at most `timeout` seconds."""
        done = threading.Event()
        self.post.queue.append(("settled", done))
        self.wake.set()
        return done.wait(timeout)

    def handle(self, message: Message) -> None:
        """Handle one message of the queue or of the relay."""
        tag = message[0]
        if tag == "marks":
            self._marks(message[1], message[2])
        elif tag == "history":
            past = self._history.setdefault(message[1], deque(maxlen=_HISTORY))
            past.extend(Activity(*activity) for activity in message[2])
        elif tag == "forked":
            self._forked(message[1], message[2])
        elif tag == "reaped":
            key = self.pids.pop(message[1], None)
            if key is not None and key in self.timelines:
                self._marks(key, [(Kind.ABANDONED, clock(), names.CHILD_DIED)])
        elif tag == "dropped":
            self.dropped["relay_full"] += message[1]
        elif tag == "settled":
            message[1].set()

    def _forked(self, key: int, pid: int) -> None:
        timeline = self.timelines.get(key)
        if timeline is not None:
            timeline.dispatch = names.PROCESS
            self.pids[pid] = key

    def _marks(self, key: int, marks: list[Mark]) -> None:
        timeline = self.timelines.get(key)
        if timeline is None:
            if not marks or marks[0][0] != Kind.ACCEPTED:
                self.dropped["unknown_connection"] += 1
                return
            timeline = self.timelines[key] = Timeline(key)
        begins = timeline.accepted is None
        timeline.feed(marks)
        accepted = timeline.accepted
        if accepted is None:
            return
        loop = self._loops(accepted.listener)
        if begins:
            self._remember(key, timeline)
            self._find_blocker(timeline, loop)
        if loop is not None:
            self._deliver(timeline, loop, begins)

    def _remember(self, key: int, timeline: Timeline) -> None:
        accepted = timeline.accepted
        assert accepted is not None
        self.acquaintances[key] = Acquaintance(
            accepted.cookie, accepted.peer, accepted.trace_id, accepted.span_id
        )
        if len(self.acquaintances) > _RECENT:
            self.acquaintances.popitem(last=False)

    def _find_blocker(self, timeline: Timeline, loop: Loop | None) -> None:
        accepted = timeline.accepted
        wait = accepted.wait_ns if accepted is not None else None
        if accepted is None or wait is None or wait < self._blame_min_ns:
            return
        past = self._history.get(accepted.listener, ())
        end = timeline.accepted_ns
        timeline.blame = blame(past, end - wait, end)
        if timeline.blame is not None and loop is not None:
            loop.blocked_ns[timeline.blame.activity] += int(timeline.blame.seconds * 1e9)

    def _deliver(self, timeline: Timeline, loop: Loop, begins: bool) -> None:
        intervals, timeline.intervals = timeline.intervals, []
        requests, timeline.requests = timeline.requests, []
        record = timeline.record() if timeline.over else None
        if record is not None:
            del self.timelines[timeline.key]
        for sink in self._sinks():
            if id(sink) in self._broken:
                continue
            try:
                if begins:
                    sink.accepted(loop, timeline)
                if intervals:
                    sink.intervals(loop, intervals, timeline)
                for request in requests:
                    sink.request(loop, request, timeline)
                if record is not None:
                    self._finish(sink, loop, record)
            except Exception as error:
                self._broken.add(id(sink))
                guard.caught(type(sink).__name__, error)

    def _finish(self, sink: Sink, loop: Loop, record: ConnectionRecord) -> None:
        blocker = None
        if record.blame is not None and record.blame.connection is not None:
            blocker = self.acquaintances.get(record.blame.connection)
        exported = sink.connection(loop, record, blocker)
        known = self.acquaintances.get(record.key)
        if exported and known is not None:
            known.exported = True

    def _sweep(self, now: int) -> None:
        """Drop timelines whose end was lost with a full queue: nobody will ever send it."""
        if now - self._swept_ns < _SWEEP_NS:
            return
        self._swept_ns = now
        of_children = set(self.pids.values())
        for key, timeline in list(self.timelines.items()):
            quiet = now - timeline.last_ns > _SWEEP_NS and not self.post.queue
            if quiet and key not in of_children and not self._is_open(key):
                del self.timelines[key]
                self.dropped["end_lost"] += 1

    def abandon_all(self, outcome: str) -> None:
        """End every open timeline as `outcome`."""
        now = clock()
        for key in list(self.timelines):
            self._marks(key, [(Kind.ABANDONED, now, outcome)])
