"""Which loops a process knows: by server, by socket, by key, by thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tcpwatch.hub import loops as room
from tcpwatch.hub.loop import Listener
from tcpwatch.hub.loops import Loops
from tcpwatch.testing import FakeKernel


def listener(key: int) -> Listener:
    """Return a listener with this key."""
    return Listener(key, "127.0.0.1", 80, "ipv4", "tcp", "test.Server", False, ())


@pytest.fixture
def loops() -> Loops:
    """Return the loops of a process that serves nobody yet."""
    return Loops()


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    """Return a socket that no loop has."""
    with socket.socket() as made:
        yield made


def test_a_loop_is_found_by_server_socket_and_key(loops: Loops, sock: socket.socket) -> None:
    """Those who ask know one of the three."""
    loop = loops.add(7, listener(1), sock, FakeKernel())

    assert loops.by_server[7] is loops.by_socket[id(sock)] is loops.by_key(1) is loop


def test_a_retired_loop_is_watched_no_longer_and_still_counted(
    loops: Loops, sock: socket.socket
) -> None:
    """Its socket is somebody else's soon, its totals must not run backwards."""
    loop = loops.add(7, listener(1), sock, FakeKernel())
    loop.accepted = 3

    loops.retire(7)

    assert not list(loops)
    assert not loops.by_socket
    assert loop.sock is None
    assert [one.accepted for one in loops.known()] == [3]
    assert loops.by_key(1) is loop


def test_only_the_latest_retired_loops_are_remembered(loops: Loops) -> None:
    """An application may make a server for each of its tests."""
    for key in range(room._RETIRED + 5):
        loops.add(key, listener(key), None, FakeKernel())
        loops.retire(key)

    assert loops.known()[0].listener.key == 5
    assert len(loops.known()) == room._RETIRED


def test_servers_may_come_and_go_while_somebody_looks_at_them_all(loops: Loops) -> None:
    """The worker looks, the serving threads change."""
    for key in range(3):
        loops.add(key, listener(key), None, FakeKernel())

    for loop in loops:
        loops.retire(loop.listener.key)
        loops.add(loop.listener.key + 10, loop.listener, None, FakeKernel())

    assert sorted(loops.by_server) == [10, 11, 12]


def test_what_a_thread_accepts_is_its_own(loops: Loops) -> None:
    """A second server's loop, on another thread, says nothing of this one."""
    mine, other = (loops.add(key, listener(key), None, FakeKernel()) for key in (1, 2))
    mine.thread_id = threading.get_ident()
    other.thread_id = -1
    other.accepting = object()  # type: ignore[assignment]  # any connection

    assert loops.accepting_here() is None

    mine.accepting = other.accepting
    assert loops.accepting_here() is other.accepting


def test_what_many_servers_of_one_port_have_counted_is_not_forgotten(loops: Loops) -> None:
    """A series goes on, however many loops have been one after another."""
    for number in range(room._RETIRED * 2):
        loop = loops.add(number, listener(number), None, FakeKernel())
        loop.accepted += 1
        loop.accept_errors["EMFILE"] += 1
        loop.spent("accept", 10)
        loops.retire(number)
        known = loops.known()
        assert len(known) <= room._RETIRED
        assert sum(one.accepted for one in known) == number + 1
        assert sum(one.accept_errors["EMFILE"] for one in known) == number + 1
        assert sum(one.times()["accept"] for one in known) == 10 * (number + 1)
