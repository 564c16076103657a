"""Threads: those of a pool that serves, and those that a handler starts."""

from __future__ import annotations

import contextvars
import http.server
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask, copy_current_request_context, request
from opentelemetry import trace
from werkzeug.serving import make_server

import tcpwatch
from tcpwatch.hub import hub
from tests.apps.handlers import Plain
from tests.hard.apps_a_deeds import DEEDS, TRACER, Do, assert_nothing_current, handler
from tests.hard.apps_a_watch import LIMIT, Watch, serving
from tests.live.wire import read_all, read_response, request_bytes


class Pooled(http.server.HTTPServer):
    """Serves on the threads of a pool."""

    def __init__(self, handler: type[Plain], pool: ThreadPoolExecutor) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.pool = pool

    def process_request(self, request: Any, client_address: Any) -> None:
        """Have the pool do it."""
        self.pool.submit(self.serve, request, client_address)

    def serve(self, request: Any, client_address: Any) -> None:
        """Serve one connection."""
        try:
            self.finish_request(request, client_address)
        except Exception:
            logging.getLogger(TRACER).debug("failed", exc_info=True)
        finally:
            self.shutdown_request(request)


@pytest.mark.parametrize("do", DEEDS, ids=lambda do: do.__name__)
def test_a_pooled_thread_has_nothing_current_afterwards(watch: Watch, do: Do) -> None:
    """The threads of a pool of the application's are as they were; each request is in its trace."""
    with ThreadPoolExecutor(2) as pool, serving(Pooled(handler(do), pool)) as address:
        for _ in range(6):
            with socket.create_connection(address[:2], LIMIT) as client:
                client.sendall(request_bytes("/"))
                read_all(client)
        meet = threading.Barrier(2)

        def look() -> None:
            meet.wait(LIMIT)
            assert_nothing_current()

        for seen in [pool.submit(look) for _ in range(2)]:
            seen.result(LIMIT)
    requests = watch.requests
    assert len(requests) == len(watch.connections) == 6
    assert len({span.context.trace_id for span in requests if span.context}) == 6


class Held(Plain):
    """Waits in the middle of a request, and says what is current there."""

    held: threading.Event
    go: threading.Event
    current: list[bool]

    def do_GET(self) -> None:
        """Note whether a span is current, wait if asked to, answer."""
        self.current.append(trace.get_current_span().get_span_context().is_valid)
        if self.path == "/hold":
            self.held.set()
            assert self.go.wait(LIMIT)
        self.answer(b"done")


@pytest.mark.parametrize("again", [False, True], ids=["for good", "and installed again"])
def test_a_request_that_outlives_us_leaves_nothing_to_its_thread(watch: Watch, again: bool) -> None:
    """uninstall() in mid-request: when that ends, its thread is as new, and serves others unseen.

    A connection that was open is not watched again by a second install().
    """
    held, go = threading.Event(), threading.Event()
    current: list[bool] = []
    made = type("Made", (Held,), {"held": held, "go": go, "current": current})
    given: dict[str, Any] = {"tracer_provider": watch.tracers, "meter_provider": watch.meters}
    keep = {"Connection": "keep-alive"}
    with ThreadPoolExecutor(1) as pool, serving(Pooled(made, pool)) as address:
        with socket.create_connection(address[:2], LIMIT) as client:
            client.sendall(request_bytes("/hold", keep))
            assert held.wait(LIMIT)
            tcpwatch.uninstall()
            if again:
                tcpwatch.install(**given)
            go.set()
            assert read_response(client).status == 200
            for _ in range(2):
                client.sendall(request_bytes("/again", keep))
                assert read_response(client).status == 200
        pool.submit(assert_nothing_current).result(LIMIT)
        told = watch.exporter.get_finished_spans()
        assert len([span for span in told if span.name == "GET"]) == 1
        tcpwatch.install(**given)
        with socket.create_connection(address[:2], LIMIT) as client:
            client.sendall(request_bytes("/"))
            read_all(client)
        pool.submit(assert_nothing_current).result(LIMIT)
        assert len(watch.requests) == 2
    assert current == [True, False, False, True]


class Spreading(Plain):
    """Starts threads, and gives work to a pool that lives on."""

    pool: ThreadPoolExecutor
    plain: list[bool]
    go: threading.Event
    late: list[threading.Thread]

    def do_GET(self) -> None:
        """Note what is current elsewhere; leave a thread behind that has our context."""
        self.pool.submit(self.note).result(LIMIT)
        own = threading.Thread(target=self.note)
        own.start()
        own.join(LIMIT)
        carried = contextvars.copy_context()
        late = threading.Thread(target=carried.run, args=(self.work,))
        late.start()
        self.late.append(late)
        self.answer(b"done")

    def note(self) -> None:
        """Note whether a span is current on this thread."""
        self.plain.append(trace.get_current_span().get_span_context().is_valid)

    def work(self) -> None:
        """Work on when the request is over."""
        self.go.wait(LIMIT)
        with trace.get_tracer(TRACER).start_as_current_span("late"):
            pass


def test_threads_of_a_handler_see_what_python_gives_them(watch: Watch) -> None:
    """A new or pooled thread has no span unless it was carried there; then it outlives us well."""
    go = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        found: dict[str, Any] = {"pool": pool, "plain": [], "go": go, "late": []}
        made = type("Made", (Spreading,), found)
        with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), made)) as address:
            with socket.create_connection(address[:2], LIMIT) as client:
                client.sendall(request_bytes("/"))
                read_all(client)
            assert len(watch.requests) == 1
            go.set()
            for thread in found["late"]:
                thread.join(LIMIT)
        pool.submit(assert_nothing_current).result(LIMIT)
    assert found["plain"] == [False, False]
    assert hub.connections == {}


def test_a_copied_request_context_works_in_another_thread(watch: Watch) -> None:
    """Flask's `copy_current_request_context` brings the request, not our connection, elsewhere."""
    app = Flask(__name__)
    paths: list[str] = []
    serving_there: list[object] = []

    @app.get("/there")
    def there() -> str:
        @copy_current_request_context
        def work() -> None:
            paths.append(request.path)
            serving_there.append(hub.serving.connection)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(LIMIT)
        return "done"

    with (
        serving(make_server("127.0.0.1", 0, app, threaded=True)) as address,
        socket.create_connection(address, LIMIT) as client,
    ):
        client.sendall(request_bytes("/there"))
        assert b"done" in read_all(client)
    assert paths == ["/there"]
    assert serving_there == [None]
    (span,) = watch.requests
    assert (span.attributes or {})["http.route"] == "/there"
