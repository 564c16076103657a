"""Into `http.server`: the requests on a connection, those that it refuses itself included.

Any handler derived from BaseHTTPRequestHandler is covered, werkzeug's and wsgiref's too; what only
they do is in files of their own.
"""

from __future__ import annotations

import socket
import socketserver
from collections.abc import Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler
from threading import get_ident
from time import monotonic_ns as clock
from typing import Any, Final

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.hub import exchanges, hub
from tcpwatch.hub.connection import APP, HEAD, WAITING, Connection, Exchange
from tcpwatch.patches import code, flask, streams, werkzeug, wsgiref
from tcpwatch.patches.wrap import Hook, ours, patches

ours(__file__)

_serving = hub.serving.by_thread
_HANDLE_CODE: Final = BaseHTTPRequestHandler.handle.__code__


def adopt(server: Any) -> None:
    """Wrap what this server and its handler class override, and what only their library has."""
    handler = code.handler_class(server)
    if handler is None:
        patches.wrap(socketserver.StreamRequestHandler, _SETUP)
    else:
        _adopt_handler(handler)
    werkzeug.adopt(server)
    wsgiref.adopt()
    flask.adopt()


def _adopt_handler(handler: type) -> None:
    base = next(filter(_is_base, handler.__mro__), None)
    if base is not None:
        patches.wrap_definition(handler, _HANDLE, (base, *werkzeug.handlers()))
        for hook in HANDLER_HOOKS:
            patches.wrap_definition(handler, hook)


def _is_base(cls: type) -> bool:
    """Say whether a class is BaseHTTPRequestHandler.

    `python -m http.server` runs the module's code again as `__main__`, with classes of its own.
    """
    return cls is BaseHTTPRequestHandler or _is_copy(vars(cls).get("handle"))


def _is_copy(handle: Any) -> bool:
    return getattr(handle, "__code__", None) == _HANDLE_CODE


def _setup_began(handler: Any) -> None:
    if get_ident() in _serving:
        _adopt_handler(type(handler))


def _handle_began(handler: Any) -> tuple[Connection, Any] | None:
    connection = _serving.get(get_ident())
    if connection is None:
        return None
    stage = connection.stage
    if stage <= WAITING:
        now = connection.ready_ns = clock()
        if stage < WAITING:
            connection.stage = WAITING
            connection.marks += (kinds.HTTP_READY, now, None)
            streams.watch(connection, handler)
    return connection, handler


def _handle_ended(token: tuple[Connection, Any], result: Any, error: BaseException | None) -> None:
    connection, handler = token
    exchange = connection.exchange
    if exchange is None:
        return
    try:
        if not exchange.ended:
            if error is not None and not (connection.stream_failed and isinstance(error, OSError)):
                exchange.raised(type(error))
            connection.ready_ns = exchanges.end(connection, exchange, hub.output)
            connection.stage = WAITING
            if not getattr(handler, "close_connection", True):
                hub.hand_over(connection, names.IDLE, connection.ready_ns)
            # else the close comes at once, and its message takes these marks along
    finally:
        connection.exchange = exchange.headers = None
        if exchange.release is not None:
            exchange.release()
            exchange.release = None


def _parsed(handler: Any, result: Any, error: BaseException | None) -> None:
    connection = _serving.get(get_ident())
    if connection is None:
        return
    if connection.stage == WAITING and handler.raw_requestline:
        exchange = connection.first_byte(connection.ready_ns)  # it came with an earlier request
    elif connection.stage == HEAD and connection.exchange is not None:
        exchange = connection.exchange
        if exchange.head_ns:
            return
    else:
        return
    parsed = error is None and result
    command = getattr(handler, "command", None)
    if command is not None and (parsed or len(getattr(handler, "requestline", "").split()) >= 2):
        exchange.method, exchange.target = command, handler.path
        exchange.version = handler.request_version
    if type(handler.request) is not socket.socket and _is_tls(handler.request):
        exchange.scheme = "https"
    if not parsed or _is_refused(handler, command):
        exchange.refused = True
        return
    _head_parsed(connection, exchange, handler)


def _is_refused(handler: Any, command: Any) -> bool:
    """Say whether http.server's own handle() answers 501 itself: there is no such do_ method."""
    handle = type(handler).handle
    standard = handle is BaseHTTPRequestHandler.handle or _is_copy(handle)
    return standard and not hasattr(handler, f"do_{command}")


def _head_parsed(connection: Connection, exchange: Exchange, handler: Any) -> None:
    now = clock()
    headers = getattr(handler, "headers", None)
    if not isinstance(headers, Message):
        headers = _headers(headers)
    exchange.headers = headers
    exchange.request_line = handler.raw_requestline
    exchange.head_ns = now
    connection.stage = APP
    flask.adopt()
    output = hub.output
    if output is not None:
        app = connection.application = _application(handler)
        output.requests.begin(connection, exchange, headers, app)
    others = exchange.peer_instrumented or exchange.excluded
    told = None if others else (exchange.method, exchange.scheme)
    connection.marks += (kinds.HEAD_PARSED, now, told)
    if hub.post.in_child:
        hub.hand_over(connection, names.APP, now)


def _headers(headers: Any) -> Message:
    """Return the headers of a handler that parses them by itself and keeps them in anything."""
    found = Message()
    for name, value in headers.items() if isinstance(headers, Mapping) else ():
        if isinstance(name, str) and isinstance(value, str):
            found[name] = value
    return found


def _is_tls(sock: Any) -> bool:
    return hasattr(sock, "do_handshake")


def _application(handler: Any) -> Any:
    server = handler.server
    application = getattr(server, "app", None)
    if application is None and hasattr(server, "get_app"):
        application = server.get_app()
    return application


def _responds(handler: Any, status: Any) -> None:
    connection = _serving.get(get_ident())
    if connection is None or not isinstance(status, int):
        return
    exchange = connection.exchange
    if exchange is None:
        if connection.stage != WAITING:
            return
        exchange = connection.first_byte(connection.ready_ns)
    if status >= 200:
        exchange.status = int(status)
        exchange.final = True
        if not exchange.head_ns:
            exchange.refused = True


_HANDLE: Final = Hook("handle", _handle_began, _handle_ended)
"""For handlers with a loop of their own; the standard one only calls handle_one_request."""

_SETUP: Final = Hook("setup", _setup_began)
"""For servers that make their handlers in a way of their own: only an instance tells its class."""

HANDLER_HOOKS: Final = (
    Hook("handle_one_request", _handle_began, _handle_ended),
    Hook("parse_request", None, _parsed),
    Hook("send_response_only", _responds),
)


def install() -> None:
    """Patch the classes that every HTTP handler inherits from."""
    for hook in HANDLER_HOOKS:
        patches.wrap(BaseHTTPRequestHandler, hook)
