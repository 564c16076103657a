"""What lives from install() to uninstall(), and what other threads do at that very moment."""

from __future__ import annotations

import socket
import threading
from http.server import HTTPServer
from typing import Any

import pytest

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.emit.errands import Errands
from tcpwatch.guard import guard
from tcpwatch.hub import hub, registry
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.hub.post import Post
from tcpwatch.hub.registry import Hub
from tcpwatch.patches.socketserver import loop_of
from tcpwatch.settings import Settings
from tcpwatch.testing import FakeKernel, RecordingOpener, RecordingSink, recording
from tests.apps.handlers import Plain
from tests.live.wire import LIMIT

LISTENER = Listener(1, "127.0.0.1", 80, "ipv4", "tcp", "Server", forking=False, code=())


def test_nothing_is_opened_once_it_is_over() -> None:
    """An accept that was under way at uninstall() opens no way out that nobody would close."""
    ours = Hub()
    ours.start(Settings(), RecordingOpener(RecordingSink()))
    ours.stop(names.UNINSTALLED)
    assert ours.open(forking=False) is None
    ours.loop_began(Loop(LISTENER, None, FakeKernel()))
    assert ours.post.worker is None


def test_a_connection_that_ended_before_it_was_bound_is_forgotten() -> None:
    """stop() may end it between its accept and its binding; a socket's id may be used again."""
    with recording(kernel=FakeKernel()), HTTPServer(("127.0.0.1", 0), Plain) as server:
        loop = loop_of(server)
        assert loop is not None
        one, other = socket.socketpair()
        with one, other:
            connection = hub.accept(loop, one, None, 1)
            assert connection is not None
            hub.end(connection, kinds.ABANDONED, names.UNINSTALLED)
            hub.bind(connection, one)
            assert not hub.by_socket


def test_a_server_that_another_thread_has_closed_is_no_error_of_ours() -> None:
    """It has no listener any more; the next server is watched as ever."""
    with recording():
        server = HTTPServer(("127.0.0.1", 0), Plain)
        server.server_close()
        assert loop_of(server) is None
        assert not guard.errors
        with HTTPServer(("127.0.0.1", 0), Plain) as another:
            assert loop_of(another) is not None


def test_what_a_loop_has_told_does_not_run_backwards() -> None:
    """A collection in the middle of a turn may see a stretch twice; later ones tell no less."""
    loop = Loop(LISTENER, None, FakeKernel())
    loop.turn(names.LOOP_SERVICE, 1)
    before = loop.times()
    loop.since_ns = before[names.LOOP_SERVICE] + 2
    loop.spent(names.LOOP_SERVICE, 1)
    assert loop.times()[names.LOOP_SERVICE] >= before[names.LOOP_SERVICE]


def test_a_loop_whose_server_is_garbage_has_stopped() -> None:
    """Its time does not go on, although nobody has closed the server."""
    ours = Hub()
    loop = ours.add_loop(1, LISTENER, None)
    loop.turn(names.LOOP_SERVICE, 1)
    ours.loops.retire(1)
    assert loop.times() == loop.times()
    assert not loop.since_ns


def test_a_worker_that_is_told_to_stop_leaves_the_rest() -> None:
    """What is in the queue by then is for the next install's worker."""
    with recording():
        worker = hub.start_worker()
    assert worker._stopping
    worker.post.queue.append(("settled", threading.Event()))
    assert worker.drain() == 0
    worker.post.queue.clear()


def test_losses_that_a_worker_has_counted_outlive_it() -> None:
    """A counter does not run backwards because the next install has a new worker."""
    with recording():
        worker = hub.start_worker()
        worker.dropped["end_lost"] += 5
        before = hub.post.dropped["end_lost"]
    assert hub.post.dropped["end_lost"] == before + 5
    hub.post.dropped["end_lost"] = before


def test_errands_have_threads_as_soon_as_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that could start none at first starts them later, and only those that miss."""
    errands, start = Errands(), threading.Thread.start
    left = [1]

    def seldom(thread: threading.Thread) -> None:
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", seldom)
    done = threading.Event()
    assert errands.run([done.set], LIMIT)
    left[0] = 5
    assert errands.run([done.set], LIMIT)
    assert left[0] == 4
    none = Errands()
    left[0] = 0
    assert not none.run([done.set], LIMIT)


def test_a_relay_whose_thread_cannot_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the attempt is left: the next fork makes another."""
    post = Post(10)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def take(message: tuple[Any, ...]) -> bool:
        return True

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            post.open_relay(take)
    relays = [post.relay]
    post.open_relay(take)
    relays.append(post.relay)
    assert relays[0] is None
    assert relays[1] is not None
    post.reset()


def test_the_end_does_not_wait_for_an_opening_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler may have interrupted just what the thread that opens waits for."""
    monkeypatch.setattr(registry, "_SETTLING", 0.01)
    ours, held, go = Hub(), threading.Event(), threading.Event()
    ours.active = True

    def hold() -> None:
        with ours.lock:
            held.set()
            go.wait(LIMIT)

    opening = threading.Thread(target=hold)
    opening.start()
    assert held.wait(LIMIT)
    ours.stop(names.SERVER_SHUTDOWN)
    assert not ours.active
    go.set()
    opening.join(LIMIT)
