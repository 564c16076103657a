"""Where telemetry goes while something is measured: it is read, counted and forgotten.

Run as a file it says its port; each line of input is answered with what has come in since.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

counts = {"requests": 0, "bytes": 0, "spans": 0}
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """Answers every export with 200."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:  # noqa: N802  # http.server's name
        """Take an export."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()
        spans = 0
        if self.path.endswith("/v1/traces"):
            plain = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
            request = ExportTraceServiceRequest.FromString(plain)
            spans = sum(
                len(scope.spans)
                for resource in request.resource_spans
                for scope in resource.scope_spans
            )
        with lock:
            counts["requests"] += 1
            counts["bytes"] += len(body)
            counts["spans"] += spans

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name
        """Say nothing."""


def main() -> None:
    """Serve until the input ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    for _ in sys.stdin:
        with lock:
            print(json.dumps(counts), flush=True)
            counts.update(dict.fromkeys(counts, 0))


if __name__ == "__main__":
    main()
