"""Into `socket` and `ssl`: the kernel's accept apart from the TLS handshake.

`SSLSocket.accept` calls `socket.accept` and then shakes hands, both inside the accept loop; the
first is hooked for the listener of a watched loop only, the second for what it has accepted.
"""

from __future__ import annotations

import socket
import socketserver
import ssl
from threading import get_ident
from time import monotonic_ns as clock
from typing import Any

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.core.marks import Tls
from tcpwatch.hub import hub
from tcpwatch.hub.connection import Connection
from tcpwatch.hub.loop import Loop
from tcpwatch.patches import code
from tcpwatch.patches.connections import note_blocking
from tcpwatch.patches.wrap import Hook, ours, patches

ours(__file__)

_NOT_YET = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


def _accept_began(listener: Any) -> Loop | None:
    loop = hub.loops.by_socket.get(id(listener))
    if loop is None or not loop.getting or loop.spinning or loop.thread_id != get_ident():
        return None
    return loop


def _accept_ended(loop: Loop, result: Any, error: BaseException | None) -> None:
    if error is not None:
        return
    if loop.accepting is not None:
        _let_go(loop.accepting)
    loop.accepting = hub.accept(loop, result[0], result[1], clock())


def _let_go(connection: Connection) -> None:
    """End a connection that get_request() has accepted and not returned: it accepts another."""
    if not connection.tls_ns:  # else the handshake says how it ended
        connection.marks += (kinds.REJECTED, clock(), True)
    hub.end(connection, kinds.CLOSED, None)


def _handshake_began(sock: Any) -> Any:
    accepting = hub.loops.accepting_here()
    connection = accepting or hub.serving.connection
    if connection is None or not sock.server_side:
        return None
    now = clock()
    connection.marks += (kinds.TLS_BEGAN, now, None)
    if accepting is not None:
        connection.loop.turn(names.LOOP_TLS_HANDSHAKE, now, connection.key)
        hub.report(connection.loop)
        if hub.post.remote:
            hub.hand_over(connection, names.TLS_HANDSHAKE, now)
    return connection, sock, now


def _handshake_ended(
    token: tuple[Connection, Any, int], result: Any, error: BaseException | None
) -> None:
    connection, sock, began = token
    if isinstance(error, _NOT_YET):
        return
    now = clock()
    connection.tls_ns += now - began
    failure = type(error).__name__ if error is not None else None
    facts = tuple(_agreed(sock)) if error is None else None
    connection.marks += (kinds.TLS_ENDED, now, (failure, facts))
    if connection is connection.loop.accepting:
        note_blocking(connection, names.LOOP_TLS_HANDSHAKE)
        connection.loop.turn(names.LOOP_ACCEPT, now, connection.key)


def _agreed(sock: ssl.SSLSocket) -> Tls:
    cipher = sock.cipher()
    return Tls(sock.version(), cipher[0] if cipher else None, bool(sock.session_reused))


def adopt(server: Any) -> None:
    """Patch `socket.socket.accept` if this server's get_request() may do more than to accept.

    Otherwise the two end in the same moment, and one hook is enough.
    """
    plain = type(server.socket) is socket.socket
    if not plain or code.owner(type(server), "get_request") is not socketserver.TCPServer:
        patches.wrap(socket.socket, Hook("accept", _accept_began, _accept_ended))


def install() -> None:
    """Patch `ssl.SSLSocket.do_handshake`."""
    patches.wrap(ssl.SSLSocket, Hook("do_handshake", _handshake_began, _handshake_ended))
