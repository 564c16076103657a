"""The server that is probed, and clients that behave."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, request
from werkzeug import serving

from tcpwatch.cli import anonymous_tls

HOLD = 0.4
"""Seconds for which a troublesome client, or a slow view, is troublesome."""
LIMIT = 10.0
LARGE = 8 * 1024 * 1024

app = Flask("probe")


@app.get("/")
def fast() -> str:
    """Answer at once."""
    return "done\n"


@app.get("/slow")
def slow() -> str:
    """Answer after a while."""
    time.sleep(HOLD)
    return "done\n"


@app.get("/large")
def large() -> Response:
    """Answer with more than the kernel buffers."""
    return Response(bytes(LARGE), mimetype="application/octet-stream")


@app.post("/upload")
def upload() -> str:
    """Read the body, then answer."""
    return f"{len(request.get_data())} bytes\n"


@contextlib.contextmanager
def served(*, tls: bool = False, backlog: int = 0, **options: Any) -> Iterator[int]:
    """Serve on a free port, with werkzeug's `options`, until the block ends; yield the port."""
    context = anonymous_tls.context(ssl.PROTOCOL_TLS_SERVER) if tls else None
    server = serving.make_server("127.0.0.1", 0, app, ssl_context=context, **options)
    if backlog:
        server.socket.listen(backlog)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join(LIMIT)
        server.server_close()


def connected(port: int, buffer: int = 0) -> socket.socket:
    """Connect; a small receive buffer makes a slow reader felt."""
    plain = socket.socket()
    plain.settimeout(LIMIT)
    if buffer:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    plain.connect(("127.0.0.1", port))
    return plain


def read_all(plain: socket.socket) -> None:
    """Read until the server closes."""
    while plain.recv(1 << 16):
        pass


def asks(port: int, path: str = "/") -> int:
    """Ask, read the answer until the server closes, and return the client's own port."""
    with connected(port) as plain:
        plain.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        read_all(plain)
        return own_port(plain)


def own_port(plain: socket.socket) -> int:
    """Return the port of this end."""
    return int(plain.getsockname()[1])
