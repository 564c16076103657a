"""Handlers of the standard library's servers, one for each protocol a test speaks."""

from __future__ import annotations

import gc
import json
import time
from http.server import BaseHTTPRequestHandler
from socketserver import DatagramRequestHandler, StreamRequestHandler
from urllib.parse import parse_qs, urlsplit

from opentelemetry import trace

from tests.apps import gate


class Plain(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive, as `http.server` speaks it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer the path; `/hold` waits for the test, `/slow?s=1` sleeps, `/boom` raises.

        `/collector` answers how often each generation was collected since the next older one was.
        """
        url = urlsplit(self.path)
        if url.path == "/hold":
            gate.hold()
        elif url.path == "/slow":
            time.sleep(float(parse_qs(url.query)["s"][0]))
        elif url.path == "/boom":
            raise RuntimeError("the handler failed")
        elif url.path == "/collector":
            self.answer(json.dumps(gc.get_count()).encode())
            return
        elif url.path == "/child":
            with trace.get_tracer("app").start_as_current_span("own work"):
                pass
        self.answer(self.path.encode())

    def do_POST(self) -> None:
        """Answer how much was read."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(str(len(body)).encode())

    def answer(self, body: bytes) -> None:
        """Send a whole response."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def address_string(self) -> str:
        """Return the peer, also on a Unix socket, where there is none."""
        return str(self.client_address)


class Echo(StreamRequestHandler):
    """A protocol that is not HTTP: each line comes back."""

    def handle(self) -> None:
        """Echo until the client has said everything; `raise` raises."""
        for line in self.rfile:
            if line == b"raise\n":
                raise RuntimeError("the handler failed")
            self.wfile.write(line)


class DatagramEcho(DatagramRequestHandler):
    """One datagram in, the same one out."""

    def handle(self) -> None:
        """Echo."""
        self.wfile.write(self.rfile.read())
