"""Where telemetry goes while something is measured: it is read, and counted when somebody asks.

Run as a module it says its port; each line of input is answered with what came since the last one.
A collector has a machine of its own; this one shares the server's cores, so it decodes nothing
while requests are on their way.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections import Counter, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

came: deque[tuple[str, str | None, bytes]] = deque()
"""Path, encoding and body of each export that was not counted yet."""


class Handler(BaseHTTPRequestHandler):
    """Answers every export with 200."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Take an export before the sender knows."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        came.append((self.path, self.headers["Content-Encoding"], body))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Log nothing."""


def counted() -> Counter[str]:
    """Return what came since the last call."""
    counts = Counter(exports=0, bytes=0, spans=0)
    while came:
        path, encoding, body = came.popleft()
        plain = gzip.decompress(body) if encoding == "gzip" else body
        spans = spans_in(plain) if path.endswith("/v1/traces") else 0
        counts.update(exports=1, bytes=len(body), spans=spans)
    return counts


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
        print(json.dumps(counted()), flush=True)


if __name__ == "__main__":
    main()
