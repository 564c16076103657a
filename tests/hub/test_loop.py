"""The loop's own history: what it did, and how it sharpens the kernel's count."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tcpwatch import names
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.testing import FakeKernel

MS = 1_000_000
LISTENER = Listener(1, "127.0.0.1", 80, "ipv4", "tcp", "test.Server", False, ())


@pytest.fixture
def kernel() -> FakeKernel:
    """Return a kernel with a jiffy of 4 ms and an empty queue."""
    kernel = FakeKernel()
    kernel.depth_and_limit = (0, 128)
    return kernel


@pytest.fixture
def loop(kernel: FakeKernel) -> Iterator[Loop]:
    """Return a loop over that kernel."""
    with socket.socket() as sock:
        yield Loop(LISTENER, sock, kernel)


def test_a_long_wait_is_the_kernels(loop: Loop) -> None:
    """Above two jiffies nothing of ours shortens it, even if the loop slept meanwhile."""
    loop.enter_select(100 * MS)
    loop.leave_select(150 * MS, names.LOOP_ACCEPT)

    assert loop.wait_of(12 * MS, 151 * MS) == 12 * MS


def test_a_phantom_jiffy_is_bounded_by_the_return_of_select(loop: Loop) -> None:
    """A loop that slept when the connection came accepted it as soon as it woke."""
    loop.enter_select(100 * MS)
    loop.leave_select(150 * MS, names.LOOP_ACCEPT)

    assert loop.wait_of(4 * MS, 150 * MS + 20_000) == 20_000


def test_a_phantom_jiffy_is_bounded_by_the_last_empty_queue(loop: Loop, kernel: FakeKernel) -> None:
    """Who was not in the queue at that moment has not waited longer."""
    loop.enter_select(100 * MS)
    loop.leave_select(110 * MS, names.LOOP_ACCEPT)
    loop.read_queue(111 * MS)
    kernel.depth_and_limit = (1, 128)
    loop.enter_select(112 * MS)
    loop.leave_select(112 * MS, names.LOOP_ACCEPT)

    assert loop.wait_of(8 * MS, 113 * MS) == 2 * MS


def test_without_the_kernels_word_there_is_no_wait(loop: Loop) -> None:
    """Not even where the loop's history would give one."""
    loop.enter_select(100 * MS)
    loop.leave_select(150 * MS, names.LOOP_ACCEPT)

    assert loop.wait_of(None, 151 * MS) is None


def test_time_is_counted_by_state(loop: Loop) -> None:
    """Every nanosecond from the first select on belongs to one state."""
    loop.enter_select(100 * MS)
    loop.leave_select(150 * MS, names.LOOP_ACCEPT)
    loop.turn(names.LOOP_INLINE, 151 * MS, 7)
    loop.turn(names.LOOP_SERVICE, 251 * MS)
    loop.enter_select(252 * MS)
    loop.stop(260 * MS)

    assert {state: spent for state, spent in loop.totals.items() if spent} == {
        "idle": 58 * MS,
        "accept": 1 * MS,
        "inline": 100 * MS,
        "service": 1 * MS,
    }


def test_an_empty_queue_clears_the_history(loop: Loop, kernel: FakeKernel) -> None:
    """What happened before the queue was seen empty holds up nobody."""
    loop.enter_select(100 * MS)
    loop.leave_select(150 * MS, names.LOOP_ACCEPT)
    kernel.depth_and_limit = (3, 128)
    loop.enter_select(160 * MS)
    assert loop.history
    loop.leave_select(160 * MS, names.LOOP_ACCEPT)
    kernel.depth_and_limit = (0, 128)

    loop.enter_select(170 * MS)

    assert not loop.history


def test_drops_are_counted_from_the_beginning_and_wrap(kernel: FakeKernel) -> None:
    """sk_drops is a u32 that was not 0 when we came."""
    kernel.dropped = 0xFFFFFFFE
    with socket.socket() as sock:
        loop = Loop(LISTENER, sock, kernel)
        kernel.dropped = 3

        assert loop.drops == 5


def test_unknown_drops_are_absent(kernel: FakeKernel) -> None:
    """No counter in the kernel, no counter of ours."""
    with socket.socket() as sock:
        assert Loop(LISTENER, sock, kernel).drops is None
