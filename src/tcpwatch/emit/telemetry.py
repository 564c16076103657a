"""The way out of one process: providers, request spans and sinks, bound together."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from weakref import WeakSet

import psutil
from opentelemetry import _logs, metrics, trace
from opentelemetry.metrics import NoOpMeterProvider

from tcpwatch import names
from tcpwatch.emit.delivery import deliveries
from tcpwatch.emit.errands import errands
from tcpwatch.emit.histograms import Histograms
from tcpwatch.emit.keep import Keeper
from tcpwatch.emit.observables import Observables
from tcpwatch.emit.peers import Peers
from tcpwatch.emit.process import ProcessMetrics
from tcpwatch.emit.providers import Providers, application_tracer_provider, preload, resolve
from tcpwatch.emit.requests import requests_of
from tcpwatch.emit.spans import Spans
from tcpwatch.emit.tracing import Tracing
from tcpwatch.emit.version import VERSION
from tcpwatch.hub.output import Output, Requests, Sink
from tcpwatch.hub.registry import Hub

CHILD_PATIENCE: Final = 0.1
"""Seconds that a forked child gives the export of the application's own spans."""


CHILD_PAUSE_NS: Final = 30_000_000_000
"""For so long no child tries, after one has tried in vain."""


_observed: WeakSet[Any] = WeakSet()
"""Meter providers that have our observable instruments."""


class Telemetry:
    """An `Output` of the hub whose worker runs in this process."""

    def __init__(self, hub: Hub, providers: Providers, pid: int | None = None) -> None:
        settings = hub.settings
        self._hub, self._providers = hub, providers
        errands.prepare()
        deliveries.listen()
        tracing = self.tracing = Tracing(providers.tracer)
        peers = self._peers = Peers.of(providers.tracer)
        self.allocate = tracing.allocate if tracing.enabled else _no_ids
        self.requests: Requests = requests_of(tracing, peers, settings)
        self.sinks: list[Sink] = []
        if tracing.enabled:
            self.sinks.append(Spans(tracing, Keeper(settings), settings))
        if not isinstance(providers.meter, NoOpMeterProvider):
            meter = providers.meter.get_meter(names.SCOPE, VERSION, names.SCHEMA_URL)
            self.sinks.append(Histograms(providers.meter, meter))
            if providers.meter not in _observed:
                # The SDK keeps an instrument's callbacks for good; they are silent when we are.
                _observed.add(providers.meter)
                hub.loops.forget_retired()  # what an earlier provider was told is not this one's
                Observables(meter, hub)
                with suppress(psutil.Error, OSError):  # no /proc: no such series
                    ProcessMetrics(meter, pid or os.getpid(), settings.process_connections)

    def flush(self, timeout: float) -> bool:
        """Export what is there; the SDK ignores its timeouts, so the deadline is ours."""
        flushes = [
            provider.force_flush
            for provider in (self._providers.tracer, self._providers.meter)
            if hasattr(provider, "force_flush")
        ]
        return errands.run(flushes, timeout)

    def release(self, timeout: float) -> None:
        """Export what is there and step back; what the application may use goes on."""
        self._peers.on = False
        self._leave(self._providers.give_up, timeout)
        deliveries.leave()

    def close(self, timeout: float) -> None:
        """Export what is there and close the providers that are ours: the process ends."""
        self._leave(self._providers.owned, timeout)

    def _leave(self, ours: Callable[[], list[Any]], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        owned = ours()
        if len(owned) < 2:
            self.flush(timeout)
        closes = [provider.shutdown for provider in owned if hasattr(provider, "shutdown")]
        errands.run(closes, max(deadline - time.monotonic(), 0.01))

    def child_flush(self) -> bool:
        """Export the application's own spans before the child ends in os._exit."""
        providers = (self._providers.tracer, _logs.get_logger_provider())
        flushes = [p.force_flush for p in providers if hasattr(p, "force_flush")]
        in_vain = self._hub.flush_in_vain_ns
        if in_vain and time.monotonic_ns() - in_vain < CHILD_PAUSE_NS:
            return True
        return errands.run(flushes, CHILD_PATIENCE)


def _no_ids() -> tuple[int, int]:
    """Return no ids: nobody traces."""
    return 0, 0


class Opener:
    """Makes the way out with the providers that are there when the first connection is accepted."""

    def __init__(
        self, tracer: trace.TracerProvider | None, meter: metrics.MeterProvider | None
    ) -> None:
        self._tracer, self._meter = tracer, meter
        self._prepared = False

    def prepare(self, hub: Hub, forking: bool) -> None:
        """Load what will export, unless a helper does that."""
        if self._prepared or self._is_remote(hub, forking):
            return
        self._prepared = True
        preload(self._tracer, self._meter)

    def __call__(self, hub: Hub, forking: bool) -> Output:
        """Return the way out of this process; a forking server's is its helper."""
        if self._is_remote(hub, forking):
            from tcpwatch.emit.remote import RemoteTelemetry

            return RemoteTelemetry(hub)
        telemetry = Telemetry(hub, resolve(self._tracer, self._meter, hub.settings.set_global))
        hub.start_worker()
        return telemetry

    def _is_remote(self, hub: Hub, forking: bool) -> bool:
        given = self._tracer or self._meter or application_tracer_provider()
        return forking and given is None and hub.post.worker is None
