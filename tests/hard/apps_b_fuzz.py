"""Random operations on a live server in this process; afterwards the books must balance.

    python -m tests.hard.apps_b_fuzz SEED SECONDS

One thread does the operations, so it knows what has happened; the servers have their own. Prints
one JSON object.
"""

from __future__ import annotations

import json
import os
import random
import socket
import socketserver
import sys
import threading
import time
from collections import Counter
from http.server import HTTPServer
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tcpwatch
from tcpwatch.hub import hub
from tests.apps.handlers import Plain
from tests.live.wire import read_all, read_response, request_bytes, reset

MOST_OPEN = 12
ACTIVE = "tcpwatch.connection.active"
GAUGES = (ACTIVE, "tcpwatch.handler.active", "http.server.active_requests")
KEEP = {"Connection": "keep-alive"}
LIMIT = 10


class Threaded(socketserver.ThreadingMixIn, HTTPServer):
    """Serves each connection in a thread, or itself."""

    daemon_threads = True
    request_queue_size = 128


class Fuzz:
    """A server, its clients, and what should be known of them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.clients: list[socket.socket] = []
        self.installed = False
        self.watched = 0
        self.failures: list[str] = []
        self.begin()

    def begin(self) -> None:
        """Start a server on a new port."""
        self.server = Threaded(("127.0.0.1", 0), type("Handler", (Plain,), {"timeout": LIMIT}))
        self.loop = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.loop.start()

    # -- operations ------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect, and say nothing yet."""
        if len(self.clients) < MOST_OPEN:
            address = self.server.server_address[:2]
            self.clients.append(socket.create_connection(address, LIMIT))  # type: ignore[arg-type]
            self.watched += self.installed

    def send(self) -> None:
        """Do a request on an open connection and keep it."""
        if client := self.take():
            client.sendall(request_bytes("/kept", KEEP))
            if read_response(client).status != 200:
                self.failures.append("a request was not answered")
            self.clients.append(client)

    def send_half(self) -> None:
        """Send the beginning of a request, and leave it at that."""
        if client := self.take():
            client.sendall(b"GET /half HT")
            self.close(client)

    def upload_half(self) -> None:
        """Break off in the middle of a body."""
        if client := self.take():
            client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf")
            self.close(client)

    def garble(self) -> None:
        """Send what is no HTTP."""
        if client := self.take():
            client.sendall(self.random.randbytes(20) + b"\r\n\r\n")
            self.close(client)

    def pipeline(self) -> None:
        """Send three requests at once."""
        if client := self.take():
            client.sendall(request_bytes("/one", KEEP) * 2 + request_bytes("/last"))
            if read_all(client).count(b"200 OK") != 3:
                self.failures.append("a pipelined request was not answered")
            client.close()

    def half_close(self) -> None:
        """Send a request and the FIN, then read."""
        if client := self.take():
            client.sendall(request_bytes("/half-closed"))
            client.shutdown(socket.SHUT_WR)
            read_all(client)
            client.close()

    def leave(self) -> None:
        """Close, or reset, whatever the state."""
        if client := self.take():
            self.close(client)

    def install(self) -> None:
        """Install; what was accepted before is not watched."""
        self.settle()
        tcpwatch.install()
        self.installed = True

    def uninstall(self) -> None:
        """Uninstall; what has connected by now was accepted before."""
        self.settle()
        tcpwatch.uninstall()
        self.installed = False

    def look(self) -> None:
        """Ask what is open."""
        open_now = tcpwatch.connections()
        if not self.installed and open_now:
            self.failures.append("connections are told that nobody watches")

    def fork(self) -> None:
        """Fork; the child looks, installs or uninstalls, and goes."""
        what = self.random.choice((tcpwatch.connections, tcpwatch.install, tcpwatch.uninstall))
        child = os.fork()
        if child == 0:
            what()
            os._exit(len(tcpwatch.connections()))
        deadline = time.monotonic() + LIMIT
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
            if time.monotonic() > deadline:
                os.kill(child, 9)
                os.waitpid(child, 0)
                self.failures.append(f"a forked child hung in {what.__name__}")
                return
            time.sleep(0.001)  # waitpid has no time limit
        if status:
            self.failures.append(f"a forked child ended as {status} after {what.__name__}")

    def restart(self) -> None:
        """Shut the server down with what is open, and start another."""
        self.settle()
        self.end()
        self.begin()

    # -- means -----------------------------------------------------------------------------------

    def take(self) -> socket.socket | None:
        """Take a client away, None if there is none."""
        if not self.clients:
            return None
        return self.clients.pop(self.random.randrange(len(self.clients)))

    def close(self, client: socket.socket) -> None:
        """Close politely or not."""
        if self.random.random() < 0.5:
            reset(client)
        else:
            client.close()

    def settle(self) -> None:
        """Wait until all who have connected are accepted: the queue is first in, first out."""
        address = self.server.server_address[:2]
        with socket.create_connection(address, LIMIT) as client:  # type: ignore[arg-type]
            self.watched += self.installed
            client.sendall(request_bytes("/settled"))
            if b"200 OK" not in read_all(client):
                self.failures.append("the server did not answer")

    def end(self) -> None:
        """End the server and all clients."""
        self.server.shutdown()
        self.loop.join()
        self.server.server_close()
        while client := self.take():
            self.close(client)

    def run(self, seconds: float) -> None:
        """Do random operations for so long."""
        often = (self.connect,) * 6 + (self.send,) * 4
        seldom = (self.install, self.uninstall, self.fork, self.restart, self.look)
        others = (self.send_half, self.upload_half, self.garble, self.pipeline)
        operations = (*often, *others, *others, self.half_close, self.leave, *seldom)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.failures:
            operation = self.random.choice(operations)
            self.done[operation.__name__] += 1
            operation()


def wait(condition: Any) -> bool:
    """Wait until something is true, for a limited time."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)  # other threads are about to end
    return True


def total(reader: InMemoryMetricReader, name: str) -> float:
    """Return the sum of a metric's points, or of a histogram's counts."""
    data = reader.get_metrics_data()
    return sum(
        point.count if hasattr(point, "count") else point.value
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    )


def serving() -> list[str]:
    """Return the threads that serve a connection."""
    return [t.name for t in threading.enumerate() if "process_request" in t.name]


def main(seed: int, seconds: float) -> None:
    """Run, end everything, and tell what is left."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([reader]))

    fuzz = Fuzz(seed)
    fuzz.run(seconds)
    fuzz.restart()
    fuzz.install()
    while len(fuzz.clients) < MOST_OPEN:
        fuzz.connect()
    fuzz.settle()
    counted = total(reader, ACTIVE) >= MOST_OPEN
    fuzz.end()
    closed = wait(lambda: not tcpwatch.connections() and not serving())
    tcpwatch.flush(5)
    left = [total(reader, gauge) for gauge in GAUGES]
    tcpwatch.uninstall()
    spans = exporter.get_finished_spans()
    told = {
        "failures": fuzz.failures,
        "done": fuzz.done,
        "counted": counted,
        "closed": closed,
        "watched": fuzz.watched,
        "connections": len([span for span in spans if span.name == "tcp.connection"]),
        "distinct": len({span.context.span_id for span in spans if span.context}) == len(spans),
        "durations": int(total(reader, "tcpwatch.connection.duration")),
        "gauges": left,
        "kept": len(hub.connections) + len(hub.by_socket) + len(hub.serving.by_thread),
        "threads": serving(),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
