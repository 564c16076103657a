"""What tcpwatch sends and what a Collector spends on it, measured on the running stack."""

from __future__ import annotations

import gzip
import http.client
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from stack.running import Stack

TRACES, METRICS = "/v1/traces", "/v1/metrics"


class Meter:
    """Stands between an application and the Collector; keeps each payload, by its path."""

    def __init__(self, behind: str) -> None:
        self.payloads: dict[str, list[bytes]] = defaultdict(list)
        meter, address = self, behind.removeprefix("http://")

        class Forward(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                meter.payloads[self.path].append(body)
                onward = http.client.HTTPConnection(address)
                onward.request("POST", self.path, body, dict(self.headers.items()))
                answer = onward.getresponse()
                self.send_response(answer.status)
                said = answer.read()
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)
                onward.close()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as named there
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)

    @property
    def url(self) -> str:
        """Where the application is to send."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[Meter]:
        """Serve while the context lasts."""
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def traces(self) -> list[ExportTraceServiceRequest]:
        """Return the payloads with spans, decoded."""
        return [
            ExportTraceServiceRequest.FromString(
                gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
            )
            for body in self.payloads[TRACES]
        ]


def spans_of(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """Yield the spans of a payload."""
    for of in request.resource_spans:
        for scope in of.scope_spans:
            yield from scope.spans


def renewed(request: ExportTraceServiceRequest) -> bytes:
    """Return the same spans as new traces."""
    mask = secrets.token_bytes(16)

    def other(trace_id: bytes) -> bytes:
        return bytes(a ^ b for a, b in zip(trace_id, mask, strict=True))

    copy = ExportTraceServiceRequest()
    copy.CopyFrom(request)
    for span in spans_of(copy):
        span.trace_id = other(span.trace_id)
        for link in span.links:
            link.trace_id = other(link.trace_id)
    return copy.SerializeToString()


def cpu_seconds(stack: Stack, names: tuple[str, ...]) -> float:
    """Return the CPU time that these have used."""
    times = [psutil.Process(stack.processes[name].pid).cpu_times() for name in names]
    return sum(each.user + each.system for each in times)


def flood(address: str, payloads: list[bytes], clients: int = 2) -> float:
    """Send all, as fast as they are taken, from a few clients; return the seconds.

    Raises RuntimeError if one is refused.
    """
    turns = iter(payloads)
    refused: list[int] = []

    def work() -> None:
        connection = http.client.HTTPConnection(address)
        for payload in turns:
            connection.request("POST", TRACES, payload, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.HTTPStatus.OK:
                refused.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if refused:
        raise RuntimeError(f"{len(refused)} of {len(payloads)} were refused: {set(refused)}")
    return time.monotonic() - began
