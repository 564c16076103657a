"""A Flask application under OpenTelemetry's own instrumentation and tcpwatch; tells its spans.

    python -m tests.apps.coexistence ORDER

Serves two requests to itself, the second with a traceparent, and prints one JSON object.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
from typing import Any

import flask
from opentelemetry import metrics, trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from werkzeug.serving import make_server

import tcpwatch

CALLER = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"


def application(order: str) -> Any:
    """Make the application, instrumented in this order."""
    instrumentor: Any = FlaskInstrumentor()
    if order == "tcpwatch_first":
        tcpwatch.install()
    if order in ("tcpwatch_first", "flask_first"):
        instrumentor.instrument()
    app = flask.Flask("coexistence")

    @app.get("/item/<int:number>")
    def item(number: int) -> str:
        return str(number)

    wsgi: Any = app
    if order == "instrument_app":
        instrumentor.instrument_app(app)
    elif order == "middleware_inside":
        app.wsgi_app = OpenTelemetryMiddleware(app.wsgi_app)  # type: ignore[method-assign]
    elif order == "middleware_outside":
        wsgi = OpenTelemetryMiddleware(app)
    elif order == "middleware_hidden":
        hidden = OpenTelemetryMiddleware(app)

        def opaque(environ: Any, start_response: Any) -> Any:
            return iter(hidden(environ, start_response))

        wsgi = opaque
    elif order == "uninstrumented_again":
        instrumentor.instrument_app(app)
        instrumentor.uninstrument_app(app)
    tcpwatch.install()
    return wsgi


def ask(port: int, number: int) -> None:
    """Send one request and wait until the server has closed the connection."""
    client = http.client.HTTPConnection("127.0.0.1", port)
    client.request("GET", f"/item/{number}", headers={"traceparent": CALLER} if number else {})
    client.getresponse().read()
    client.close()


def told(span: ReadableSpan) -> dict[str, Any]:
    """Return what the test wants to know of a span."""
    assert span.context is not None
    assert span.instrumentation_scope is not None
    return {
        "name": span.name,
        "kind": span.kind.name,
        "scope": span.instrumentation_scope.name.rpartition(".")[2],
        "trace": format(span.context.trace_id, "032x"),
        "id": format(span.context.span_id, "016x"),
        "parent": format(span.parent.span_id, "016x") if span.parent else "",
        "links": [format(link.context.span_id, "016x") for link in span.links],
        "connection": (span.attributes or {}).get("tcpwatch.connection.id"),
    }


def requests_of(metric: Any) -> int:
    """Return how many requests a duration histogram has counted."""
    return sum(point.count for point in metric.data.data_points)


def main(order: str) -> None:
    """Serve, ask, and tell."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))
    server = make_server("127.0.0.1", 0, application(order))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for number in range(2):
        ask(server.port, number)
    server.shutdown()
    thread.join()
    tcpwatch.flush(5)
    data = reader.get_metrics_data()
    assert data is not None
    durations = {
        scope.scope.name.rpartition(".")[2]: requests_of(metric)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "http.server.request.duration"
    }
    # Ours are built by a thread of their own: they arrive when they like.
    finished = sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
    spans = [told(span) for span in finished]
    sys.stdout.write(json.dumps({"spans": spans, "durations": durations}))


if __name__ == "__main__":
    main(sys.argv[1])
