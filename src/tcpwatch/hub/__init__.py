"""The middle: live connections, the queue of marks, the worker that turns marks into records."""

from tcpwatch.hub.hub import Hub, hub
from tcpwatch.hub.snapshot import ConnectionSnapshot

__all__ = ["ConnectionSnapshot", "Hub", "hub"]
