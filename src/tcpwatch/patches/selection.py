"""Which servers are watched: stream servers, but none that serve telemetry or logging here."""

from __future__ import annotations

import socket
import socketserver
from typing import Any, Final

from tcpwatch.settings import Settings

LEFT_ALONE: Final = ("prometheus_client.", "logging.config.", "tcpwatch.")
"""Modules whose servers are part of the observation, not of what is observed."""


def class_name(cls: type) -> str:
    """Return a class's full name, as it is written in settings and on spans."""
    return f"{cls.__module__}.{cls.__qualname__}"


def is_watched(server: Any, settings: Settings) -> bool:
    """Say whether this server's connections are ours to watch.

    TCPWATCH_INCLUDE and TCPWATCH_EXCLUDE hold full class names (a base class will do) and ports;
    what is excluded stays excluded, and an include list leaves out everything else.
    """
    if isinstance(server, socketserver.UDPServer):
        return False
    listener = getattr(server, "socket", None)
    if not isinstance(listener, socket.socket) or listener.type != socket.SOCK_STREAM:
        return False
    named = _names(server, listener)
    if named & set(settings.exclude):
        return False
    if settings.include:
        return bool(named & set(settings.include))
    return not any(name.startswith(LEFT_ALONE) for name in named)


def _names(server: Any, listener: socket.socket) -> set[str]:
    found = {class_name(cls) for cls in type(server).__mro__}
    try:
        address = listener.getsockname()
    except OSError:
        return found
    if isinstance(address, tuple):
        found.add(str(address[1]))
    return found
