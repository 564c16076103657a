"""A provider that is not the SDK's, under a real server: the API is enough."""

from __future__ import annotations

import http.client
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import SpanContext, TraceFlags

import tcpwatch


class Told(trace.NonRecordingSpan):
    """A span that notes what it is told."""

    def __init__(self, name: str, context: SpanContext, parent: int, links: int) -> None:
        super().__init__(context)
        self.name, self.parent, self.links = name, parent, links
        self.attributes: dict[str, Any] = {}
        self.ended: int | None = None

    def is_recording(self) -> bool:
        return True

    def set_attributes(self, attributes: Any) -> None:
        self.attributes.update(attributes)

    def end(self, end_time: int | None = None) -> None:
        assert self.ended is None, "ended twice"
        self.ended = end_time


class Foreign(trace.TracerProvider, trace.Tracer):
    """Provider and tracer in one; `spans` in the order of their start."""

    def __init__(self) -> None:
        self.spans: list[Told] = []
        self._ids = itertools.count(1)

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return self

    def start_span(self, name: str, context: Any = None, *args: Any, **kwargs: Any) -> trace.Span:
        parent = trace.get_current_span(context).get_span_context()
        number = next(self._ids)
        mine = SpanContext(parent.trace_id or number, number, False, TraceFlags(1))
        links = args[2] if len(args) > 2 else None
        span = Told(name, mine, parent.span_id, len(links or ()))
        span.attributes.update((args[1] if len(args) > 1 else None) or {})
        self.spans.append(span)
        return span

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


class Hello(BaseHTTPRequestHandler):
    """Says hello, on a connection that stays open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args: Any) -> None:
        """Be quiet."""


@contextmanager
def served() -> Iterator[int]:
    """Serve hello on a thread; give its port."""
    with HTTPServer(("127.0.0.1", 0), Hello) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Iterator[Foreign]:
    """Install tcpwatch with a foreign provider and no metrics."""
    monkeypatch.setenv("TCPWATCH_STRICT", "on")
    monkeypatch.setenv("TCPWATCH_BANNER", "off")
    provider = Foreign()
    tcpwatch.install(tracer_provider=provider, meter_provider=NoOpMeterProvider())
    yield provider
    tcpwatch.uninstall()


def test_the_api_alone_gives_connection_requests_and_phases(foreign: Foreign) -> None:
    """One connection span, opened at the first request; the requests are its children."""
    with served() as port:
        client = http.client.HTTPConnection("127.0.0.1", port)
        for _ in range(2):
            client.request("GET", "/x")
            client.getresponse().read()
        client.close()
    assert tcpwatch.flush(5)

    whole = next(span for span in foreign.spans if span.name == "tcp.connection")
    requests = [span for span in foreign.spans if span.name == "GET"]
    assert whole.attributes["tcpwatch.connection.outcome"] == "completed"
    assert [span.parent for span in requests] == [whole.get_span_context().span_id] * 2
    assert [span.attributes["tcpwatch.request.sequence"] for span in requests] == [1, 2]
    assert all(span.ended is not None for span in foreign.spans)


def test_a_callers_trace_is_kept(foreign: Foreign) -> None:
    """With a traceparent the request is the caller's child and links to the connection."""
    with served() as port:
        client = http.client.HTTPConnection("127.0.0.1", port)
        caller = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
        client.request("GET", "/", headers={"traceparent": caller})
        client.getresponse().read()
        client.close()
    assert tcpwatch.flush(5)

    request = next(span for span in foreign.spans if span.name == "GET")
    assert request.get_span_context().trace_id == int("1" * 32, 16)
    assert (request.parent, request.links) == (int("2" * 16, 16), 1)
