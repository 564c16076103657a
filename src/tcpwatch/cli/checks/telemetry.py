"""Whether telemetry arrives: an empty export, by the exporters that a watched program would use."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry.sdk.metrics.export import MetricsData

from tcpwatch.cli.checks.finding import Finding, absent, ok, wrong
from tcpwatch.emit import log, providers

_PATIENCE: Final = 3
"""Seconds for one export, retries included."""

_CONNECT: Final = 2.0
_PORTS: Final = {"http": 80, "https": 443}
_LOGGERS: Final = ("opentelemetry", "tcpwatch", "urllib3", "grpc")


def check() -> Iterator[Finding]:
    """Send nothing, as OTLP allows, to where spans, metrics and our warnings would go."""
    for signal in ("traces", "metrics"):
        chosen = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp").strip()
        if chosen == "none":
            yield absent(signal, "are not sent: the exporter is `none`")
        elif chosen != "otlp":
            yield ok(signal, f"go to {chosen}, which is not tried here")
        else:
            yield _tried(signal)
    if log.wanted():
        yield _tried("logs")
    else:
        yield absent(
            "logs",
            "the warning of a loop that is stuck stays in the server's own log",
            "set OTEL_LOGS_EXPORTER=otlp for who holds it, and where, in the viewer",
        )


def _tried(signal: str) -> Finding:
    protocol, endpoint = providers.protocol(signal), providers.endpoint(signal)
    where = f"{endpoint} ({protocol})"
    if not endpoint:
        return wrong(
            signal,
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: there is no such protocol",
            "set it to http/protobuf or grpc",
        )
    with _overheard() as said:
        make = providers.otlp_exporter(signal)
        if make is None:
            return wrong(signal, *_halves(said))
        unreachable = _unreachable(endpoint, protocol)
        if unreachable:
            return wrong(
                signal,
                f"go to {where}, and {unreachable}",
                "start `tcpwatch view` or a collector"
                " there, or set OTEL_EXPORTER_OTLP_ENDPOINT to where one is",
            )
        began = time.monotonic()
        arrived = _export(signal, make)
        spent = time.monotonic() - began
    if arrived:
        return ok(signal, f"arrive at {where}: an empty export was taken in {spent * 1000:.0f} ms")
    why = said[-1] if said else "the exporter does not say why"
    return wrong(signal, f"do not arrive at {where}: {why}", _cure(why, protocol))


def _export(signal: str, make: Any) -> bool:
    try:
        exporter = make(timeout=_PATIENCE)
        try:
            nothing: Any = MetricsData(resource_metrics=[]) if signal == "metrics" else []
            return bool(exporter.export(nothing).name == "SUCCESS")
        finally:
            exporter.shutdown()
    except Exception as error:
        logging.getLogger("tcpwatch").warning("%s: %s", type(error).__name__, error)
        return False


def _unreachable(endpoint: str, protocol: str) -> str:
    """Say why no connection can be made there, "" if one can."""
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    port = parts.port or _PORTS.get(parts.scheme) or (4317 if protocol == "grpc" else 4318)
    try:
        with socket.create_connection((parts.hostname or "localhost", port), _CONNECT):
            return ""
    except TimeoutError:
        return f"nobody there answers within {_CONNECT:g} s"
    except ConnectionRefusedError:
        return "nobody listens there"
    except OSError as error:
        return f"it cannot be reached: {error.strerror or error}"


def _cure(why: str, protocol: str) -> str:
    if any(word in why for word in ("401", "403", "UNAUTHENTICATED", "PERMISSION")):
        return "set OTEL_EXPORTER_OTLP_HEADERS to what the receiver asks for"
    if any(word in why for word in ("CERTIFICATE", "SSL", "certificate")):
        return "set OTEL_EXPORTER_OTLP_CERTIFICATE, or http:// for a receiver without TLS"
    other = "grpc, usually on 4317" if protocol != "grpc" else "http/protobuf, usually on 4318"
    return f"if that port speaks {other}, set OTEL_EXPORTER_OTLP_PROTOCOL or another port"


def _halves(said: list[str]) -> tuple[str, str]:
    """Return what the exporter's absence was, and what to install."""
    words, _, cure = (said[-1] if said else "no exporter is installed").partition(" Install ")
    return words, f"install {cure or 'opentelemetry-exporter-otlp-proto-http'}".rstrip(".")


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """Keep what the exporters log from the terminal, and return it."""
    said: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage().splitlines()[0] if record.getMessage() else "")

    ear = Ear(logging.WARNING)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(ear)
        logger.propagate = False
    try:
        yield said
    finally:
        for logger, propagated in zip(loggers, before, strict=True):
            logger.removeHandler(ear)
            logger.propagate = propagated
