"""Context: what an application leaks while it serves, and that nothing of ours stays current.

Handlers run in this very thread, so that what is current can be asked.
"""

from __future__ import annotations

import contextvars
import http.server
import socket
import socketserver
from collections.abc import Iterator
from contextlib import suppress

import pytest
from flask import Flask
from opentelemetry import context, trace
from werkzeug.serving import make_server

from tcpwatch.guard import guard
from tcpwatch.hub import exchanges
from tcpwatch.patches import twins
from tests.apps.handlers import Plain
from tests.hard.apps_a_deeds import (
    DEEDS,
    TRACER,
    Do,
    assert_nothing_current,
    fails,
    handler,
    leaks_a_value,
    leaves,
    times_out,
)
from tests.hard.apps_a_watch import LIMIT, Watch, serving
from tests.live.wire import read_all, read_response, request_bytes

CALLER = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "baggage": "user=7"}


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


def test_nothing_is_current_after_an_error_of_ours(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the end of a request fails in our own code, its span is not current any longer either."""

    def fail(*args: object) -> None:
        raise ZeroDivisionError

    with (
        http.server.HTTPServer(("127.0.0.1", 0), Plain) as server,
        socket.create_connection(("127.0.0.1", server.server_port), LIMIT) as client,
        monkeypatch.context() as broken,
    ):
        broken.setattr(exchanges, "end_span", fail)
        twins.connect()  # the hooks in C are given it
        client.sendall(request_bytes("/", CALLER))
        server.handle_request()
        assert read_all(client).endswith(b"/")
        assert_nothing_current()
    twins.connect()
    assert guard.errors.pop("BaseHTTPRequestHandler.handle_one_request") == 1


def test_a_span_of_a_stream_stays_in_its_request(watch: Watch) -> None:
    """A generator that opens a span and is closed half-way leaves nothing to the next request."""
    app = Flask(__name__)

    @app.get("/")
    def stream() -> Iterator[bytes]:
        with trace.get_tracer(TRACER).start_as_current_span("streaming"):
            yield b"one"
            raise RuntimeError("midway")

    for _ in range(2):
        with (
            serving(make_server("127.0.0.1", 0, app, threaded=True)) as address,
            socket.create_connection(address, LIMIT) as client,
        ):
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
