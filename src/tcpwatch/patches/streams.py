"""What a handler reads and writes, seen by instance attributes on its own `rfile.raw` and `wfile`.

Types and identities stay as they were, nothing is read or written by us, and when the handler is
done the attributes are gone.
"""

from __future__ import annotations

import socket
import socketserver
from collections.abc import Callable
from functools import partial
from time import monotonic_ns as clock
from typing import Any, Final

from tcpwatch.core import kinds
from tcpwatch.hub.connection import APP, HEAD, RESPONDING, WAITING, Connection, Exchange
from tcpwatch.patches.ordinary import quick
from tcpwatch.patches.wrap import hide, ours

ours(__file__)

_READING: Final = (HEAD, APP)

_DIGITS: Final = 18
_ENDLESS: Final = 1 << 62
"""A body whose end is not in a Content-Length that we would read: chunked, or absurd."""

_BODIES: Final = frozenset({"content-length", "transfer-encoding"})

_RAW: Final[type] = socket.SocketIO
_UNBUFFERED: Final = getattr(socketserver, "_SocketWriter", ())
"""A buffered wfile hands its bytes over when it likes; then there is no `respond` to be seen."""


def watch(connection: Connection, handler: Any) -> None:
    """Watch the streams of a handler whose setup() is done."""
    rfile, wfile = getattr(handler, "rfile", None), getattr(handler, "wfile", None)
    raw: Any = getattr(rfile, "raw", rfile)
    reader = writer = None
    if isinstance(raw, _RAW) or (hasattr(raw, "readinto") and hasattr(raw, "__dict__")):
        reader = raw.readinto = partial(quick(watched_readinto), connection, raw.readinto)
    if isinstance(wfile, _UNBUFFERED):
        writer = wfile.write = partial(quick(watched_write), connection, wfile.write)
    connection.handled_by = raw, reader, wfile, writer


def unwatch(connection: Connection) -> None:
    """Take our attributes off again, unless somebody has put theirs in their place."""
    if connection.handled_by is None:
        return
    raw, reader, wfile, writer = connection.handled_by
    connection.handled_by = None
    if reader is not None and raw.__dict__.get("readinto") is reader:
        del raw.readinto
    if writer is not None and wfile.__dict__.get("write") is writer:
        del wfile.write


def watched_readinto(connection: Connection, readinto: Callable[[Any], int], buffer: Any) -> int:
    """Read, and see what comes; the name is one that a stall's stack leaves out."""
    began = clock() if connection.stage == APP else 0
    try:
        count = readinto(buffer)
    except BaseException as error:
        hide(error)
        if isinstance(error, OSError):
            connection.failed(error)
        raise
    stage = connection.stage
    if stage == WAITING:
        if count:
            connection.first_byte(clock()).received = count
    elif stage in _READING:
        _received(connection, count, began)
    return count


def _received(connection: Connection, count: int, began: int) -> None:
    exchange = connection.exchange
    if exchange is None or count is None:
        return
    if began:
        exchange.body_wait_ns += clock() - began
    exchange.received += count
    if not count:
        exchange.cut_short = not exchange.head_ns or _promised(exchange) > exchange.received


def _promised(exchange: Exchange) -> int:
    """Return how many bytes the request has, by its own head."""
    size = len(exchange.request_line) + 2
    fields: dict[str, str] = {}
    for name, value in exchange.headers.raw_items():
        fields.setdefault(name.lower(), value)
        size += len(name) + len(value) + 4
    if _BODIES.isdisjoint(fields):
        return size
    length = fields.get("content-length", "")
    return size + (int(length) if length.isdecimal() and len(length) <= _DIGITS else _ENDLESS)


def watched_write(connection: Connection, write: Callable[[Any], int], data: Any) -> int:
    """Write, and see when; the name is one that a stall's stack leaves out."""
    exchange = connection.exchange
    if exchange is not None and exchange.final and connection.stage < RESPONDING:
        now = clock()
        connection.stage = RESPONDING
        exchange.first_write_ns = now
        connection.marks += (kinds.FIRST_WRITE, now, None)
    try:
        count = write(data)
    except BaseException as error:
        hide(error)
        if isinstance(error, OSError):
            connection.failed(error)
        raise
    if exchange is not None:
        exchange.last_write_ns = clock()
    return count
