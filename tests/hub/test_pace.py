"""The worker's pace: what it does has time, and a request has none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import chain, repeat
from time import monotonic, monotonic_ns

from tcpwatch.hub import hub
from tcpwatch.hub.connection import Connection, Exchange
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.hub.pace import LOOK, PATIENCE_OF_A_ROUND_NS, Pace
from tcpwatch.hub.serving import Serving
from tcpwatch.testing import FakeKernel

LISTENER = Listener(1, "127.0.0.1", 80, "ipv4", "tcp", "test.Server", False, ())
MANY = 10_000


class Looks:
    """Answers whether somebody is being served, and counts who asks."""

    def __init__(self, *answers: bool, then: bool = False) -> None:
        self._answers: Iterator[bool] = chain(answers, repeat(then))
        self.count = 0

    def __call__(self) -> bool:
        self.count += 1
        return next(self._answers)


def pace_of(looks: Looks, waiting: int = 1) -> Pace:
    """Return a pace at the begin of a round, with so many messages to come."""
    pace = Pace(looks, lambda: waiting)
    pace.begin()
    return pace


def test_work_waits_until_nobody_is_being_served() -> None:
    """It looks again and again, and begins when a look finds no request under way."""
    looks = Looks(True, True, True)

    pace_of(looks).keep()

    assert looks.count == 4


def test_within_a_slice_nobody_is_asked() -> None:
    """Work that has begun goes on: it is short."""
    looks = Looks()
    pace = pace_of(looks)
    pace.rest()

    pace.keep()

    assert looks.count == 1


def test_a_server_that_is_always_busy_is_watched_all_the_same() -> None:
    """The worker's patience has an end; then it takes a slice."""
    looks = Looks(then=True)
    began = monotonic()

    pace_of(looks).keep()

    assert looks.count > 1
    assert monotonic() - began < 1.0


def test_on_a_server_that_never_rests_few_looks_are_made() -> None:
    """Each costs those who are served the GIL: who waits in vain has half the patience left."""
    looks = Looks(then=True)
    pace = pace_of(looks)
    for _ in range(40):
        pace.rest()
    assert looks.count < PATIENCE_OF_A_ROUND_NS / (LOOK * 1e9) / 3

    before = looks.count
    pace.begin()
    pace.rest()
    assert looks.count > before


def test_patience_is_for_a_round() -> None:
    """On a server that never rests a round is over in time, however many slices it has."""
    looks = Looks(then=True)
    pace = pace_of(looks)
    for _ in range(40):
        pace.rest()

    before = looks.count
    pace.rest()
    assert looks.count == before

    pace.begin()
    pace.rest()
    assert looks.count > before


def test_who_lags_behind_waits_for_nobody() -> None:
    """A long queue would lose its oldest one day, which is worse than a late answer."""
    looks = Looks(then=True)

    pace_of(looks, waiting=MANY).keep()

    assert not looks.count


def test_a_small_queue_is_crowded_sooner() -> None:
    """Half of it, at most, may wait while the worker does."""
    looks = Looks(then=True)
    pace = Pace(looks, lambda: 20, crowd=16)
    pace.begin()

    pace.keep()

    assert not looks.count


def test_patience_ends_when_messages_come_in() -> None:
    """The queue grows while the worker waits."""
    looks = Looks(then=True)
    pace = Pace(looks, lambda: 0 if looks.count < 2 else MANY)
    pace.begin()

    pace.keep()

    assert looks.count == 2


def test_who_is_waited_for_waits_for_nobody() -> None:
    """A flush has a time limit, and somebody who waits for it."""
    looks = Looks(then=True)
    pace = pace_of(looks)
    pace.awaited.add(threading.Event())

    pace.keep()

    assert not looks.count


def test_a_thread_answers_from_a_requests_first_byte_to_its_last() -> None:
    """One that waits for the next request on a connection is in nobody's way."""
    serving = Serving()
    connection = Connection(1, Loop(LISTENER, None, FakeKernel()), 0, 1, (None,) * 13)
    serving.by_thread[7] = connection
    assert not serving.answers(lately=10)

    connection.exchange = Exchange(1, 20, 0)
    assert serving.answers(lately=10)


def test_nobody_stands_aside_for_a_request_without_end() -> None:
    """One that has been under way for long waits for something else, or streams for an hour."""
    serving = Serving()
    connection = Connection(1, Loop(LISTENER, None, FakeKernel()), 0, 1, (None,) * 13)
    connection.exchange = Exchange(1, 20, 0)
    serving.by_thread[7] = connection

    assert not serving.answers(lately=30)


def test_of_many_threads_the_youngest_are_looked_at() -> None:
    """A hundred kept connections that wait for their next request hide nobody."""
    serving = Serving()
    loop = Loop(LISTENER, None, FakeKernel())
    for thread in range(100):
        serving.by_thread[thread] = Connection(thread, loop, 0, 1, (None,) * 13)
    serving.by_thread[99].exchange = Exchange(1, 20, 0)

    assert serving.answers(lately=10)


def test_a_loop_that_has_just_left_select_counts_as_serving() -> None:
    """Between accept and the first byte no thread answers yet; one that is stuck is no reason."""
    loop = hub.loops.by_server[-1] = Loop(LISTENER, None, FakeKernel())
    try:
        assert not hub._is_serving()
        loop.away_since = monotonic_ns()
        assert hub._is_serving()
        loop.away_since -= 1_000_000_000
        assert not hub._is_serving()
    finally:
        del hub.loops.by_server[-1]
