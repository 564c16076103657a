"""The symptoms of the docs, played; a run fails when it does not show what its page says."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import tcpwatch
from probes.sample import HOLD, LIMIT, asks, connected, own_port, read_all, served
from probes.telemetry import (
    Listening,
    exporter,
    measured,
    reader,
    shown,
    span_of,
    spelt,
    value_of,
    warned,
)
from tcpwatch.cli import anonymous_tls

LATER = 0.1
"""Seconds after a troublesome client that the next one comes."""
CROWD = 20


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
                    lines += [f"  {'tcpwatch.request.body_wait':<36} {spelt(waited)}"]
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
