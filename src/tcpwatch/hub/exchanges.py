"""The end of a request: its span, and the marks that say so."""

from __future__ import annotations

from time import monotonic_ns as clock
from typing import TYPE_CHECKING

from tcpwatch.core import kinds
from tcpwatch.guard import guard
from tcpwatch.hub.connection import Connection, Exchange

if TYPE_CHECKING:
    from tcpwatch.hub.output import Output


def end(connection: Connection, exchange: Exchange, output: Output | None) -> int:
    """End an exchange, whether its response is out or was cut off. Return when (ns)."""
    exchange.ended = True
    if exchange.first_write_ns:
        connection.marks.extend((kinds.LAST_WRITE, exchange.last_write_ns, None))
    if exchange.cut_short and exchange.version != "HTTP/0.9":
        # An HTTP/0.9 request has no other end than the client's FIN.
        connection.marks.extend((kinds.READ_FAILED, clock(), "EOF"))
    if not exchange.head_ns and exchange.status is None:
        # http.server drops a blank line without a word.
        now = clock()
        connection.marks.extend((kinds.NO_REQUEST, now, True))
        return now
    span = None
    try:
        if output is not None:
            span = output.requests.end(connection, exchange)
    except Exception as error:
        guard.caught("request span", error)
    frozen = exchange.freeze(span)
    now = clock()
    connection.marks.extend((kinds.EXCHANGE_ENDED, now, frozen))
    return now
