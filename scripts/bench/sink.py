"""Where telemetry goes while something is measured: it is read, counted and forgotten.

Run as a module it says its port; each line of input is answered with what came since the last one.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

counts = Counter(exports=0, bytes=0, spans=0)
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """Answers every export with 200."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Take an export, and count it before the sender knows."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        plain = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
        spans = spans_in(plain) if self.path.endswith("/v1/traces") else 0
        with lock:
            counts.update(exports=1, bytes=len(body), spans=spans)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Log nothing."""


def spans_in(body: bytes) -> int:
    """Return the number of spans in an OTLP request."""
    request = ExportTraceServiceRequest.FromString(body)
    scopes = (scope for resource in request.resource_spans for scope in resource.scope_spans)
    return sum(len(scope.spans) for scope in scopes)


def main() -> None:
    """Serve until the input ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    for _ in sys.stdin:
        with lock:
            print(json.dumps(counts), flush=True)
            counts.subtract(dict(counts))


if __name__ == "__main__":
    main()
