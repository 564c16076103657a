"""What the kernel counted on a connection, in sentences."""

from __future__ import annotations

from tcpwatch import names
from tcpwatch.view.connections import Connection, number, text
from tcpwatch.view.sentences import count, duration

_SLOW_READER = 0.1
"""Seconds with a closed window from which the client is called slow."""


def facts(connection: Connection) -> list[str]:
    """Return what TCP and TLS say about a connection, the telling first; nothing where unknown."""
    said = (_reader(connection), _lost(connection), _undelivered(connection))
    more = (_encrypted(connection), _bytes(connection), _distance(connection), _queue(connection))
    return [words for words in (*said, *more) if words]


def _reader(connection: Connection) -> str:
    found = connection.span.attributes
    closed = number(found, names.TCP_RWND_LIMITED) or 0.0
    busy = number(found, names.TCP_BUSY) or 0.0
    if closed < _SLOW_READER:
        return ""
    return (
        f"The client read slowly: {duration(closed)} of the {duration(max(busy, closed))} that "
        "there was something to send, its receive window was closed."
    )


def _lost(connection: Connection) -> str:
    found = connection.span.attributes
    again = number(found, names.TCP_RETRANSMITS) or 0
    opening = number(found, names.TCP_SYNACK_RETRANSMITS) or 0
    said = []
    if again:
        said.append(f"{count(int(again), 'segment')} had to be sent again: the network lost some.")
    if opening:
        said.append(
            f"The answer to its first packet went out {count(int(opening), 'more time')}: the "
            "handshake was disturbed."
        )
    return " ".join(said)


def _undelivered(connection: Connection) -> str:
    left = number(connection.span.attributes, names.TCP_BYTES_UNACKED) or 0
    if not left:
        return ""
    return f"At the end {size(left)} were in flight or undelivered."


def _encrypted(connection: Connection) -> str:
    found = connection.span.attributes
    version = text(found, names.TLS_PROTOCOL_VERSION)
    if not version:
        return ""
    again = ", a session resumed" if found.get(names.TLS_RESUMED) is True else ""
    return f"Encrypted with TLS {version}, {text(found, names.TLS_CIPHER)}{again}."


def _bytes(connection: Connection) -> str:
    found = connection.span.attributes
    received = number(found, names.TCP_BYTES_RECEIVED)
    sent = number(found, names.TCP_BYTES_SENT)
    if received is None or sent is None:
        return ""
    return f"{size(received)} came from the client, {size(sent)} went to it."


def _distance(connection: Connection) -> str:
    found = connection.span.attributes
    trip = number(found, names.TCP_HANDSHAKE_RTT) or number(found, names.TCP_MIN_RTT)
    return f"The way to the client and back took {_fine(trip)}." if trip else ""


def _queue(connection: Connection) -> str:
    found = connection.span.attributes
    depth = number(found, names.ACCEPT_QUEUE_DEPTH)
    limit = number(found, names.ACCEPT_QUEUE_LIMIT)
    if depth is None:
        return ""
    room = f"; the queue has room for {limit:.0f}" if limit is not None else ""
    behind = "nobody" if not depth else count(int(depth), "other")
    return f"When it was accepted, {behind} waited behind it{room}."


def size(number_of_bytes: float) -> str:
    """Return bytes in the unit a person would use."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number_of_bytes >= factor:
            return f"{number_of_bytes / factor:.1f} {unit}"
    return count(int(number_of_bytes), "byte")


def _fine(seconds: float) -> str:
    return duration(seconds) if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"
