"""Providers: the application's if it has set any, else ours from the OTEL_* environment."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Final, NamedTuple, TypeVar
from weakref import WeakSet

from opentelemetry import metrics, trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tcpwatch.emit import prepared
from tcpwatch.emit.delivery import deliveries

logger = logging.getLogger("tcpwatch")

_P = TypeVar("_P")

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""The variable that says where an OTLP exporter sends to."""

DEFAULT_ENDPOINTS: Final = {
    "http/protobuf": "http://localhost:4318",
    "grpc": "http://localhost:4317",
}


@dataclass(slots=True)
class Providers:
    """A provider for each signal, and whether we made it (then we flush and close it)."""

    tracer: trace.TracerProvider
    meter: metrics.MeterProvider
    own_tracer: bool
    own_meter: bool

    def owned(self) -> list[Any]:
        """Return the SDK providers that are ours to close."""
        owned: list[Any] = []
        if self.own_tracer:
            owned.append(self.tracer)
        if self.own_meter:
            owned.append(self.meter)
        return owned

    def give_up(self) -> list[Any]:
        """Return those of ours that are not global, to be closed: nobody else can use them."""
        lone: list[Any] = []
        if self.own_tracer and self.tracer is not application_tracer_provider():
            lone.append(self.tracer)
            self.tracer, self.own_tracer = trace.NoOpTracerProvider(), False
        if self.own_meter and self.meter is not application_meter_provider():
            lone.append(self.meter)
            self.meter, self.own_meter = NoOpMeterProvider(), False
        return lone


relaying: WeakSet[Any] = WeakSet()
"""Providers of ours whose spans leave by the relay of a forking server, and else not at all."""


def application_tracer_provider() -> trace.TracerProvider | None:
    """Return the global tracer provider if somebody has set one; one that relays is ours."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider) or provider in relaying:
        return None
    return provider


def application_meter_provider() -> metrics.MeterProvider | None:
    """Return the global meter provider if somebody has set one."""
    provider = metrics.get_meter_provider()
    proxy = getattr(metrics._internal, "_ProxyMeterProvider", ())
    return None if isinstance(provider, proxy) else provider


_ours: WeakSet[Any] = WeakSet()
"""Providers that we have made in this process. A global one stays, so a later install finds it."""


def resolve(
    tracer: trace.TracerProvider | None, meter: metrics.MeterProvider | None, set_global: bool
) -> Providers:
    """Find the application's providers or make ours, in this order: given, global, ours.

    `set_global` makes ours the global ones, so that the application's own spans join them.
    """
    tracer = tracer or application_tracer_provider()
    meter = meter or application_meter_provider()
    if tracer is None:
        tracer = _made("traces", own_tracer_provider, trace.NoOpTracerProvider)
        _ours.add(tracer)
        taken = trace.get_tracer_provider() in relaying
        if set_global and isinstance(tracer, TracerProvider) and not taken:
            trace.set_tracer_provider(tracer)
    if meter is None:
        meter = _made("metrics", own_meter_provider, NoOpMeterProvider)
        _ours.add(meter)
        if set_global and isinstance(meter, MeterProvider):
            metrics.set_meter_provider(meter)
    return Providers(tracer, meter, tracer in _ours, meter in _ours)


def _made(signal: str, make: Callable[[], _P], nothing: Callable[[], _P]) -> _P:
    """Make a provider; one that does nothing where the SDK does not take what a variable says."""
    try:
        return make()
    except ValueError as error:
        logger.warning(
            "%s are not sent: OpenTelemetry does not take a setting (%s); correct the OTEL_* "
            "variable and start again",
            *(signal, error),
        )
        return nothing()


def own_tracer_provider() -> trace.TracerProvider:
    """Make a tracer provider from the environment; its end is ours, not atexit's.

    Without an exporter it makes no spans: nobody would ever see them.
    """
    exporters = _exporters("traces")
    if not exporters:
        return trace.NoOpTracerProvider()
    provider = TracerProvider(resource=Resource.create(), shutdown_on_exit=False)
    for exporter, *about in exporters:
        prepared.join(exporter)
        delivery = deliveries.watch(exporter, *about)
        processor = BatchSpanProcessor(exporter)
        delivery.watch_queue(processor)
        provider.add_span_processor(processor)
    return provider


def own_meter_provider() -> metrics.MeterProvider:
    """Make a meter provider from the environment; its end is ours, not atexit's."""
    readers: list[PeriodicExportingMetricReader] = []
    for exporter, *about in _exporters("metrics"):
        deliveries.watch(exporter, *about)
        readers.append(PeriodicExportingMetricReader(exporter))
    if not readers:
        return NoOpMeterProvider()
    return MeterProvider(readers, resource=Resource.create(), shutdown_on_exit=False)


def preload(tracer: trace.TracerProvider | None, meter: metrics.MeterProvider | None) -> None:
    """Do what `resolve` would do slowly the first time, so that no connection has to wait for it.

    Making an exporter imports its transport and reads the host's certificates: 100 ms and 10 MB
    once. What goes wrong goes wrong again when it is made to stay, and is told then.
    """
    for signal, provider in (
        ("traces", tracer or application_tracer_provider()),
        ("metrics", meter or application_meter_provider()),
    ):
        with suppress(Exception):
            for made in _exporters(signal) if provider is None else ():
                made.exporter.shutdown()


def protocol(signal: str) -> str:
    """Return the OTLP protocol of `traces` or `metrics`; http/protobuf is the default."""
    specific = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
    return (specific or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf").strip()


def endpoint(signal: str) -> str:
    """Return where the OTLP exporter of a signal sends to."""
    specific = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    general = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return specific or general or DEFAULT_ENDPOINTS.get(protocol(signal), "")


def destination() -> str:
    """Say in a few words where telemetry goes."""
    traces, meters = _chosen("traces"), _chosen("metrics")
    if application_tracer_provider() is not None:
        return "the application's OpenTelemetry providers"
    if not traces and not meters:
        return "nowhere (exporters are none)"
    if traces == meters == ["otlp"]:
        return f"{endpoint('traces')} (OTLP, {protocol('traces')})"
    return f"traces to {', '.join(traces) or 'none'}, metrics to {', '.join(meters) or 'none'}"


def on_console() -> bool:
    """Say whether anything is exported to the standard output."""
    return "console" in {*_chosen("traces"), *_chosen("metrics")}


def exported(signal: str) -> bool:
    """Say whether the environment names an exporter for `traces` or `metrics`."""
    return bool(_chosen(signal))


def _chosen(signal: str) -> list[str]:
    text = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp")
    return [name for name in (part.strip() for part in text.split(",")) if name and name != "none"]


class _Made(NamedTuple):
    """An exporter, and what is to be said of it: `setting` is the variable that chose `where`."""

    exporter: Any
    signal: str
    where: str
    setting: str


def otlp_exporter(signal: str) -> Callable[..., Any] | None:
    """Return what makes the OTLP exporter of a signal, None (and a log line) if it is missing."""
    return _load(signal, "otlp_proto_grpc" if protocol(signal) == "grpc" else "otlp_proto_http")


def _exporters(signal: str) -> list[_Made]:
    """Make the exporters that OTEL_<SIGNAL>_EXPORTER names, as far as they are installed."""
    made: list[_Made] = []
    for name in _chosen(signal):
        if name == "otlp":
            make = otlp_exporter(signal)
            where, setting = endpoint(signal), ENDPOINT
        else:
            make = _load(signal, name)
            where, setting = name, f"OTEL_{signal.upper()}_EXPORTER"
        if make is not None:
            made.append(_Made(make(), signal, where, setting))
    return made


@functools.cache
def _load(signal: str, name: str) -> Callable[[], Any] | None:
    cure = " Install tcpwatch[grpc]." if name == "otlp_proto_grpc" else ""
    for entry in entry_points(group=f"opentelemetry_{signal}_exporter", name=name):
        try:
            loaded: Callable[[], Any] = entry.load()
        except Exception as error:  # also a warning of a library's, where warnings are errors
            logger.warning(
                "exporter %r for %s cannot be imported: %s: %s; %s are not sent.%s",
                *(name, signal, type(error).__name__, error, signal, cure),
            )
            return None
        return loaded
    logger.warning(
        "no exporter %r for %s is installed; %s are not sent.%s", name, signal, signal, cure
    )
    return None
