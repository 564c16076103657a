"""The doctor's patient: a process that installs tcpwatch, serves one connection and tells.

It prints one line of JSON: the server's class, what was patched, and what was seen.
"""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

import tcpwatch
from tcpwatch import guard, names
from tcpwatch.patches.selection import class_name
from tcpwatch.patches.wrap import patches

_PATIENCE = 10.0


def main() -> None:
    """Serve one connection, watched, and print what was seen of it."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tcpwatch.install(tracer_provider=provider, meter_provider=NoOpMeterProvider())
    server = _server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    _ask(server.socket.getsockname())
    server.shutdown()
    thread.join(_PATIENCE)
    server.server_close()
    tcpwatch.flush(_PATIENCE)
    spans = {span.name: dict(span.attributes or {}) for span in kept.get_finished_spans()}
    told = {
        "server": class_name(type(server)),
        "patched": len(patches.names()),
        "modules": patches.modules(),
        "errors": dict(guard.guard.errors),
        "connection": spans.get(names.SPAN_TCP),
        "request": spans.get("GET"),
    }
    json.dump(told, sys.stdout)


def _server() -> Any:
    """Return the server that Flask would have, else the standard library's."""
    if importlib.util.find_spec("werkzeug") is None:
        return ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    from werkzeug.serving import make_server

    return make_server("127.0.0.1", 0, _application, threaded=True)


def _application(environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def _ask(address: Any) -> None:
    with socket.create_connection(address, _PATIENCE) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        while client.recv(4096):
            pass


if __name__ == "__main__":
    main()
