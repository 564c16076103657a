"""What the hooks in C are given: our classes, tables and constants, and their twins in Python."""

from __future__ import annotations

import socket
from collections.abc import Callable
from email.message import Message
from http.server import BaseHTTPRequestHandler
from threading import get_ident
from time import monotonic_ns, time_ns
from types import BuiltinFunctionType
from typing import Any, Final

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.core.marks import Accepted
from tcpwatch.hub import exchanges, hub
from tcpwatch.hub.connection import KEPT, STEP_NS, Connection, Exchange
from tcpwatch.hub.loop import SHORTEST_ACTIVITY_NS, Listener, Loop
from tcpwatch.hub.post import Post
from tcpwatch.hub.registry import Hub, SocketRef
from tcpwatch.kernel.addresses import own_address
from tcpwatch.kernel.reader import Kernel
from tcpwatch.kernel.tcp_info import TELLING_SIZE
from tcpwatch.patches import connections, flask, http_server, ordinary, socketserver, streams
from tcpwatch.settings import Settings

_HOOKS: Final[dict[str, Callable[..., Any]]] = {
    "service_began": socketserver._service_began,
    "service_ended": socketserver._service_ended,
    "woken": socketserver._woken,
    "turned": socketserver._turned,
    "get_began": connections._get_began,
    "get_ended": connections._get_ended,
    "finish_began": connections._finish_began,
    "finish_ended": connections._finish_ended,
    "close_began": connections._close_began,
    "close_ended": connections._close_ended,
    "handle_began": http_server._handle_began,
    "handle_ended": http_server._handle_ended,
    "parsed": http_server._parsed,
    "responds": http_server._responds,
    "matched": flask._matched,
    "watched_readinto": streams.watched_readinto,
    "watched_write": streams.watched_write,
}


_nothing: Any = None

MADE: Final = {
    "blank_connection": Connection(0, _nothing, 0, 0, (0,) * len(Accepted._fields)),
    "blank_exchange": Exchange(0, 0, 0),
    "collected": hub._collected,
}
"""Made once: a hook may be at work with them, without a reference, when they are given anew."""


def _things() -> dict[str, Any]:
    return {
        **MADE,
        "Accepted": Accepted,
        "BaseHTTPRequestHandler": BaseHTTPRequestHandler,
        "Connection": Connection,
        "Exchange": Exchange,
        "Hub": Hub,
        "Kernel": Kernel,
        "Loop": Loop,
        "Message": Message,
        "Post": Post,
        "Settings": Settings,
        "SocketIO": socket.SocketIO,
        "SocketRef": SocketRef,
        "SocketWriter": streams._UNBUFFERED,
        "socket": socket.socket,
        "by_socket": hub.by_socket,
        "connected": flask._connected,
        "connections": hub.connections,
        "hub": hub,
        "loops": hub.loops.by_server,
        "post": hub.post,
        "serving": hub.serving.by_thread,
        "handle_code": http_server._HANDLE_CODE,
        "adopt_flask": flask.adopt,
        "application": http_server._application,
        "is_refused": http_server._is_refused,
        "note_blocking": connections.note_blocking,
        "own_address": own_address,
        "end_span": exchanges.end_span,
        "known_views": flask._known,
        "view_of": flask.view_of,
        "received": streams._received,
        "unwatch": streams.unwatch,
        "watch": streams.watch,
        **{name: value for name, value in vars(kinds).items() if name.isupper()},
        **{name: value for name, value in vars(names).items() if name.isupper()},
        "KEPT": KEPT,
        "SHORTEST_ACTIVITY_NS": SHORTEST_ACTIVITY_NS,
        "STEP_NS": STEP_NS,
        "TELLING_SIZE": TELLING_SIZE,
        "FORKING": Listener._fields.index("forking"),
        "WALL": Accepted._fields.index("wall_ns"),
    }


def connect() -> None:
    """Have the hooks in C used, unless the settings say no.

    Nor where somebody has replaced what they read themselves: gevent its threads, which in C are
    the system's and no greenlets; a test its clocks.
    """
    own = all(isinstance(read, BuiltinFunctionType) for read in (get_ident, monotonic_ns, time_ns))
    if hub.settings.c_hooks and own:
        ordinary.connect(_things(), _HOOKS)
    else:
        ordinary.disconnect()
