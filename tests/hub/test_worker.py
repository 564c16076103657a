"""The worker: messages in, finished things to the sinks."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tcpwatch.core import kinds
from tcpwatch.core.marks import Accepted, Marks
from tcpwatch.core.record import Blame
from tcpwatch.guard import guard
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.hub.pace import Pace
from tcpwatch.hub.post import Post
from tcpwatch.hub.stall import Holder, StallWatch
from tcpwatch.hub.worker import Worker
from tcpwatch.testing import FakeKernel, RecordingSink

LISTENER = Listener(1, "127.0.0.1", 80, "ipv4", "tcp", "test.Server", False, ())
SECOND = 1_000_000_000


@pytest.fixture
def sink() -> RecordingSink:
    """Return an empty sink."""
    return RecordingSink()


@pytest.fixture
def loop() -> Loop:
    """Return a loop without a kernel's answers."""
    return Loop(LISTENER, None, FakeKernel())


@pytest.fixture
def worker(sink: RecordingSink, loop: Loop) -> Iterator[Worker]:
    """Return a worker that nobody runs: messages are handled one by one."""
    yield worker_for(loop, sink)
    guard.errors.clear()


def worker_for(loop: Loop, *sinks: RecordingSink, room: int = 10) -> Worker:
    """Make a worker for so many messages at a time."""
    watch = StallWatch(list, lambda _: Holder(""), 1.0)
    post = Post(room)
    pace = Pace(lambda: False, lambda: len(post.queue))
    return Worker(post, lambda key: loop, lambda: list(sinks), watch, 0.05, lambda key: False, pace)


def accepted(when: int, wait: int | None = 0, cookie: str = "a") -> Marks:
    """Make a first mark."""
    facts = Accepted(0, 1, wait, 0, 9, 1, ("127.0.0.1", 5), None, cookie, None, None, 1, 2)
    return [kinds.ACCEPTED, when, tuple(facts)]


def test_a_connection_arrives_once(worker: Worker, sink: RecordingSink) -> None:
    """However its marks are cut into messages."""
    worker.handle(("marks", 1, accepted(100)))
    worker.handle(("marks", 1, [kinds.HANDLER_BEGAN, 110, "inline"]))
    worker.handle(("marks", 1, [kinds.HANDLER_ENDED, 120, None, kinds.CLOSED, 130, None]))

    assert (sink.accepts, len(sink.connections), len(sink.phases)) == (1, 1, 4)
    assert not worker.timelines


def test_marks_of_nobody_are_counted_as_lost(worker: Worker, sink: RecordingSink) -> None:
    """Their beginning was dropped: a record of the rest would be wrong."""
    worker.handle(("marks", 1, [kinds.CLOSED, 130, None]))

    assert worker.dropped == {"unknown_connection": 1}
    assert not sink.connections


def test_a_wait_is_blamed_by_the_history_sent_before(
    worker: Worker, loop: Loop, sink: RecordingSink
) -> None:
    """History first, then the connection that waited."""
    worker.handle(("history", 1, [("inline", 0, 2 * SECOND, 7)]))
    worker.handle(
        ("marks", 8, [*accepted(2 * SECOND, wait=SECOND), kinds.CLOSED, 3 * SECOND, None])
    )

    assert sink.connections[0].blame == Blame("inline", 1.0, 1, 7)
    assert loop.blocked_ns == {"inline": SECOND}


def test_a_short_wait_is_nobodys_fault(worker: Worker, sink: RecordingSink) -> None:
    """Below TCPWATCH_BLAME_MIN nobody is looked for."""
    worker.handle(("history", 1, [("inline", 0, 2 * SECOND, 7)]))
    worker.handle(("marks", 8, [*accepted(SECOND, wait=1000), kinds.CLOSED, 2 * SECOND, None]))

    assert sink.connections[0].blame is None


def test_only_the_latest_slow_connections_are_known_by_name(worker: Worker) -> None:
    """Who was slow may have held up another one; with 5,000 of them the first are forgotten."""
    for key in range(5_000):
        worker.handle(("marks", key, [*accepted(0), kinds.CLOSED, SECOND, None]))
    worker.handle(("marks", 5_000, [*accepted(0), kinds.CLOSED, 1_000, None]))

    known = worker.acquaintances
    assert len(known) == 4_096
    assert 4_999 in known
    assert 0 not in known
    assert 5_000 not in known


def test_a_child_that_was_reaped_without_a_word_has_died(
    worker: Worker, sink: RecordingSink
) -> None:
    """Its connection ends as child_died; one that had ended before does not end twice."""
    for key, pid in ((1, 11), (2, 22)):
        worker.handle(("marks", key, accepted(100)))
        worker.handle(("forked", key, pid))
    worker.handle(("marks", 2, [kinds.CLOSED, 130, None]))
    worker.handle(("reaped", 11))
    worker.handle(("reaped", 22))

    assert [record.outcome for record in sink.connections] == ["completed", "child_died"]


class BrokenSink(RecordingSink):
    """Raises at the end of a connection."""

    def take(self, *args: object) -> bool:
        self.accepts += 1
        raise ZeroDivisionError


def test_a_sink_that_raises_is_left_out_and_the_others_go_on(
    loop: Loop, sink: RecordingSink
) -> None:
    """Its error is counted once; the healthy neighbour keeps recording."""
    broken = BrokenSink()
    worker = worker_for(loop, broken, sink)
    for key in (1, 2):
        worker.handle(("marks", key, [*accepted(100), kinds.CLOSED, 130, None]))

    assert guard.errors == {"BrokenSink": 1}
    assert (broken.accepts, len(sink.connections)) == (1, 2)
    guard.errors.clear()


def test_a_lost_end_leaves_no_timeline_behind(worker: Worker, sink: RecordingSink) -> None:
    """A connection that is no longer open, and of which nothing comes, is dropped and counted."""
    worker.handle(("marks", 1, accepted(100)))

    worker._sweep(60 * SECOND)

    assert not worker.timelines
    assert worker.dropped == {"end_lost": 1}
    assert not sink.connections


class BusySink(RecordingSink):
    """Takes a fifth of a millisecond of the interpreter for each connection."""

    def take(self, *args: object) -> bool:
        until = time.monotonic() + 0.0002
        while time.monotonic() < until:
            pass
        return False


def test_who_waits_for_the_interpreter_gets_it_in_the_middle_of_a_round(loop: Loop) -> None:
    """The worker's work comes in small slices: another thread runs after each."""
    worker = worker_for(loop, BusySink(), room=300)
    for key in range(300):
        worker.post.queue.append(("marks", key, [*accepted(100), kinds.CLOSED, 130, None]))
    before, turns = sys.getswitchinterval(), 0
    sys.setswitchinterval(60.0)  # from now on a thread gets in only where the worker lets it
    try:
        at_work = threading.Thread(target=worker.drain)
        at_work.start()
        while at_work.is_alive():
            at_work.join(0.0001)
            turns += 1
    finally:
        sys.setswitchinterval(before)

    assert turns > 15


def test_a_full_queue_loses_its_oldest_and_counts_it() -> None:
    """Bounded memory, said loss."""
    post = Post(capacity=3)
    for number in range(5):
        post.send(("marks", number, []))

    assert [message[1] for message in post.queue] == [2, 3, 4]
    assert post.dropped == {"queue_full": 2}


def test_who_waits_for_a_full_queue_does_not_wait_in_vain() -> None:
    """A flush in a burst: its message is none of the oldest that are lost."""
    post = Post(capacity=3)
    first, second = threading.Event(), threading.Event()
    post.queue.extend([("marks", 0, []), ("settled", first), ("settled", second)])
    for number in range(1, 5):
        post.send(("marks", number, []))

    assert [message[1] for message in post.queue] == [first, second, 4]
    assert post.dropped == {"queue_full": 4}


def test_a_relay_carries_messages_between_processes() -> None:
    """Plain values arrive as they were sent; a full relay says so and reports it later."""
    from tcpwatch.hub.relay import Relay, receive

    relay = Relay()
    assert relay.send(("marks", 1, [(0, 1, "a", None, (1, 2.5))]))
    assert receive(relay.far_end) == ("marks", 1, [(0, 1, "a", None, (1, 2.5))])
    big = ("marks", 1, ["x" * 10_000])
    sent = 0
    while relay.send(big):
        sent += 1
    for _ in range(sent):
        assert receive(relay.far_end) == big
    assert relay.send(("marks", 2, []))
    assert receive(relay.far_end) == ("dropped", 1)
    assert receive(relay.far_end) == ("marks", 2, [])
    relay.sock.close()
    assert receive(relay.far_end) is None
    relay.far_end.close()


def test_a_closed_far_end_is_no_error() -> None:
    """A helper that was killed loses telemetry, not requests."""
    from tcpwatch.hub.relay import Relay

    relay = Relay()
    relay.far_end.close()

    assert not relay.send(("marks", 1, []))
    relay.sock.close()
