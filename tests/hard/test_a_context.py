"""Context: what an application leaks or carries to other threads, and that nothing of ours stays.

Handlers run in this very thread, or in threads of a pool, so that what is current can be asked.
"""

from __future__ import annotations

import contextvars
import http.server
import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from flask import Flask, copy_current_request_context, request
from opentelemetry import baggage, context, trace
from werkzeug.serving import make_server

from tcpwatch.hub import hub
from tests.apps.handlers import Plain
from tests.hard.apps_a_watch import LIMIT, Watch, serving, watching
from tests.live.wire import read_all, read_response, request_bytes

TRACER = "app"
CALLER = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "baggage": "user=7"}
Do = Callable[[], None]


def leaks_a_value() -> None:
    """Attach and never detach."""
    context.attach(context.set_value("leaked", "yes"))


def leaks_a_span() -> None:
    """Make a span current for good."""
    span = trace.get_tracer(TRACER).start_span("never ended")
    context.attach(trace.set_span_in_context(span))


def leaks_baggage() -> None:
    """Attach baggage and never detach."""
    context.attach(baggage.set_baggage("leaked", "yes"))


def empties() -> None:
    """Attach a context without anything."""
    context.attach(context.Context())


def fails() -> None:
    """Fail."""
    raise RuntimeError("the handler failed")


def leaves() -> None:
    """Try to end the program, with a leak."""
    leaks_a_span()
    raise SystemExit


def times_out() -> None:
    """Fail as a read of a silent client does."""
    raise TimeoutError


def nothing() -> None:
    """Do nothing unusual."""


DEEDS: tuple[Do, ...] = (
    *(nothing, leaks_a_value, leaks_a_span, leaks_baggage, empties, fails, leaves, times_out),
)


def handler(do: Do) -> type[Plain]:
    """Return a handler whose GET does this, then answers."""

    class Doing(Plain):
        """Does it."""

        def do_GET(self) -> None:
            """Do it."""
            assert trace.get_current_span().get_span_context().is_valid
            do()
            self.answer(b"done")

    return Doing


def assert_nothing_current() -> None:
    """No span, value or baggage is current on this thread, and it serves nobody."""
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert context.get_current() == {}
    assert hub.serving.connection is None
    assert hub.accepting_here() is None
    assert hub.dispatching_here() is None


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Watch this process."""
    with watching() as watch:
        yield watch


@pytest.mark.parametrize("do", DEEDS, ids=lambda do: do.__name__)
@pytest.mark.parametrize("kept_alive", [False, True], ids=["one request", "keep-alive"])
def test_a_thread_that_serves_has_nothing_current_afterwards(
    watch: Watch, caplog: pytest.LogCaptureFixture, do: Do, kept_alive: bool
) -> None:
    """Whatever the handler leaks or raises, the thread is as it was before the connection.

    It runs in a context of its own, so that a leak that stays would not reach other tests.
    """

    def serve_here() -> None:
        with http.server.HTTPServer(("127.0.0.1", 0), handler(do)) as server:
            for _ in range(2):
                with socket.create_connection(("127.0.0.1", server.server_port), LIMIT) as client:
                    if kept_alive:
                        client.sendall(request_bytes("/", {"Connection": "keep-alive"}))
                    client.sendall(request_bytes("/", CALLER))
                    with suppress(SystemExit):
                        server.handle_request()
                    assert_nothing_current()

    contextvars.Context().run(serve_here)
    assert not [r for r in caplog.records if r.name.startswith(("opentelemetry", "tcpwatch"))]
    ours = [span for span in watch.requests if span.parent is not None]
    begun = [span for span in ours if span.parent is not None and not span.parent.is_remote]
    called = [span for span in ours if span.parent is not None and span.parent.is_remote]
    ends_early = do in (fails, leaves, times_out) and kept_alive
    assert len(begun) == (2 if kept_alive else 0)
    assert len(called) == (0 if ends_early else 2)
    assert {s.parent.trace_id for s in called if s.parent} <= {int("ab" * 16, 16)}
    assert len({span.context.trace_id for span in begun if span.context}) == len(begun)


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


@contextmanager
def flask_served(app: Flask) -> Iterator[Any]:
    """Serve an application with werkzeug's threaded server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with serving(make_server("127.0.0.1", 0, app, threaded=True)) as address:
        yield address


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

    with flask_served(app) as address, socket.create_connection(address, LIMIT) as client:
        client.sendall(request_bytes("/there"))
        assert b"done" in read_all(client)
    assert paths == ["/there"]
    assert serving_there == [None]
    (span,) = watch.requests
    assert (span.attributes or {})["http.route"] == "/there"


def test_a_span_of_a_stream_stays_in_its_request(watch: Watch) -> None:
    """A generator that opens a span and is closed half-way leaves nothing to the next request."""
    app = Flask(__name__)

    @app.get("/")
    def stream() -> Iterator[bytes]:
        with trace.get_tracer(TRACER).start_as_current_span("streaming"):
            yield b"one"
            raise RuntimeError("midway")

    for _ in range(2):
        with flask_served(app) as address, socket.create_connection(address, LIMIT) as client:
            client.sendall(request_bytes("/"))
            read_all(client)
    assert len({s.context.trace_id for s in watch.requests if s.context}) == 2


def test_two_requests_of_one_connection_do_not_see_each_other(watch: Watch) -> None:
    """What the first leaks is not the parent of the second, nor is it current in it."""
    seen: list[object] = []

    class Looking(Plain):
        """Looks, then leaks."""

        def do_GET(self) -> None:
            """Note what is there of the request before."""
            seen.append(context.get_value("leaked"))
            leaks_a_value()
            self.answer(b"done")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Looking)
    with serving(server) as address, socket.create_connection(address, LIMIT) as client:
        for _ in range(3):
            client.sendall(request_bytes("/", {"Connection": "keep-alive"}))
            read_response(client)
    assert seen == [None] * 3
    (connection,) = watch.connections
    parents = {span.parent.span_id for span in watch.requests if span.parent}
    assert connection.context is not None
    assert parents == {connection.context.span_id}
