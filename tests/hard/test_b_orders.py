"""Hard case 12: installing and uninstalling in every order with another tool's wrappers.

OpenTelemetry's own instrumentation in every order: tests/live/test_coexistence.py.
"""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

import tcpwatch
from tcpwatch.testing import FakeKernel, recording
from tcpwatch.view.receiver import Receiver
from tests.apps.handlers import Plain
from tests.hard.apps_b_start import prepared
from tests.live.harness import LiveServer
from tests.live.seen import Seen
from tests.live.wire import LIMIT, read_response, request_bytes

OURS, THEIRS = ("install", "uninstall"), ("tool on", "tool off")
N = 3


def orders() -> Iterator[tuple[str, ...]]:
    """Return every order in which both come and go."""
    for places in itertools.combinations(range(4), 2):
        ours, theirs = iter(OURS), iter(THEIRS)
        yield tuple(next(ours if place in places else theirs) for place in range(4))


@contextmanager
def traffic(server: LiveServer) -> Iterator[threading.Semaphore]:
    """Have a client ask all the time; give a semaphore that counts the answers."""
    answered, enough = threading.Semaphore(0), threading.Event()
    statuses: set[int] = set()

    def ask() -> None:
        while not enough.is_set():
            statuses.add(server.get("/").status)
            answered.release()

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield answered
    finally:
        enough.set()
        client.join(LIMIT)
    assert statuses == {200}


@pytest.mark.parametrize("order", list(orders()), ids=", ".join)
def test_with_another_tool_in_every_order(
    receiver: Receiver, seen: Seen, tmp_path: Path, order: tuple[str, ...]
) -> None:
    """Each sees what happens while it is there, and once; nobody's wrapper is lost."""
    with prepared("tool", receiver.endpoint, tmp_path) as start:
        server = start("--server", "plain", "--install", "never")
        before = server.tell("patched")
        ours = theirs = 0
        for step in (*order, *order):
            server.tell(step)
            for _ in range(N):
                assert server.get("/").status == 200
            done = order[: order.index(step) + 1]
            ours += N * ("install" in done and "uninstall" not in done)
            theirs += N * ("tool on" in done and "tool off" not in done)
            calls = server.tell("tool")
            assert calls[0] == calls[2] == calls[3] == theirs
        assert len(seen.wait_connections(ours)) == ours
        seen.wait_total("tcpwatch.connection.active", 0)
        last_in_first_out = (order[0] in OURS) == (order[-1] in OURS)
        if last_in_first_out:
            assert server.tell("patched") == before


@pytest.mark.parametrize("order", list(orders()), ids=", ".join)
def test_with_another_tool_under_traffic(
    receiver: Receiver, seen: Seen, tmp_path: Path, order: tuple[str, ...]
) -> None:
    """Every request is answered while both come and go, and at the end nothing is open."""
    with prepared("tool", receiver.endpoint, tmp_path) as start:
        server = start("--server", "plain", "--install", "never")
        with traffic(server) as answered:
            for step in (*order, *order):
                server.tell(step)
                while answered.acquire(blocking=False):
                    pass  # answered before
                assert all(answered.acquire(timeout=LIMIT) for _ in range(N))
        server.wait_connections(lambda found: not found)
        assert seen.wait_connections(1)
        seen.wait_total("tcpwatch.connection.active", 0)


def test_counters_do_not_run_backwards(receiver: Receiver, seen: Seen, tmp_path: Path) -> None:
    """Installed again, what was counted before is not forgotten: the counters go on."""
    with prepared("tool", receiver.endpoint, tmp_path) as start:
        server = start("--server", "plain", "--install", "never")
        for count in (N, 1):
            server.tell("install")
            for _ in range(count):
                server.get("/")
            server.tell("uninstall")
        seen.wait_total("tcpwatch.connection.duration", N + 1)
    for name in ("tcpwatch.connection.accepted", "tcpwatch.accept_loop.time"):
        series: dict[str, list[float]] = {}
        for point in seen.recording.history(name):
            series.setdefault(repr(point.attributes), []).append(point.value or 0)
        assert series
        for values in series.values():
            assert values == sorted(values), name


class Pausing(FakeKernel):
    """A kernel that is asked in the middle of an accept, and takes its time to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answer = threading.Event(), threading.Event()

    def cookie(self, sock: socket.socket) -> None:
        """Wait for the test."""
        self.asked.set()
        assert self.answer.wait(LIMIT)


def test_uninstalling_in_the_middle_of_an_accept() -> None:
    """A connection whose accept was under way is not open for us afterwards, nor ever again."""
    kernel = Pausing()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Plain)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    try:
        with recording(kernel=kernel):
            thread.start()
            client = socket.create_connection(("127.0.0.1", server.server_port), LIMIT)
            assert kernel.asked.wait(LIMIT)
        kernel.answer.set()
        with client:
            client.sendall(request_bytes("/", {"Connection": "keep-alive"}))
            assert read_response(client).status == 200
            assert tcpwatch.connections() == []
    finally:
        server.shutdown()
        thread.join(LIMIT)
        server.server_close()
