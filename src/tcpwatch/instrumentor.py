"""The OpenTelemetry entry point: `opentelemetry-instrument flask run` needs no code at all."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]  # untyped
    BaseInstrumentor,
)

import tcpwatch


class TcpwatchInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # untyped there
    """Installs and uninstalls tcpwatch as an OpenTelemetry instrumentation.

    `instrument(tracer_provider=…, meter_provider=…)` takes the providers that `install` takes.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: what tcpwatch patches is the standard library's."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        tcpwatch.install(
            tracer_provider=kwargs.get("tracer_provider"),
            meter_provider=kwargs.get("meter_provider"),
        )

    def _uninstrument(self, **kwargs: Any) -> None:
        tcpwatch.uninstall()
