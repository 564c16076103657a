"""Clients that know what they did: which connection, which request, how long, in which trace."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Tracer

from tests.ports import bound

LIMIT = 30.0
"""Seconds for one answer."""


@dataclass(frozen=True)
class Made:
    """A connection that was made, and the request on it that was answered.

    One each: werkzeug closes after every response. `trace_id` and `span_id` are the client's span,
    empty without one.
    """

    port: int
    path: str
    trace_id: str
    span_id: str
    began: float
    """On the wall clock, before the connection."""
    since: float
    """The same on the monotonic clock."""
    seconds: float
    """From then to the last byte."""


@contextmanager
def tracer(otlp: str) -> Iterator[Tracer]:
    """A tracer of service `client`; its spans are with the Collector when the context ends."""
    provider = TracerProvider(resource=Resource.create({"service.name": "client"}))
    exporter = OTLPSpanExporter(endpoint=f"{otlp}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield provider.get_tracer("clients")
    finally:
        provider.shutdown()


class Client:
    """A client that connects and asks as soon as it is made, and has the answer later."""

    def __init__(self, address: str, path: str, tracer: Tracer | None = None) -> None:
        host, port = address.split(":")
        self._http = http.client.HTTPConnection(host, int(port), timeout=LIMIT)
        self._http.auto_open = 0  # it would hide that a connection is closed, and make another
        self._path = path
        self._span = tracer.start_span(f"GET {path}", kind=SpanKind.CLIENT) if tracer else None
        headers = {}
        self._ids = ("", "")
        if self._span:
            context = self._span.get_span_context()
            self._ids = (f"{context.trace_id:032x}", f"{context.span_id:016x}")
            headers["traceparent"] = f"00-{self._ids[0]}-{self._ids[1]}-01"
        sock = bound(host, LIMIT)
        self._port = sock.getsockname()[1]
        self._wall, self._began = time.time(), time.monotonic()
        sock.connect((host, int(port)))
        self._http.sock = sock
        self._http.request("GET", path, headers=headers)

    def answered(self) -> Made:
        """Wait for the answer; return what was made."""
        answer = self._http.getresponse()
        answer.read()
        seconds = time.monotonic() - self._began
        self._http.close()
        if self._span:
            self._span.end()
        assert answer.status == 200, f"{self._path}: {answer.status}"
        return Made(self._port, self._path, *self._ids, self._wall, self._began, seconds)


class Load:
    """Connections of one request each, at a steady rate, by a few clients, until told to stop."""

    def __init__(self, address: str, paths: list[str], rate: float, clients: int = 4) -> None:
        self._address, self._paths = address, paths
        self._gap, self._clients = clients / rate, clients
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(clients)]
        self.made: list[Made] = []
        self.failures: list[BaseException] = []

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def last(self, seconds: float) -> list[Made]:
        """Let it go on for so long; return what was made meanwhile."""
        before = len(self.made)
        self._over.wait(seconds)
        return self.made[before:]

    def _work(self, number: int) -> None:
        due = time.monotonic() + self._gap * number / self._clients
        turn = number
        try:
            while not self._over.wait(max(due - time.monotonic(), 0)):
                due += self._gap
                path = self._paths[turn % len(self._paths)]
                self.made.append(Client(self._address, path).answered())
                turn += 1
        except BaseException as failure:
            self.failures.append(failure)
