"""The end of a request: its span, and the marks that say so."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns as clock
from typing import TYPE_CHECKING, Any, Final

from tcpwatch.core import kinds
from tcpwatch.core.marks import Accepted, Marks
from tcpwatch.guard import guard
from tcpwatch.hub.connection import KEPT, Connection, Exchange

if TYPE_CHECKING:
    from tcpwatch.hub.output import Output


def end(
    connection: Connection, exchange: Exchange, output: Output | None, at_once: bool = False
) -> int:
    """End an exchange, whether its response is out or was cut off. Return when (ns).

    A thread that is late here meets the next connection's at the GIL. So what can be done later the
    worker does, who gets the exchange as it is; not so `at_once`, if its thread goes on with it.
    """
    exchange.ended = True
    marks = connection.marks
    if exchange.first_write_ns:
        marks += (kinds.LAST_WRITE, exchange.last_write_ns, None)
    if exchange.cut_short and exchange.version != "HTTP/0.9":
        # An HTTP/0.9 request has no other end than the client's FIN.
        marks += (kinds.READ_FAILED, clock(), "EOF")
    if not exchange.head_ns and exchange.status is None:
        # http.server drops a blank line without a word.
        now = clock()
        marks += (kinds.NO_REQUEST, now, True)
        return now
    if output is not None and (exchange.span is not None or exchange.refused):
        end_span(connection, exchange, output)
    now = clock()
    # Many may wait for the worker: of large ones, and of unseen ones, it gets the beginnings only.
    later = not at_once and 0 < exchange.received <= KEPT
    marks += (kinds.EXCHANGE_ENDED, now, exchange if later else exchange.freeze())
    return now


def end_span(connection: Connection, exchange: Exchange, output: Output) -> None:
    """End the span of an exchange; what goes wrong with it is counted, and goes no further."""
    try:
        output.requests.end(connection, exchange)
    except Exception as error:
        guard.caught("request span", error)


def frozen(marks: Marks) -> Marks:
    """Return marks as plain values, for another process."""
    return [_PLAIN[type(each)](each) if type(each) in _PLAIN else each for each in marks]


_PLAIN: Final[dict[type, Callable[[Any], tuple[Any, ...]]]] = {
    Exchange: Exchange.freeze,
    Accepted: tuple,
}
