"""The sample server with something wrong, and a Collector that tries once or is full."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from stack import compose
from stack.compose import Service

DESCRIPTORS = 48
START = """
runpy.run_path("shop.py", run_name="__main__")
"""
FEW = f"""
import resource, runpy
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}))
{START}"""
"""It may open few files, and tries to send its telemetry for a second only."""
LEAKY = f"""
import os, resource, runpy
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
held = [os.open(os.devnull, os.O_RDONLY) for _ in range(850)]
{START}"""
"""It has opened more files than it should, below the usual limit."""
DEAF = """
import signal, socket, sys
from werkzeug.serving import make_server
import tcpwatch
from shop import app
tcpwatch.install()
host, _, port = sys.argv[-1].rpartition(":")
server = make_server(host, int(port), app, threaded=True)
signal.signal(signal.SIGUSR1, lambda *_: server.socket.shutdown(socket.SHUT_RDWR))
server.serve_forever()
"""
"""Told by SIGUSR1, it shuts its listener down, as a child does that tidies up what it inherited:
from then on accept() fails with EINVAL (accept(2)), at once, again and again."""

RAW = """
import socketserver, sys
import tcpwatch
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(65536)
        self.request.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
tcpwatch.install()
host, _, port = sys.argv[-1].rpartition(":")
socketserver.ThreadingTCPServer((host, int(port)), Handler).serve_forever()
"""
"""A handler that knows nothing of HTTP, but what a health check takes for an answer."""

SULKY = f"""
import runpy
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler
class Sulky(Sampler):
    def should_sample(self, *asked, **more):
        raise RuntimeError("this sampler fails on purpose")
    def get_description(self):
        return "sulky"
trace.set_tracer_provider(TracerProvider(sampler=Sulky()))
{START}"""
"""The application's own sampler fails whenever tcpwatch asks it."""

TINY = {"OTEL_BSP_MAX_QUEUE_SIZE": "4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
"""Fewer spans than one connection has."""


def servers() -> list[Service]:
    """Return the servers; hasty's queues are tiny, rare exports once a minute as by default."""
    return [
        _server("few", FEW, OTEL_EXPORTER_OTLP_TIMEOUT="1"),
        _server(
            "leaky", LEAKY, TCPWATCH_PROCESS_CONNECTIONS="on", OTEL_TRACES_SAMPLER="always_off"
        ),
        _server("deaf", DEAF),
        _server("raw", RAW),
        _server("sulky", SULKY),
        _server("hasty", f"import runpy\n{START}", TCPWATCH_QUEUE_SIZE="1", **TINY),
        _server("rare", f"import runpy\n{START}", OTEL_METRIC_EXPORT_INTERVAL="60000"),
    ]


def _server(name: str, program: str, **settings: str) -> Service:
    app = compose.services()["app"]
    return dataclasses.replace(
        app,
        name=f"app-{name}",
        command=["python", "-c", program, "--listen", "0.0.0.0:8000"],
        environment={
            **app.environment,
            "OTEL_SERVICE_NAME": f"shop-{name}",
            "OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id=shop-{name}-1",
            **settings,
        },
    )


def impatient(folder: Path) -> Service:
    """Return the Collector, made to try once what it else tries for minutes, and to hold little."""
    return _collector(
        folder / "impatient.yaml",
        "exporters: {otlp_grpc/jaeger: {retry_on_failure: {enabled: false}, "
        "sending_queue: {queue_size: 2, num_consumers: 1}}}\n",
    )


def full(folder: Path) -> Service:
    """Return the Collector, with less memory than it needs for itself: it takes nothing."""
    return _collector(
        folder / "full.yaml",
        "processors: {memory_limiter: {limit_mib: 2, spike_limit_mib: 1}}\n",
    )


def _collector(more: Path, said: str) -> Service:
    collector = compose.services()["collector"]
    mounted = f"/etc/otelcol/{more.name}"
    more.write_text(said)
    return dataclasses.replace(
        collector,
        command=[*collector.command, "--config", mounted],
        binds={**collector.binds, mounted: more},
    )
