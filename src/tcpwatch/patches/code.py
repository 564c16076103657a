"""Where a phase happens: the methods that a server's class really runs, by its MRO."""

from __future__ import annotations

import functools
import inspect
import socket
import socketserver
import ssl
from typing import Any

from tcpwatch import names
from tcpwatch.core.marks import View
from tcpwatch.hub.loop import Listener
from tcpwatch.kernel.addresses import plain_address
from tcpwatch.patches.selection import class_name

Place = tuple[str, str, str, int]
"""(phase, function's full name, file, line)"""


def listener_of(server: Any) -> Listener:
    """Describe a server's listener: its name on the network, its class, and its code."""
    sock: socket.socket = server.socket
    host, port = plain_address(sock.getsockname()) or ("", None)
    unix = sock.family == getattr(socket, "AF_UNIX", None)
    kinds = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}
    return Listener(
        key=0,
        address=host,
        port=port,
        network_type=kinds.get(sock.family),
        transport="unix" if unix else "tcp",
        server_class=class_name(type(server)),
        forking=is_forking(server),
        code=places(type(server), handler_class(server)),
    )


def is_forking(server: Any) -> bool:
    """Say whether a server forks for each connection."""
    forking = getattr(socketserver, "ForkingMixIn", None)
    return forking is not None and isinstance(server, forking)


def handler_class(server: Any) -> type | None:
    """Return the class of a server's handlers; None if it makes them in a way of its own."""
    made_by = getattr(server, "RequestHandlerClass", None)
    while isinstance(made_by, functools.partial):
        made_by = made_by.func
    return made_by if isinstance(made_by, type) else None


def places(server: type, handler: type | None) -> tuple[Place, ...]:
    """Return the place of each phase for this pair of classes, as far as it is Python code."""
    wanted: list[tuple[str, type, tuple[str, ...]]] = [
        (names.ACCEPT_QUEUE, server, ("get_request",)),
        (names.TLS_HANDSHAKE, ssl.SSLSocket, ("do_handshake",)),
        (names.DISPATCH, server, ("process_request",)),
        (names.CLOSE, server, ("shutdown_request",)),
    ]
    if handler is not None:
        application = ("run_wsgi", "do_GET", "do_POST", "handle")
        wanted += [
            (names.IDLE, handler, ("handle_one_request", "handle")),
            (names.READ_HEAD, handler, ("parse_request", "handle")),
            (names.APP, handler, application),
            (names.RESPOND, handler, application),
            (names.DRAIN, handler, application),
            (names.HANDLE, handler, ("handle",)),
        ]
    found = (_place(phase, cls, methods) for phase, cls, methods in wanted)
    return tuple(place for place in found if place is not None)


def owner(cls: type, method: str) -> type | None:
    """Return the class of the MRO that defines a method."""
    return next((base for base in cls.__mro__ if method in vars(base)), None)


def _place(phase: str, cls: type, methods: tuple[str, ...]) -> Place | None:
    for method in methods:
        for owner in cls.__mro__:
            found = place(vars(owner).get(method))
            if found is not None:
                return phase, *found
    return None


def place(function: Any) -> View | None:
    """Return where a function is, that it wraps if it wraps one; None if it is no Python code."""
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    full = f"{function.__module__}.{function.__qualname__}"
    return full, code.co_filename, code.co_firstlineno
