"""The way out is opened inside the first accept; that is no stall of the server's."""

from __future__ import annotations

import os
import socket
import socketserver
import threading
import warnings
from collections.abc import Callable

import pytest

from tcpwatch.hub.registry import Hub
from tcpwatch.hub.stall import StallWatch
from tcpwatch.settings import Settings
from tcpwatch.testing import RecordingOpener, RecordingOutput, RecordingSink, recording
from tests.live.wire import LIMIT


class Reading(socketserver.BaseRequestHandler):
    """Reads until its client has gone."""

    def handle(self) -> None:
        """Read."""
        while self.request.recv(100):
            pass


@pytest.fixture
def look_around(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that waits until the worker has looked at the loops once more."""
    looks = threading.Semaphore(0)
    look = StallWatch.look

    def looking(self: StallWatch, now: int) -> bool:
        away = look(self, now)
        looks.release()
        return away

    def wait() -> None:
        while looks.acquire(blocking=False):
            pass
        for _ in range(2):  # the first may have begun before
            assert looks.acquire(timeout=LIMIT)

    monkeypatch.setattr(StallWatch, "look", looking)
    return wait


def test_a_slow_opening_is_not_told_as_a_stall(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    look_around: Callable[[], None],
) -> None:
    """While it lasts a client waits and the loop is away; what holds it afterwards is told."""
    begun, go = threading.Event(), threading.Event()
    quick = RecordingOpener.__call__

    def slow(self: RecordingOpener, hub: Hub, forking: bool) -> RecordingOutput:
        begun.set()
        assert go.wait(LIMIT)
        return quick(self, hub, forking)

    monkeypatch.setattr(RecordingOpener, "__call__", slow)
    with (
        recording(Settings(stall=0)),
        socketserver.TCPServer(("127.0.0.1", 0), Reading) as server,
    ):
        address = "127.0.0.1", server.server_address[1]
        serving = threading.Thread(target=server.handle_request)
        with socket.create_connection(address, LIMIT), socket.create_connection(address, LIMIT):
            serving.start()
            assert begun.wait(LIMIT)
            look_around()
            assert not caplog.messages
            go.set()
            while not caplog.messages:
                look_around()
        serving.join(LIMIT)
    assert "inline" in caplog.text


def test_a_child_forked_meanwhile_opens_for_itself() -> None:
    """Only the thread that forks is in the child; the opening of another does not last there."""
    begun, go = threading.Event(), threading.Event()

    class Slow:
        def prepare(self, hub: Hub, forking: bool) -> None:
            pass

        def __call__(self, hub: Hub, forking: bool) -> RecordingOutput:
            begun.set()
            assert go.wait(LIMIT)
            return RecordingOutput(RecordingSink())

    hub = Hub()
    hub.start(Settings(), Slow())
    opening = threading.Thread(target=hub.open, args=(False,))
    opening.start()
    try:
        assert begun.wait(LIMIT)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: forked with threads
            child = os.fork()
        if not child:
            os._exit(hub.opening.lasts)
        assert os.waitpid(child, 0)[1] == 0
        assert hub.opening.lasts
    finally:
        go.set()
        opening.join(LIMIT)
        hub.active = False
    assert not hub.opening.lasts
