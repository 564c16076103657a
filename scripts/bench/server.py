"""A server under measurement, a process of its own: says its port, serves, exports when told to end.

    python -m bench.server KIND WATCH

SIGINT ends it: it then exports what it holds, however long that takes.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from bench.rungs import FLASK, TCPWATCH, WSGI

STRETCH = "BENCH_STRETCH"
"""The variable that says how many times slower than usual this process runs."""
FLUSH_SECONDS = 600.0


def slow_down(factor: float) -> None:
    """Make every wait of a thread so many times longer, as everything else is.

    A wait of 100 ms is one in a hundred requests at 1,000 requests a second. Under valgrind the
    same wait would be one in two, and what is done after it would be counted fifty times.
    """
    wait = threading.Condition.wait

    def stretched(self: threading.Condition, timeout: float | None = None) -> bool:
        return wait(self, None if timeout is None else timeout * factor)

    threading.Condition.wait = stretched  # type: ignore[method-assign]
    sys.setswitchinterval(sys.getswitchinterval() * factor)


def watch_by_tcpwatch() -> Callable[[], Any]:
    """Install tcpwatch; return what exports all that it holds."""
    import tcpwatch

    tcpwatch.install()
    return lambda: tcpwatch.flush(FLUSH_SECONDS)


def provide() -> Callable[[], Any]:
    """Set the SDK's providers, for a peer; return what exports all that they hold."""
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(tracers)
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
    metrics.set_meter_provider(meters)
    patience = int(FLUSH_SECONDS * 1000)
    return lambda: (tracers.force_flush(patience), meters.force_flush(patience))


def application(watch: str) -> Any:
    """Return the smallest Flask application, with the peer's middleware if it is WSGI's."""
    from flask import Flask

    app = Flask("bench")

    @app.get("/")
    def hello() -> str:
        return "hello"

    if watch == WSGI:
        from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

        app.wsgi_app = OpenTelemetryMiddleware(app.wsgi_app)  # type: ignore[method-assign]
    return app


def make(kind: str, watch: str) -> Any:
    """Return a server of this kind, listening on a port of its own."""
    import logging

    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    how = {"threaded": {"threaded": True}, "single": {}, "forking": {"processes": 40}}[kind]
    return make_server("127.0.0.1", 0, application(watch), **how)


def main(kind: str, watch: str) -> None:
    """Serve until SIGINT."""
    random.seed(1)  # so that the same connections are sampled each time
    signal.signal(signal.SIGINT, signal.default_int_handler)
    factor = float(os.environ.get(STRETCH, "1"))
    if factor != 1:
        slow_down(factor)
    flush: Callable[[], Any] = bool
    if watch == TCPWATCH:
        flush = watch_by_tcpwatch()
    elif watch:
        flush = provide()
        if watch == FLASK:
            from opentelemetry.instrumentation.flask import FlaskInstrumentor

            FlaskInstrumentor().instrument()
    server = make(kind, watch)
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever(0.5 * factor)
    except KeyboardInterrupt:
        pass
    flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
