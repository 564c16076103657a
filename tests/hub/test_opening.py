"""The way out is opened inside the first accept; that is no stall of the server's."""

from __future__ import annotations

import socket
import socketserver
import threading

import pytest

from tcpwatch.hub import hub
from tcpwatch.hub.registry import Hub
from tcpwatch.settings import Settings
from tcpwatch.testing import RecordingOpener, RecordingOutput, recording
from tests.hard.apps_a_watch import LIMIT, serving


class Reading(socketserver.BaseRequestHandler):
    """Reads until its client has gone."""

    def handle(self) -> None:
        """Read."""
        while self.request.recv(100):
            pass


def look_around() -> None:
    """Have the worker look at the loops: it does so between two rounds."""
    worker = hub.post.worker
    assert worker is not None
    assert worker.settle(LIMIT)
    assert worker.settle(LIMIT)


def test_a_slow_opening_is_not_told_as_a_stall(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While it lasts a client waits and the loop is away; what holds it afterwards is told."""
    begun, go = threading.Event(), threading.Event()
    quick = RecordingOpener.__call__

    def slow(self: RecordingOpener, hub: Hub, forking: bool) -> RecordingOutput:
        begun.set()
        assert go.wait(LIMIT)
        return quick(self, hub, forking)

    monkeypatch.setattr(RecordingOpener, "__call__", slow)
    server = socketserver.TCPServer(("127.0.0.1", 0), Reading)
    with (
        recording(Settings(stall=0)),
        serving(server) as address,
        socket.create_connection(address, LIMIT),
        socket.create_connection(address, LIMIT),
    ):
        assert begun.wait(LIMIT)
        look_around()
        assert not caplog.messages
        go.set()
        while not caplog.messages:
            look_around()
    assert "inline" in caplog.text
