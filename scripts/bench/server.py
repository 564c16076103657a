"""A server under measurement, a process of its own: says its port, serves, answers for itself.

    python -m bench.server KIND WATCH

Each line of input is answered with what the process has used so far; the line `flush` makes it
export everything it holds beforehand. It ends, after another flush, when its input does.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import random
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bench.rungs import FLASK, HTTP, TCPWATCH, WSGI

STRETCH = "BENCH_STRETCH"
"""The variable that says how many times slower than usual this process runs."""
FLUSH_SECONDS = 600.0
POLL_SECONDS = 0.5
BODY = b"hello"
HOW: dict[str, dict[str, Any]] = {
    "threaded": {"threaded": True},
    "single": {},
    "forking": {"processes": 40},
}


class Handler(BaseHTTPRequestHandler):
    """Says hello on a connection that stays open."""

    protocol_version = "HTTP/1.1"
    # Headers and body are two segments, and Nagle would hold the second until the first is
    # acknowledged, which the client's kernel puts off for 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Say hello."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Log nothing, as werkzeug does here."""


def slow_down(factor: float) -> None:
    """Make every wait of a thread so many times longer, as everything else is.

    A wait of 100 ms lasts a hundred requests at 1,000 requests a second. Under valgrind it would
    last two, and what is done after it would be counted fifty times too often.
    """
    wait = threading.Condition.wait

    def stretched(self: threading.Condition, timeout: float | None = None) -> bool:
        return wait(self, None if timeout is None else timeout * factor)

    threading.Condition.wait = stretched  # type: ignore[method-assign]
    sys.setswitchinterval(sys.getswitchinterval() * factor)


def slow_down_worker(factor: float) -> None:
    """Make what tcpwatch's worker waits for, and the slices in which it works, longer too."""
    from tcpwatch.hub import bell, pace

    sleep = bell.Bell.sleep

    def stretched(self: bell.Bell, seconds: float) -> None:
        sleep(self, seconds * factor)

    bell.Bell.sleep = stretched  # type: ignore[method-assign]  # in this process only, measured
    for name in ("SLICE_NS", "PAUSE", "LOOK", "PATIENCE_NS", "PATIENCE_OF_A_ROUND_NS"):
        setattr(pace, name, type(getattr(pace, name))(getattr(pace, name) * factor))


def watched(watch: str) -> Callable[[], Any]:
    """Have the process watched; return what exports all that is held."""
    if watch == TCPWATCH:
        import tcpwatch

        tcpwatch.install()
        return lambda: tcpwatch.flush(FLUSH_SECONDS)
    return _peer(watch) if watch else bool


def _peer(watch: str) -> Callable[[], Any]:
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
    if watch == FLASK:
        from opentelemetry.instrumentation.flask import FlaskInstrumentor

        FlaskInstrumentor().instrument()
    patience = int(FLUSH_SECONDS * 1000)
    return lambda: (tracers.force_flush(patience), meters.force_flush(patience))


def application(watch: str) -> Any:
    """Return the smallest Flask application, inside the peer's middleware if that is WSGI's."""
    from flask import Flask

    app = Flask("bench")
    app.add_url_rule("/", view_func=BODY.decode, endpoint="hello")
    if watch == WSGI:
        from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

        app.wsgi_app = OpenTelemetryMiddleware(app.wsgi_app)  # type: ignore[method-assign]
    return app


def make(kind: str, watch: str) -> Any:
    """Return a server of this kind, listening on a port of its own."""
    if kind == HTTP:
        return ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    return make_server("127.0.0.1", 0, application(watch), **HOW[kind])


def used() -> dict[str, float]:
    """Return the seconds of CPU time of the process, its collected children, the serving thread."""
    serving = threading.main_thread().ident
    assert serving is not None
    # First the part and then the whole: the thread may still be closing its last connection.
    thread = time.clock_gettime(time.pthread_getcpuclockid(serving))
    own, children = (
        sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {"own": own, "children": children, "serving": thread}


def answer(flush: Callable[[], Any]) -> None:
    """Answer each line of input; interrupt the server, which is idle then, when there is none."""
    for line in sys.stdin:
        if line.strip() == "flush":
            flush()
        print(json.dumps(used()), flush=True)
    flush()
    os.kill(os.getpid(), signal.SIGINT)


def main(kind: str, watch: str) -> None:
    """Serve until the input ends."""
    random.seed(1)  # so that the same connections are sampled each time
    signal.signal(signal.SIGINT, signal.default_int_handler)
    factor = float(os.environ.get(STRETCH, "1"))
    if factor > 1:
        slow_down(factor)
    if factor > 1 and watch == TCPWATCH:
        with suppress(ModuleNotFoundError):  # another checkout's worker may wait in another way
            slow_down_worker(factor)
    flush = watched(watch)
    server = make(kind, watch)
    if factor > 1:
        # A rare visit to all that was imported would fall into one run and not into the other.
        gc.collect()
        gc.freeze()
    print(server.server_address[1], flush=True)
    with suppress(KeyboardInterrupt):
        threading.Thread(target=answer, args=(flush,), daemon=True).start()
        server.serve_forever(POLL_SECONDS * factor)


if __name__ == "__main__":
    main(*sys.argv[1:])
