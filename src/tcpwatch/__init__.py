"""tcpwatch: what happens to a TCP connection before, around and after a Python view function.

    import tcpwatch
    tcpwatch.install()

Nothing happens on import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from tcpwatch.hub.snapshot import ConnectionSnapshot

__all__ = ["connections", "flush", "install", "uninstall"]


def install(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Watch every TCP server of this process, those that run already included.

    Call it from any thread, before or after the server is imported, made or started; a second call
    changes nothing. Telemetry goes to the given providers, else to the global ones that the
    application has set by the time of the first accept, else to ours, made from the OTEL_*
    environment. One line on stderr says what is patched and where telemetry goes
    (TCPWATCH_BANNER=off silences it).

    Raises ValueError if a TCPWATCH_* variable holds what it cannot hold, or if OpenTelemetry cannot
    be imported for the sake of an OTEL_* variable (OTEL_PROPAGATORS, OTEL_SPAN_*_LIMIT).
    """
    from tcpwatch.session import session

    session.install(tracer_provider, meter_provider)


def uninstall() -> None:
    """Stop watching: give back what was patched, end open connections as `uninstalled`, export.

    Safe on a live server with traffic; does nothing if nothing is installed.
    """
    from tcpwatch.session import session

    session.uninstall()


def connections() -> list[ConnectionSnapshot]:
    """Return a snapshot of each connection that is open now, oldest first; children's included."""
    from tcpwatch.session import session

    return session.connections()


def flush(timeout: float = 5.0) -> bool:
    """Export everything that has finished so far, for at most `timeout` seconds.

    Return whether it is out: True also if there was nothing to do.
    """
    from tcpwatch.session import session

    return session.flush(timeout)
