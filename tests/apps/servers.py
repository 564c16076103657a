"""Servers by name: what the command line asks for becomes a server that listens."""

from __future__ import annotations

import argparse
import http.server
import logging
import os
import socket
import socketserver
import ssl
import wsgiref.simple_server
import xmlrpc.server
from collections.abc import Callable
from typing import Any

Bind = Any
"""An address as `bind` takes it."""

MIXINS: dict[str, tuple[type, ...]] = {
    "inline": (),
    "thread": (socketserver.ThreadingMixIn,),
    "process": (socketserver.ForkingMixIn,),
}
FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6, "unix": socket.AF_UNIX}
LOCAL: dict[str, Bind] = {"ipv4": ("127.0.0.1", 0), "ipv6": ("::1", 0)}


def _class(base: type, options: argparse.Namespace) -> type:
    """Return a server class of the wanted dispatch and family."""

    def server_bind(self: Any) -> None:
        """Bind as TCPServer does: HTTPServer takes an address apart that a Unix socket lacks."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", 0
        if hasattr(self, "setup_environ"):
            self.setup_environ()

    body: dict[str, Any] = {
        "address_family": FAMILIES[options.family],
        "daemon_threads": True,
        "request_queue_size": 128,
    }
    if options.family == "unix":
        body["server_bind"] = server_bind
    return type(base.__name__, (*MIXINS[options.dispatch], base), body)


def _bind(options: argparse.Namespace) -> Bind:
    return options.path or LOCAL[options.family]


def _tls(server: Any, options: argparse.Namespace) -> Any:
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def flask(options: argparse.Namespace) -> Any:
    """Make werkzeug's development server with the Flask application."""
    from werkzeug.serving import make_server

    from tests.apps.flask_app import make_app

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = make_app()
    if options.instrument == "flask":
        from opentelemetry.instrumentation.flask import FlaskInstrumentor

        FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]
    elif options.instrument == "wsgi":
        from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

        app.wsgi_app = OpenTelemetryMiddleware(app.wsgi_app)  # type: ignore[method-assign]
    return make_server(
        f"unix://{options.path}" if options.path else LOCAL[options.family][0],
        0,
        app,
        threaded=options.dispatch == "thread",
        processes=4 if options.dispatch == "process" else 1,
        ssl_context=(options.certificate, None) if options.certificate else None,
    )


def plain(options: argparse.Namespace) -> Any:
    """Make an `http.server` that keeps connections alive."""
    from tests.apps.handlers import Plain

    handler = type("Plain", (Plain,), {"timeout": options.timeout})
    return _tls(_class(http.server.HTTPServer, options)(_bind(options), handler), options)


def overriding(options: argparse.Namespace) -> Any:
    """Make one of the servers that override a method."""
    from tests.apps.handlers import Plain
    from tests.apps.overriding import OVERRIDING

    return OVERRIDING[options.override](_bind(options), Plain)


def wsgi(options: argparse.Namespace) -> Any:
    """Make `wsgiref`'s server; `/boom` raises, `/upload` tells how much it read."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == "/boom":
            raise RuntimeError("the application failed")
        body = environ["PATH_INFO"].encode()
        if environ["REQUEST_METHOD"] == "POST":
            body = str(len(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    class Quiet(wsgiref.simple_server.WSGIRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = _class(wsgiref.simple_server.WSGIServer, options)(_bind(options), Quiet)
    server.set_app(app)
    return server


def rpc(options: argparse.Namespace) -> Any:
    """Make an XML-RPC server with one function, `double`."""
    server = _class(xmlrpc.server.SimpleXMLRPCServer, options)(_bind(options), logRequests=False)
    server.register_function(lambda number: number * 2, "double")
    return server


def echo(options: argparse.Namespace) -> Any:
    """Make a bare `socketserver` that echoes lines."""
    from tests.apps.handlers import Echo

    return _tls(_class(socketserver.TCPServer, options)(_bind(options), Echo), options)


def datagram(options: argparse.Namespace) -> Any:
    """Make a UDP server: a TCPServer by inheritance only."""
    from tests.apps.handlers import DatagramEcho

    return _class(socketserver.UDPServer, options)(_bind(options), DatagramEcho)


KINDS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "flask": flask,
    "plain": plain,
    "overriding": overriding,
    "wsgiref": wsgi,
    "xmlrpc": rpc,
    "echo": echo,
    "udp": datagram,
}


def reachable(server: Any) -> Bind:
    """Return the address a client connects to."""
    name = server.socket.getsockname()
    return os.fsdecode(name) if isinstance(name, bytes) else name
