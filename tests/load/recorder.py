"""A server that writes down what it is asked, and takes the client spans of who asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Asked:
    """A request: method, path without its query, and what it says of its trace."""

    method: str
    path: str
    traceparent: str | None


class Recorder:
    """What was asked so far, and the spans that came."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        self.asked: list[Asked] = []
        self.spans: list[Span] = []

    def paths(self) -> list[str]:
        """Return the paths that were asked for."""
        return [asked.path for asked in self.asked]


@contextmanager
def recording() -> Iterator[Recorder]:
    """Serve while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            recorder.asked.append(Asked(self.command, path, self.headers["traceparent"]))
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.answer()

        def do_POST(self) -> None:
            if self.path != "/v1/traces":
                self.do_GET()
                return
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    recorder.spans += scope.spans
            self.answer()

        def answer(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as named there
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: some of the clients leave on purpose."""

    with Server(("127.0.0.1", 0), Handler) as server:
        recorder = Recorder(server)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield recorder
        finally:
            server.shutdown()
            thread.join()
