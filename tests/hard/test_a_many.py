"""Ten thousand connections leave nothing behind, and a thousand can be held open at once."""

from __future__ import annotations

import gc
import http.server
import resource
import socket
import socketserver
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import tcpwatch
from tcpwatch.core.timeline import Timeline
from tcpwatch.hub.connection import Connection, Exchange
from tcpwatch.patches import twins
from tests.apps.handlers import Plain
from tests.hard.apps_a_watch import LIMIT, Watch, serving, watching
from tests.live.wire import read_all, request_bytes

WARM_UP = 4_200
"""More than are remembered of what is over (`hub/worker.py`): from then on memory may not grow."""
NOBODY_IS_SLOW = "1000"
"""Seconds. Else some are remembered as slow: as many as a busy machine makes so."""
IDLE = 1_000
BLOCKS = 500
PORTION, PORTIONS = 2_500, 3
ACTIVE = "tcpwatch.connection.active"


class Raw(socketserver.BaseRequestHandler):
    """Says one byte."""

    def handle(self) -> None:
        """Say it."""
        self.request.sendall(b"!")


class Threaded(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """A threaded server that waits for nobody at its end."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1_024


def visit(address: Any, times: int, request: bytes = b"") -> None:
    """Connect, ask, wait for the answer and leave, one after another."""
    for _ in range(times):
        with socket.create_connection(address, LIMIT) as client:
            client.sendall(request)
            assert read_all(client)


def wait_for(wanted: Callable[[], bool]) -> None:
    """Wait until something holds that only the process itself can be asked for."""
    deadline = time.monotonic() + LIMIT
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def left() -> tuple[int, int, int]:
    """Return threads, descriptors and objects of connections that exist when all is quiet."""
    wait_for(lambda: tcpwatch.connections() == [])
    wait_for(lambda: not any("process_request" in t.name for t in threading.enumerate()))
    assert tcpwatch.flush()
    gc.collect()
    held = [each for each in gc.get_objects() if isinstance(each, Connection | Exchange | Timeline)]
    ours = sum(all(each is not it for it in twins.MADE.values()) for each in held)
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), ours


@pytest.mark.parametrize(
    ("bases", "handler", "request_", "many"),
    [
        ((socketserver.TCPServer,), Raw, b"", 10_000),
        ((socketserver.TCPServer,), Plain, request_bytes("/"), 10_000),
        ((socketserver.ThreadingMixIn, socketserver.TCPServer), Raw, b"", 2_000),
        ((socketserver.ThreadingMixIn, socketserver.TCPServer), Plain, request_bytes("/"), 2_000),
    ],
    ids=["inline", "inline HTTP", "thread", "thread HTTP"],
)
def test_ten_thousand_connections_leave_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
    bases: tuple[type, ...],
    handler: Any,
    request_: bytes,
    many: int,
) -> None:
    """After them there are no more threads, descriptors and objects than before, no connection's.

    Memory is counted in the interpreter's blocks: one object kept of each would be as many more.
    """
    monkeypatch.setenv("TCPWATCH_BLAME_MIN", NOBODY_IS_SLOW)
    made = type("Made", bases, {"daemon_threads": True, "block_on_close": False})
    with watching(ALWAYS_OFF) as watch, serving(made(("127.0.0.1", 0), handler)) as address:
        visit(address, WARM_UP, request_)
        before, blocks = left(), sys.getallocatedblocks()
        visit(address, many, request_)
        after = left()
        # What an earlier test has left may go meanwhile.
        assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)
        assert sys.getallocatedblocks() - blocks < BLOCKS
        assert after[2] == 0
        assert sum(watch.metric("tcpwatch.connection.accepted").values()) == WARM_UP + many
        assert not phases(watch)


def test_ten_thousand_connections_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leak grows with every portion; a table that is full grows in one, so the least counts."""
    monkeypatch.setenv("TCPWATCH_BLAME_MIN", NOBODY_IS_SLOW)
    grown = []
    tracemalloc.start()
    try:
        with watching(ALWAYS_OFF), serving(socketserver.TCPServer(("127.0.0.1", 0), Raw)) as there:
            visit(there, WARM_UP)
            left()
            for _ in range(PORTIONS):
                before, _ = tracemalloc.get_traced_memory()
                visit(there, PORTION)
                left()
                grown.append(tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
    assert min(grown) < 6 * PORTION, "less than the pointer that a list would keep of each"


def test_a_burst_beyond_the_queue_is_told_or_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the worker cannot take in time is dropped and counted, and stays nowhere."""
    burst = 3_000
    monkeypatch.setenv("TCPWATCH_QUEUE_SIZE", "32")
    server = socketserver.TCPServer(("127.0.0.1", 0), Raw)
    with watching(ALWAYS_OFF) as watch, serving(server) as address:
        visit(address, burst)
        *_, objects = left()
        told = sum(watch.metric("tcpwatch.connection.duration").values())
        dropped = sum(watch.metric("tcpwatch.self.dropped").values())
        assert sum(watch.metric("tcpwatch.connection.accepted").values()) == burst
        assert told + dropped == burst
        assert not phases(watch)
    assert objects == 0


def phases(watch: Watch) -> dict[str, float]:
    """Return how many connections are in which phase, without those that nobody is in."""
    active = watch.metric(ACTIVE, "tcpwatch.phase.name")
    return {phase: count for phase, count in active.items() if count}


@pytest.fixture
def _descriptors() -> None:
    """Ask for the descriptors of both ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * IDLE + 200
    if soft < wanted:
        if hard < wanted:
            pytest.skip("not enough descriptors allowed here")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@pytest.mark.usefixtures("_descriptors")
def test_a_thousand_idle_connections_are_counted_and_forgotten() -> None:
    """All are open in `idle` while they are, and when they have gone nothing is active."""
    with watching(ALWAYS_OFF) as watch, serving(Threaded(("127.0.0.1", 0), Plain)) as address:
        clients = [socket.create_connection(address, LIMIT) for _ in range(IDLE)]
        wait_for(lambda: phases(watch) == {"idle": IDLE})
        assert watch.metric("tcpwatch.handler.active", "tcpwatch.dispatch") == {"thread": IDLE}
        assert len(tcpwatch.connections()) == IDLE
        for client in clients:
            client.close()
        wait_for(lambda: not phases(watch))
        assert tcpwatch.flush()
        assert watch.metric("tcpwatch.handler.active", "tcpwatch.dispatch") == {"thread": 0}
        assert watch.metric("tcpwatch.connection.duration", "tcpwatch.connection.outcome") == {
            "no_request": IDLE
        }
