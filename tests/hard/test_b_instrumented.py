"""Hard case 12: OpenTelemetry's own instrumentation comes and goes in every order with ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from werkzeug.serving import BaseWSGIServer, make_server

import tcpwatch
from tests.hard.apps_a_watch import LIMIT, serving
from tests.hard.test_a_listeners import get
from tests.hard.test_b_orders import orders

Switch = Callable[[], Any]
CALLER = {"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}


def application() -> flask.Flask:
    """Return an application that has served nothing yet."""
    app = flask.Flask("instrumented")
    app.add_url_rule("/", "hello", lambda: "hello")
    return app


def by_instrumentor(server: BaseWSGIServer, provider: TracerProvider) -> tuple[Switch, Switch]:
    """Return what puts the Flask instrumentation on a server's application, and takes it off."""
    instrumentor: Any = FlaskInstrumentor()

    def on() -> None:
        # Flask refuses it for an application that has begun to serve.
        server.app = app = application()
        instrumentor.instrument_app(app, tracer_provider=provider)

    return on, lambda: instrumentor.uninstrument_app(server.app)


def by_middleware(server: BaseWSGIServer, provider: TracerProvider) -> tuple[Switch, Switch]:
    """Return what puts the WSGI middleware round a server's application, and takes it off."""
    bare = server.app
    wrapped = OpenTelemetryMiddleware(bare, tracer_provider=provider)
    return lambda: setattr(server, "app", wrapped), lambda: setattr(server, "app", bare)


class Spans:
    """The SERVER spans that were told, in portions."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def take(self, count: int) -> list[ReadableSpan]:
        """Wait for this many and return all that have come since the last time."""
        deadline = time.monotonic() + LIMIT
        while True:
            assert tcpwatch.flush(LIMIT)
            told = self._exporter.get_finished_spans()
            found = [span for span in told if span.kind is SpanKind.SERVER]
            if len(found) >= count:
                self._exporter.clear()
                return found
            assert time.monotonic() < deadline, told
            time.sleep(0.002)  # nobody else can be waited for


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Return the spans of one test; afterwards nothing is installed."""
    made = Spans()
    yield made
    tcpwatch.uninstall()
    made.provider.shutdown()


@pytest.mark.parametrize("kind", [by_instrumentor, by_middleware])
@pytest.mark.parametrize("order", list(orders()), ids=", ".join)
def test_one_server_span_for_each_request(
    spans: Spans, order: tuple[str, ...], kind: Callable[..., tuple[Switch, Switch]]
) -> None:
    """Theirs while it is on, else ours while we are there; a caller's trace goes on in either."""
    server = make_server("127.0.0.1", 0, application(), threaded=True)
    on, off = kind(server, spans.provider)
    do: dict[str, Switch] = {
        "install": lambda: tcpwatch.install(
            tracer_provider=spans.provider, meter_provider=NoOpMeterProvider()
        ),
        "uninstall": tcpwatch.uninstall,
        "tool on": on,
        "tool off": off,
    }
    with serving(server) as address:
        there: set[str] = set()
        for step in (*order, *order):
            do[step]()
            who = "tcpwatch" if step.endswith("install") else "theirs"
            (there.add if step in ("install", "tool on") else there.discard)(who)
            for headers in ({}, CALLER):
                assert get(address, headers=headers) == 200
                found = spans.take(1 if there else 0)
                assert len(found) == (1 if there else 0)
                for span in found:
                    assert span.instrumentation_scope is not None
                    ours = span.instrumentation_scope.name == "tcpwatch"
                    assert ours == ("theirs" not in there)
                    assert span.context is not None
                    assert (span.context.trace_id == int("1" * 32, 16)) == bool(headers)
