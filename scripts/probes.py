"""Small live runs whose results stand in the docs: a real server, real sockets, one process.

`python scripts/probes.py patched` (or `cost`, `symptoms`) prints what it saw as JSON; docs.py puts
it into the pages. A symptom's run fails when it does not show what its page says.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import logging
import os
import socket
import ssl
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref import simple_server

from flask import Flask, Response, request
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from werkzeug import serving

import tcpwatch
from tcpwatch.cli import anonymous_tls
from tcpwatch.patches.wrap import patches

HOLD = 0.4
"""Seconds for which a troublesome client is troublesome."""
LATER = 0.1
"""Seconds after it that the next client comes."""
CROWD = 20
LARGE = 8 * 1024 * 1024
LIMIT = 10.0
ROUNDS = 50

app = Flask("probe")


@app.get("/")
def fast() -> str:
    """Answer at once."""
    return "done\n"


@app.get("/slow")
def slow() -> str:
    """Answer after a while."""
    time.sleep(HOLD)
    return "done\n"


@app.get("/large")
def large() -> Response:
    """Answer with more than the kernel buffers."""
    return Response(bytes(LARGE), mimetype="application/octet-stream")


@app.post("/upload")
def upload() -> str:
    """Read the body, then answer."""
    return f"{len(request.get_data())} bytes\n"


@contextlib.contextmanager
def served(*, tls: bool = False, backlog: int = 0, **options: Any) -> Iterator[int]:
    """Serve on a free port, with werkzeug's `options`, until the block ends; yield the port."""
    context = anonymous_tls.context(ssl.PROTOCOL_TLS_SERVER) if tls else None
    server = serving.make_server("127.0.0.1", 0, app, ssl_context=context, **options)
    if backlog:
        server.socket.listen(backlog)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join(LIMIT)
        server.server_close()


def connected(port: int, buffer: int = 0) -> socket.socket:
    """Connect; a small receive buffer makes a slow reader felt."""
    plain = socket.socket()
    plain.settimeout(LIMIT)
    if buffer:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    plain.connect(("127.0.0.1", port))
    return plain


def read_all(plain: socket.socket) -> None:
    """Read until the server closes."""
    while plain.recv(1 << 16):
        pass


def asks(port: int, path: str = "/") -> int:
    """Ask, read the answer until the server closes, and return the client's own port."""
    with connected(port) as plain:
        plain.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        read_all(plain)
        return own_port(plain)


def own_port(plain: socket.socket) -> int:
    """Return the port of this end."""
    return int(plain.getsockname()[1])


# -- what is patched -----------------------------------------------------------------------------


def patched() -> dict[str, dict[str, list[str]]]:
    """Return what install() patches at once, and what when werkzeug's and wsgiref's servers run."""
    tcpwatch.install()
    at_once = _owners()
    for options in ({"threaded": True}, {"processes": 2}):
        with served(**options) as port:
            asks(port)
    with simple_server.make_server("127.0.0.1", 0, app) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        asks(server.server_port)
        thread.join(LIMIT)
    return {"at once": _grouped(at_once), "later": _grouped(_owners() - at_once)}


def _owners() -> set[tuple[str, str]]:
    return {
        (f"{patch.owner.__module__}.{patch.owner.__qualname__}", patch.hook.name)
        for patch in patches._patches.values()
        if patch.on and isinstance(patch.owner, type)
    }


def _grouped(found: set[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = defaultdict(list)
    for owner, method in sorted(found):
        grouped[owner].append(method)
    return grouped


# -- what a connection costs ---------------------------------------------------------------------

_CALLS = {
    (socket.IPPROTO_TCP, getattr(socket, "TCP_INFO", 11)): "getsockopt(TCP_INFO)",
    (socket.SOL_SOCKET, 57): "getsockopt(SO_COOKIE)",
}


def cost() -> dict[str, Any]:
    """Return the system calls that tcpwatch adds to one connection, and the threads it starts."""
    calls: Counter[str] = Counter()
    _count(calls, socket.socket, "getsockopt", lambda name, *_: _CALLS.get(name, "getsockopt"))
    _count(calls, socket.socket, "getsockname", lambda *_: "getsockname")
    _count(calls, fcntl, "ioctl", lambda *_: "ioctl(SIOCOUTQ)")
    bare = _calls_per_connection(calls)
    before = {thread.name for thread in threading.enumerate()}
    tcpwatch.install()
    watched = _calls_per_connection(calls)
    ours = sorted(
        thread.name
        for thread in threading.enumerate()
        if thread.name not in before and thread.name.startswith("tcpwatch")
    )
    added = {call: watched[call] - bare.get(call, 0) for call in sorted(watched)}
    return {"calls": {call: often for call, often in added.items() if often}, "threads": ours}


def _count(calls: Counter[str], owner: Any, method: str, label: Callable[..., str]) -> None:
    original = getattr(owner, method)

    def counted(*args: Any) -> Any:
        calls[label(args[1:3])] += 1
        return original(*args)

    setattr(owner, method, counted)


def _calls_per_connection(calls: Counter[str]) -> dict[str, int]:
    server = serving.make_server("127.0.0.1", 0, app, threaded=True)
    # A long poll interval: each turn of an idle loop reads its queue too.
    threading.Thread(target=server.serve_forever, args=(60,), daemon=True).start()
    asks(server.port)
    calls.clear()
    for _ in range(ROUNDS):
        asks(server.port)
    return {call: round(count / ROUNDS) for call, count in calls.items()}


# -- symptoms ------------------------------------------------------------------------------------

exporter, reader, warned = InMemorySpanExporter(), InMemoryMetricReader(), list[str]()


class Listening(logging.Handler):
    """Keeps the first line of what tcpwatch logs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        warned.append(record.getMessage().splitlines()[0])


def span_of(port: int) -> ReadableSpan:
    """Return the connection span of the client with this port, waiting for it."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        tcpwatch.flush(1.0)
        for span in exporter.get_finished_spans():
            attributes = span.attributes or {}
            if span.name == "tcp.connection" and attributes.get("network.peer.port") == port:
                return span
        time.sleep(0.01)
    raise AssertionError(f"no connection span of the client on port {port}")


def shown(who: str, port: int, *wanted: str) -> list[str]:
    """Return lines with some attributes of a connection span; an absent one is an error."""
    attributes = span_of(port).attributes or {}
    lines = [f"  {name:<36} {_spelt(attributes[name])}" for name in wanted]
    return [f"{who}: tcp.connection", *lines]


def measured(port: int, **wanted: str) -> list[str]:
    """Return lines with metrics of the server on `port`; `wanted` maps `a__b` to its attribute."""
    points = sorted(_points(port), key=lambda point: (point[0], str(sorted(point[1].items()))))
    lines = []
    for key, attribute in wanted.items():
        for name, attributes, value in points:
            if name != key.replace("__", ".") or (attribute and not value):
                continue
            extra = f"{{{attribute}={attributes[attribute]}}}" if attribute else ""
            lines.append(f"{name}{extra}  {_spelt(value)}")
    return lines


def _points(port: int) -> Iterator[tuple[str, dict[str, Any], Any]]:
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    attributes = dict(point.attributes or {})
                    if attributes.get("server.port", port) == port:
                        value = getattr(point, "value", None)
                        found = getattr(point, "max", 0) if value is None else value
                        yield metric.name, attributes, found


def _spelt(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.3f}"
    return str(value)


def value_of(lines: list[str], name: str) -> float:
    """Return the number in the line of `name`."""
    return next(float(line.split()[-1]) for line in lines if line.split()[0].startswith(name))


def preconnect() -> list[str]:
    """One thread, a client that says nothing, another that asks."""
    with served() as port:
        with connected(port) as silent:
            first = own_port(silent)
            second = _comes_later(port)
            time.sleep(HOLD)
        lines = shown(
            "the second client",
            second(),
            "tcpwatch.phase.accept_queue",
            "tcpwatch.phase.app",
            "tcpwatch.blocked_by.activity",
            "tcpwatch.blocked_by.connection.id",
        )
        assert value_of(lines, "tcpwatch.phase.accept_queue") >= HOLD / 2
        return lines + shown(
            "the first client",
            first,
            "tcpwatch.connection.id",
            "tcpwatch.connection.outcome",
            "tcpwatch.connection.requests",
            "tcpwatch.phase.idle",
        )


def _comes_later(port: int, client: Callable[[int], int] = asks) -> Callable[[], int]:
    found: list[int] = []

    def comes() -> None:
        time.sleep(LATER)
        found.append(client(port))

    thread = threading.Thread(target=comes, daemon=True)
    thread.start()

    def own() -> int:
        thread.join(LIMIT)
        return found[0]

    return own


def _asks_encrypted(port: int) -> int:
    context = anonymous_tls.context(ssl.PROTOCOL_TLS_CLIENT)
    client = http.client.HTTPSConnection("127.0.0.1", port, timeout=LIMIT, context=context)
    with contextlib.closing(client):
        client.request("GET", "/")
        own = own_port(client.sock)
        client.getresponse().read()
    return own


def silent_tls() -> list[str]:
    """Threads and TLS, a client that does not shake hands, another that asks."""
    warned.clear()
    with served(tls=True, threaded=True) as port:
        with connected(port) as silent:
            first = own_port(silent)
            second = _comes_later(port, _asks_encrypted)
            time.sleep(HOLD)
        lines = shown(
            "the second client",
            second(),
            "tcpwatch.phase.accept_queue",
            "tcpwatch.phase.tls_handshake",
            "tcpwatch.blocked_by.activity",
        )
        assert value_of(lines, "tcpwatch.phase.accept_queue") >= HOLD / 2
        lines += shown(
            "the first client", first, "tcpwatch.connection.outcome", "tcpwatch.phase.tls_handshake"
        )
        assert "TLS handshake" in warned[0], warned
        warning = warned[0].partition("; the loop's thread")[0]
        return [*lines, "", "WARNING " + warning.replace(": ", ":\n  ", 1).replace("; ", ";\n  ")]


def backlog() -> list[str]:
    """One thread, room for two, more clients than that behind a slow view."""
    with served(backlog=2) as port, contextlib.ExitStack() as crowd:
        first = _comes_later(port, lambda where: asks(where, "/slow"))
        time.sleep(LATER * 2)
        for _ in range(8):
            plain = crowd.enter_context(socket.socket())
            plain.setblocking(False)
            plain.connect_ex(("127.0.0.1", port))
        time.sleep(LATER)
        lines = measured(port, tcpwatch__accept_queue__depth="", tcpwatch__accept_queue__limit="")
        lines += measured(port, tcpwatch__accept_queue__drops="", tcpwatch__accept_loop__busy="")
        assert value_of(lines, "tcpwatch.accept_queue.depth") > 2
        assert value_of(lines, "tcpwatch.accept_queue.drops") > 0
        first()
        return lines


def pile_up() -> list[str]:
    """Threads without a limit, and clients that connect and say nothing."""
    with served(threaded=True) as port, contextlib.ExitStack() as crowd:
        for _ in range(CROWD):
            crowd.enter_context(connected(port))
        deadline, lines = time.monotonic() + LIMIT, list[str]()
        wanted = {
            "tcpwatch__connection__active": "tcpwatch.phase.name",
            "tcpwatch__connection__oldest": "tcpwatch.phase.name",
            "tcpwatch__handler__active": "tcpwatch.dispatch",
            "process__thread__count": "",
        }
        while time.monotonic() < deadline:
            time.sleep(LATER)
            lines = measured(port, **wanted)
            crowded = f"{{tcpwatch.phase.name=idle}}  {CROWD}"
            if f"tcpwatch.connection.active{crowded}" in lines:
                return [line for line in lines if "phase" not in line or "=idle" in line]
        raise AssertionError(f"{CROWD} silent clients were not seen: {lines}")


def drain() -> list[str]:
    """A client that waits for the server to close."""
    with served(threaded=True) as port:
        asks(port)
        lines = shown(
            "a client",
            asks(port),
            "tcpwatch.phase.app",
            "tcpwatch.phase.respond",
            "tcpwatch.phase.drain",
        )
        assert value_of(lines, "tcpwatch.phase.drain") >= 0.009
        return lines


def slow_reader() -> list[str]:
    """A client that stops reading in the middle of the response."""
    with served(threaded=True) as port, connected(port, buffer=1 << 16) as plain:
        plain.sendall(b"GET /large HTTP/1.0\r\n\r\n")
        plain.recv(1 << 16)
        time.sleep(HOLD)
        read_all(plain)
        lines = shown(
            "the slow reader",
            own_port(plain),
            "tcpwatch.phase.app",
            "tcpwatch.phase.respond",
            "tcpwatch.tcp.rwnd_limited",
            "tcpwatch.tcp.busy",
        )
        assert value_of(lines, "tcpwatch.phase.respond") >= HOLD / 2
        assert value_of(lines, "tcpwatch.tcp.rwnd_limited") >= HOLD / 2
        return lines


def slow_upload() -> list[str]:
    """A client that sends half of its body, pauses, and sends the rest."""
    with served(threaded=True) as port, connected(port) as plain:
        plain.sendall(b"POST /upload HTTP/1.0\r\nContent-Length: 10\r\n\r\n12345")
        time.sleep(HOLD)
        plain.sendall(b"67890")
        read_all(plain)
        own = own_port(plain)
        lines = shown("the connection", own, "tcpwatch.phase.app")
        context = span_of(own).context
        assert context is not None
        for span in exporter.get_finished_spans():
            if span.context and span.parent and span.parent.span_id == context.span_id:
                waited = (span.attributes or {}).get("tcpwatch.request.body_wait")
                if waited is not None:
                    lines += [f"its request: {span.name}"]
                    lines += [f"  {'tcpwatch.request.body_wait':<36} {_spelt(waited)}"]
        assert value_of(lines, "tcpwatch.request.body_wait") >= HOLD / 2
        return lines


SYMPTOMS = (preconnect, silent_tls, backlog, pile_up, drain, slow_reader, slow_upload)


def symptoms() -> dict[str, str]:
    """Play every symptom and return what the telemetry showed; without TLS if there is none."""
    os.environ["TCPWATCH_STALL"] = "0.2"
    logging.getLogger("tcpwatch").addHandler(Listening())
    traces = TracerProvider(shutdown_on_exit=False)
    traces.add_span_processor(SimpleSpanProcessor(exporter))
    metrics = MeterProvider([reader], shutdown_on_exit=False)
    tcpwatch.install(tracer_provider=traces, meter_provider=metrics)
    found = {}
    for symptom in SYMPTOMS:
        tcpwatch.flush(1.0)
        exporter.clear()  # a later client may get an earlier one's port
        try:
            found[symptom.__name__] = "\n".join(symptom())
        except ssl.SSLError as error:  # an OpenSSL without anonymous ciphers
            if symptom is not silent_tls:
                raise
            print(f"skipped: {error}", file=sys.stderr)
    return found


PROBES: dict[str, Callable[[], Any]] = {"patched": patched, "cost": cost, "symptoms": symptoms}

if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    print(json.dumps(PROBES[sys.argv[1]]()))
