"""The middle: live connections, the queue of marks, the worker that turns marks into records."""

from tcpwatch.hub.registry import Hub, hub
from tcpwatch.hub.snapshot import ConnectionSnapshot

__all__ = ["ConnectionSnapshot", "Hub", "hub"]
