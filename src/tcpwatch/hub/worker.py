"""The worker: feeds marks to timelines and hands what has finished to the sinks.

It runs on one daemon thread of the serving process or, for forking servers, in the helper process.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from time import monotonic_ns as clock
from typing import TYPE_CHECKING, Final, NamedTuple

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.core.blame import Activity, blame
from tcpwatch.core.course import Leg
from tcpwatch.core.feeding import begun, feed
from tcpwatch.core.marks import Accepted, Marks
from tcpwatch.core.timeline import Timeline
from tcpwatch.guard import guard
from tcpwatch.hub.bell import Bell
from tcpwatch.hub.loop import Loop
from tcpwatch.hub.pace import Pace
from tcpwatch.hub.relay import Message
from tcpwatch.hub.stall import StallWatch
from tcpwatch.kernel.tcp_info import read_closing, read_end

if TYPE_CHECKING:
    from tcpwatch.hub.output import Sink
    from tcpwatch.hub.post import Post

_RECENT = 4096
_HISTORY = 8192
_SWEEP_NS = 5_000_000_000

_TICK: Final = 0.1
_IDLE_TICK: Final = 0.25
"""Seconds between two rounds, and at most between two of a process in which nothing happens."""


class Acquaintance(NamedTuple):
    """What is remembered of a connection, open or over, that may have blocked others."""

    accepted: Accepted
    exported: bool


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
        pace: Pace,
    ) -> None:
        self.post = post
        self.timelines: dict[int, Timeline] = {}
        self.pids: dict[int, int] = {}
        self.dropped: Counter[str] = Counter()
        self.acquaintances: dict[int, Acquaintance] = {}
        self.bell = Bell()
        self._loops = loops
        self._sinks = sinks
        self._watch = watch
        self._is_open = is_open
        self._pace = pace
        self._swept_ns = 0
        self._blame_min_ns = int(blame_min * 1e9)
        self._history: dict[int, deque[Activity]] = {}
        self._broken: set[int] = set()
        self._stopping = False
        self._loop: Loop | None = None
        """The loop of the last message: most processes have one."""

    def run(self) -> None:
        """Work until `stop`; the thread's main function."""
        tick = _TICK
        idle_tick = max(_TICK, min(_IDLE_TICK, self._watch.threshold / 2))
        while not self._stopping:
            self.bell.sleep(tick)
            try:
                handled = self.drain()
                if handled:
                    self._tidy()
                now = clock()
                away = self._watch.look(now)
                tick = _TICK if handled or away else idle_tick
                self._sweep(now)
            except Exception as error:  # the thread must outlive whatever one message does
                guard.caught("worker", error)

    def stop(self) -> None:
        """Make `run` return after its present round."""
        self._stopping = True
        self.bell.ring()

    def drain(self) -> int:
        """Handle every message that is queued now. Return how many there were."""
        queue, handled, pace = self.post.queue, 0, self._pace
        pace.begin()
        while queue and not self._stopping:  # what comes then is for the next install's worker
            pace.keep()
            try:
                message = queue.popleft()
            except IndexError:
                break
            try:
                self.handle(message)
            except Exception as error:
                self.dropped["worker_error"] += 1
                guard.caught("worker", error)
            handled += 1
        return handled

    def _tidy(self) -> None:
        for sink in self._sinks():
            for _ in sink.tidy():
                self._pace.rest()

    def settle(self, timeout: float) -> bool:
        """Wait until everything queued so far was handled, for at most `timeout` seconds."""
        done = threading.Event()
        self._pace.awaited.add(done)
        self.post.queue.append(("settled", done))
        self.bell.ring()
        try:
            return done.wait(timeout)
        finally:
            self._pace.awaited.discard(done)

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
                self._marks(key, [kinds.ABANDONED, clock(), names.CHILD_DIED])
        elif tag == "dropped":
            self.dropped["relay_full"] += message[1]
        elif tag == "abandon":
            self._abandon_all(message[1])
        elif tag == "settled":
            message[1].set()

    def _forked(self, key: int, pid: int) -> None:
        timeline = self.timelines.get(key)
        if timeline is not None:
            timeline.dispatch = names.PROCESS
            self.pids[pid] = key

    def _marks(self, key: int, marks: Marks) -> None:
        timeline = self.timelines.get(key)
        begins = timeline is None
        if timeline is None:
            if not marks or marks[0] != kinds.ACCEPTED:
                self.dropped["unknown_connection"] += 1
                return
            timeline = begun(key, read_end, read_closing)
        leg = feed(timeline, marks)
        accepted = timeline.accepted
        assert accepted is not None  # it is what every timeline's first mark says
        loop = self._loop
        if loop is None or loop.key != accepted.listener:
            loop = self._loop = self._loops(accepted.listener)
        if begins:
            wait = accepted.wait_ns
            if wait is not None and wait >= self._blame_min_ns:
                self._find_blocker(timeline, accepted, wait, loop)
        if timeline.outcome is None:
            self.timelines[key] = timeline
        elif not begins:
            del self.timelines[key]
        exported = loop is not None and self._deliver(timeline, loop, leg)
        # Who covers half of a wait has kept the loop busy for half of the shortest that counts.
        short = timeline.since_ns - timeline.accepted_ns < self._blame_min_ns // 2
        if not (begins and short and timeline.outcome is not None):
            self._remember(key, accepted, exported)

    def _remember(self, key: int, accepted: Accepted, exported: bool) -> None:
        """Know a connection by name that may have held up another one, or may do so yet."""
        known = self.acquaintances
        known[key] = Acquaintance(accepted, exported)
        if len(known) > _RECENT:
            del known[next(iter(known))]

    def _find_blocker(
        self, timeline: Timeline, accepted: Accepted, wait_ns: int, loop: Loop | None
    ) -> None:
        past = self._history.get(accepted.listener, ())
        end = timeline.accepted_ns
        timeline.blame = blame(past, end - wait_ns, end)
        if timeline.blame is not None and loop is not None:
            loop.blocked_ns[timeline.blame.activity] += int(timeline.blame.seconds * 1e9)

    def _deliver(self, timeline: Timeline, loop: Loop, leg: Leg) -> bool:
        blocker, exported = None, False
        if timeline.blame is not None and timeline.blame.connection is not None:
            blocker = self.acquaintances.get(timeline.blame.connection)
        for sink in self._sinks():
            if self._broken and id(sink) in self._broken:
                continue
            try:
                if sink.take(loop, timeline, leg, blocker):
                    exported = True
            except Exception as error:
                self._broken.add(id(sink))
                guard.caught(type(sink).__name__, error)
        if timeline.requests:
            timeline.requests = []
        return exported

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

    def _abandon_all(self, outcome: str) -> None:
        """End every open timeline as `outcome`."""
        now = clock()
        for key in list(self.timelines):
            self._marks(key, [kinds.ABANDONED, now, outcome])
