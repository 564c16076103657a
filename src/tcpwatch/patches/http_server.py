"""Into `http.server`: the requests on a connection, those that it refuses itself included.

Any handler derived from BaseHTTPRequestHandler is covered, werkzeug's and wsgiref's too; what only
they do is in files of their own.
"""

from __future__ import annotations

import socketserver
from http.server import BaseHTTPRequestHandler
from time import monotonic_ns as clock
from typing import Any, Final

from tcpwatch import names
from tcpwatch.core.marks import Kind
from tcpwatch.guard import guard
from tcpwatch.hub import hub
from tcpwatch.hub.connection import APP, HEAD, WAITING, Connection, Exchange
from tcpwatch.patches import code, flask, streams, werkzeug, wsgiref
from tcpwatch.patches.wrap import Hook, ours, patches

ours(__file__)

_DIGITS: Final = 18
_ENDLESS: Final = 1 << 62
"""A body whose end is not in a Content-Length that we would read: chunked, or absurd."""

_BODIES: Final = frozenset({"content-length", "transfer-encoding"})


def adopt(server: Any) -> None:
    """Wrap what this server and its handler class override, and what only their library has."""
    handler = code.handler_class(server)
    if handler is not None and issubclass(handler, BaseHTTPRequestHandler):
        delegating = (BaseHTTPRequestHandler, *werkzeug.handlers())
        patches.wrap_definition(handler, _HANDLE, delegating)
        for hook in HANDLER_HOOKS:
            patches.wrap_definition(handler, hook)
    werkzeug.adopt(server)
    wsgiref.adopt()
    flask.adopt()


def _setup_ended(token: tuple[Connection, Any], result: Any, error: BaseException | None) -> None:
    connection, handler = token
    if error is None and connection.stage < WAITING:
        _ready(connection, handler)


def _setup_began(handler: Any, *args: Any, **kwargs: Any) -> tuple[Connection, Any] | None:
    connection = hub.serving.connection
    if connection is None or not isinstance(handler, BaseHTTPRequestHandler):
        return None
    return connection, handler


def _ready(connection: Connection, handler: Any) -> None:
    now = clock()
    streams.watch(connection, handler)
    connection.stage = WAITING
    connection.ready_ns = now
    connection.marks.append((Kind.HTTP_READY, now))


def _handle_began(handler: Any, *args: Any, **kwargs: Any) -> Connection | None:
    connection = hub.serving.connection
    if connection is None:
        return None
    if connection.stage < WAITING:
        _ready(connection, handler)
    elif connection.stage == WAITING:
        connection.ready_ns = clock()
    return connection


def _handle_ended(connection: Connection, result: Any, error: BaseException | None) -> None:
    exchange = connection.exchange
    if exchange is None:
        return
    if not exchange.ended:
        _end(connection, exchange, error)
    connection.exchange = None
    if exchange.release is not None:
        exchange.release()


def _parse_began(handler: Any, *args: Any, **kwargs: Any) -> tuple[Connection, Any] | None:
    connection = hub.serving.connection
    if connection is None:
        return None
    if connection.stage == WAITING and handler.raw_requestline:
        connection.first_byte(connection.ready_ns)  # the bytes came with an earlier request's
    return connection, handler


def _parse_ended(token: tuple[Connection, Any], result: Any, error: BaseException | None) -> None:
    connection, handler = token
    exchange = connection.exchange
    if exchange is None or exchange.head_ns or connection.stage != HEAD:
        return
    words = getattr(handler, "requestline", "").split()
    if len(words) >= 2 and handler.command is not None:
        exchange.method, exchange.target = handler.command, handler.path
        exchange.version = handler.request_version
    exchange.scheme = "https" if _is_tls(handler.request) else "http"
    if error is not None or not result or _will_be_refused(handler):
        exchange.refused = True
        return
    _head_parsed(connection, exchange, handler)


def _head_parsed(connection: Connection, exchange: Exchange, handler: Any) -> None:
    now = clock()
    exchange.head_ns = now
    connection.stage = APP
    pairs = handler.headers.raw_items()
    headers: dict[str, str] = {}
    size = len(handler.raw_requestline) + 2
    for name, value in pairs:
        headers.setdefault(name.lower(), value)
        size += len(name) + len(value) + 4
    exchange.head_bytes = size
    if not _BODIES.isdisjoint(headers):
        length = headers.get("content-length", "")
        known = length.isdecimal() and len(length) <= _DIGITS
        exchange.content_length = int(length) if known else _ENDLESS
    exchange.host = headers.get("host")
    exchange.forwarded_host = headers.get("x-forwarded-host")
    exchange.forwarded_for = headers.get("x-forwarded-for")
    exchange.user_agent = headers.get("user-agent")
    flask.adopt()
    if hub.output is not None:
        app = connection.application = _application(handler)
        hub.output.requests.begin(connection, exchange, headers, app)
    if exchange.steps_back:
        connection.marks.append((Kind.HEAD_PARSED, now, None, None))
    else:
        connection.marks.append((Kind.HEAD_PARSED, now, exchange.method, exchange.scheme))
    if hub.post.in_child:
        hub.hand_over(connection, names.APP, now)


def _is_tls(sock: Any) -> bool:
    return hasattr(sock, "do_handshake")


def _will_be_refused(handler: Any) -> bool:
    """Say whether http.server will answer 501 itself: its own handle(), and no such do_ method."""
    return (
        not hasattr(handler, "do_" + handler.command)
        and code.owner(type(handler), "handle") is BaseHTTPRequestHandler
    )


def _application(handler: Any) -> Any:
    server = handler.server
    application = getattr(server, "app", None)
    if application is None and hasattr(server, "get_app"):
        application = server.get_app()
    return application


def _responds(handler: Any, status: Any, *args: Any, **kwargs: Any) -> None:
    connection = hub.serving.connection
    if connection is None or not isinstance(status, int):
        return
    exchange = connection.exchange
    if exchange is None and connection.stage == WAITING:
        exchange = connection.first_byte(connection.ready_ns)
    if exchange is not None and status >= 200:
        exchange.status = int(status)
        exchange.final = True
        exchange.refused = exchange.refused or not exchange.head_ns


def _end(connection: Connection, exchange: Exchange, error: BaseException | None) -> None:
    exchange.ended = True
    if error is not None and not (connection.stream_failed and isinstance(error, OSError)):
        exchange.raised(type(error))
    if exchange.first_write_ns:
        connection.marks.append((Kind.LAST_WRITE, exchange.last_write_ns))
    if exchange.cut_short and exchange.version != "HTTP/0.9":
        # An HTTP/0.9 request has no other end than the client's FIN.
        connection.marks.append((Kind.READ_FAILED, clock(), "EOF"))
    frozen = None
    if exchange.head_ns or exchange.status is not None:
        span = None
        try:
            if hub.output is not None:
                span = hub.output.requests.end(connection, exchange)
        except Exception as internal:
            guard.caught("request span", internal)
        frozen = exchange.freeze(span)
    now = clock()
    connection.marks.append((Kind.EXCHANGE_ENDED, now, frozen))
    connection.stage = WAITING
    connection.ready_ns = now
    hub.hand_over(connection, names.IDLE, now)


_HANDLE: Final = Hook("handle", _handle_began, _handle_ended)
"""For handlers with a loop of their own; the standard one only calls handle_one_request."""

HANDLER_HOOKS: Final = (
    Hook("handle_one_request", _handle_began, _handle_ended),
    Hook("parse_request", _parse_began, _parse_ended),
    Hook("send_response_only", _responds),
)


def install() -> None:
    """Patch the classes that every HTTP handler inherits from."""
    patches.wrap(socketserver.StreamRequestHandler, Hook("setup", _setup_began, _setup_ended))
    for hook in HANDLER_HOOKS:
        patches.wrap(BaseHTTPRequestHandler, hook)
