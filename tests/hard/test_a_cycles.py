"""Installed and uninstalled again and again: each time as the first, and nothing piles up."""

from __future__ import annotations

import gc
import http.server
import socket
import time
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from opentelemetry import trace

import tcpwatch
from tests.apps.handlers import Plain
from tests.hard.apps_a_watch import LIMIT, serving, watching
from tests.hard.test_a_many import wait_for
from tests.live.conftest import Start
from tests.live.harness import LiveServer
from tests.live.seen import Seen
from tests.live.wire import read_all, read_response, request_bytes

KEEP = {"Connection": "keep-alive"}
CYCLES = 4


class Inline(http.server.HTTPServer):
    """A server of which these tests say that it is left out."""


def get(address: Any) -> bytes:
    """Do one request and return what came."""
    with socket.create_connection(address, LIMIT) as client:
        client.sendall(request_bytes("/"))
        return read_all(client)


def wait_threads(server: LiveServer, wanted: Callable[[list[str]], bool]) -> list[str]:
    """Wait until a server has threads as wanted: what ends, ends in a thread of its own."""
    deadline = time.monotonic() + LIMIT
    while not wanted(threads := server.tell("threads")):
        assert time.monotonic() < deadline, threads
        time.sleep(0.01)  # nobody else can be waited for
    return list(threads)


@pytest.mark.parametrize("shared", ["on", "off"])
def test_threads_do_not_pile_up(start: Start, seen: Seen, shared: str) -> None:
    """Providers of ours that are not global are closed; global ones are used again."""
    server = start("--install", "never", env={"TCPWATCH_SET_GLOBAL": shared})
    after: list[list[str]] = []
    for cycle in range(CYCLES):
        server.tell("install")
        server.get("/")
        seen.wait_requests(cycle + 1)
        server.tell("uninstall")
        after.append(wait_threads(server, lambda names: "tcpwatch-worker" not in names))
    assert after == [after[0]] * CYCLES
    assert any(name.startswith("Otel") for name in after[0]) == (shared == "on")
    seen.wait_connections(CYCLES)


def test_providers_that_were_given_can_be_garbage() -> None:
    """When the application has dropped them, nothing of ours holds them."""
    gone: list[weakref.ref[Any]] = []
    with serving(Inline(("127.0.0.1", 0), Plain)) as address:
        for _ in range(CYCLES):
            with watching() as watch:
                assert b"200" in get(address)
                assert len(watch.requests) == 1
            gone += [weakref.ref(watch.tracers), weakref.ref(watch.meters)]
            del watch

    def dropped() -> bool:
        gc.collect()
        return not any(each() for each in gone[:-2])

    # The last output is kept for the end of the process; a worker ends in its own time.
    wait_for(dropped)


def test_settings_of_the_next_install_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was left out is watched when nothing leaves it out any longer."""
    with serving(Inline(("127.0.0.1", 0), Plain)) as address:
        for excluded in (f"{__name__}.Inline", "", f"{__name__}.Inline", ""):
            monkeypatch.setenv("TCPWATCH_EXCLUDE", excluded)
            with watching() as watch:
                get(address)
                assert len(watch.connections) == (not excluded)


class Looking(Plain):
    """Notes whether a span of ours is current."""

    current: ClassVar[list[bool]] = []

    def do_GET(self) -> None:
        """Note it."""
        self.current.append(trace.get_current_span().get_span_context().is_valid)
        self.answer(b"done")


def test_what_was_open_stays_unwatched() -> None:
    """A connection that idles from one install to the next is passed through, uncounted."""
    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Looking)) as address:
        with watching() as first:
            client = socket.create_connection(address, LIMIT)
            client.sendall(request_bytes("/", KEEP))
            assert read_response(client).status == 200
            wait_for(lambda: [seen.phase for seen in tcpwatch.connections()] == ["idle"])
        assert len(first.exporter.get_finished_spans()) > 0
        with watching() as second, client:
            get(address)
            for _ in range(3):
                client.sendall(request_bytes("/", KEEP))
                assert read_response(client).status == 200
            client.close()
            assert len(second.requests) == len(second.connections) == 1
            assert not second.metric("tcpwatch.self.dropped")
    assert Looking.current == [True, True, False, False, False]
