"""What a handler reads and writes, seen by instance attributes on its own `rfile.raw` and `wfile`.

Types and identities stay as they were, nothing is read or written by us, and when the handler is
done the attributes are gone.
"""

from __future__ import annotations

import socketserver
from collections.abc import Callable
from time import monotonic_ns as clock
from typing import Any, Final

from tcpwatch.core.marks import Kind
from tcpwatch.hub.connection import APP, HEAD, RESPONDING, WAITING, Connection
from tcpwatch.patches.wrap import hide, ours

ours(__file__)

_READING: Final = (HEAD, APP)

_UNBUFFERED: Final = getattr(socketserver, "_SocketWriter", ())
"""A buffered wfile hands its bytes over when it likes; then there is no `respond` to be seen."""


def watch(connection: Connection, handler: Any) -> None:
    """Watch the streams of a handler whose setup() is done."""
    rfile, wfile = getattr(handler, "rfile", None), getattr(handler, "wfile", None)
    raw = getattr(rfile, "raw", rfile)
    watched: list[tuple[Any, str, Any]] = []
    if raw is not None and hasattr(raw, "readinto") and hasattr(raw, "__dict__"):
        reader = raw.readinto = _reader(connection, raw.readinto)
        watched.append((raw, "readinto", reader))
    if isinstance(wfile, _UNBUFFERED):
        writer = wfile.write = _writer(connection, wfile.write)
        watched.append((wfile, "write", writer))
    connection.handled_by = watched


def unwatch(connection: Connection) -> None:
    """Take our attributes off again, unless somebody has put theirs in their place."""
    watched, connection.handled_by = connection.handled_by, None
    for stream, name, ours_there in watched or ():
        if vars(stream).get(name) is ours_there:
            delattr(stream, name)


def _reader(connection: Connection, readinto: Callable[[Any], int]) -> Callable[[Any], int]:
    def watched_readinto(buffer: Any) -> int:
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

    return watched_readinto


def _received(connection: Connection, count: int, began: int) -> None:
    exchange = connection.exchange
    if exchange is None or count is None:
        return
    if began:
        exchange.body_wait_ns += clock() - began
    exchange.received += count
    if not count:
        missing = exchange.head_bytes + exchange.content_length > exchange.received
        exchange.cut_short = not exchange.head_ns or missing


def _writer(connection: Connection, write: Callable[[Any], int]) -> Callable[[Any], int]:
    def watched_write(data: Any) -> int:
        exchange = connection.exchange
        if exchange is not None and exchange.final and connection.stage < RESPONDING:
            now = clock()
            connection.stage = RESPONDING
            exchange.first_write_ns = now
            connection.marks.append((Kind.FIRST_WRITE, now))
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

    return watched_write
