"""One connection in `socketserver`, from `get_request` to `close_request`.

Overrides that call super() pass two wrappers; the first to see a connection in a phase speaks, the
second finds nothing to say.
"""

from __future__ import annotations

import errno
import os
import ssl
import sys
from threading import get_ident
from time import monotonic_ns as clock
from typing import Any, Final

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.core.marks import Ending
from tcpwatch.hub import forks, hub
from tcpwatch.hub.connection import RAW, Connection
from tcpwatch.hub.loop import Loop
from tcpwatch.patches import streams
from tcpwatch.patches.wrap import Hook, ours

ours(__file__)

_loops, _open = hub.loops.by_server, hub.by_socket
"""The hub's own tables: by id() of the server, by id() of the socket."""

_serving, _dispatching = hub.serving.by_thread, hub.serving.dispatching
"""By thread."""

_CLOSING: Final = 9
"""The stage of a connection whose socket is being closed."""


# -- accept --------------------------------------------------------------------------------------


def _get_began(server: Any) -> Loop | None:
    loop = _loops.get(id(server))
    if loop is None or loop.getting:
        return None
    if loop.thread_id != get_ident() or not (loop.running or loop.spinning):
        return None
    loop.getting = True
    return loop


def _get_ended(loop: Loop, result: Any, error: BaseException | None) -> None:
    loop.getting = False
    if error is not None:
        if not (loop.spinning and loop.failed_again(error)):
            _accept_failed(loop, error)
        return
    now = clock()
    if loop.failures:
        loop.recovered(now)
    sock, peer = result
    connection = loop.accepting
    if connection is None:
        connection = hub.accept(loop, sock, peer, now)
    else:
        loop.accepting = None
    if connection is not None:
        hub.bind(connection, sock)
        loop.turn(names.LOOP_DISPATCH, clock(), connection.key)


def _accept_failed(loop: Loop, error: BaseException) -> None:
    connection, loop.accepting = loop.accepting, None
    loop.failed(error, _errno_name(error), in_kernel=connection is None)
    if hub.output is None:
        hub.open(loop.listener.forking)
    if connection is None or connection.over:
        return
    now, name = clock(), type(error).__name__
    if isinstance(error, ssl.SSLError):
        # A reset before the handshake: ssl says so with an error of its own.
        connection.marks += (kinds.TLS_BEGAN, now, None, kinds.TLS_ENDED, now, (name, None))
    else:
        left = isinstance(error, ConnectionError)
        connection.marks += (kinds.HANDLER_ENDED, now, (name, left))
    hub.end(connection, kinds.CLOSED, None)


def _errno_name(error: BaseException) -> str:
    """Return what `tcpwatch.accept.errors` calls an error: EMFILE, SSLError, TimeoutError."""
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno:
        return errno.errorcode.get(error.errno, type(error).__name__)
    return type(error).__name__


def _verified(connection: Connection, result: Any, error: BaseException | None) -> None:
    if error is not None:  # it leaves the loop, and nobody closes the connection
        connection.marks += (kinds.HANDLER_ENDED, clock(), (type(error).__name__, False))
    elif not result:
        connection.marks += (kinds.REJECTED, clock(), True)


def _verify_began(server: Any, request: Any) -> Connection | None:
    return _open.get(id(request))


# -- dispatch ------------------------------------------------------------------------------------


def _process_began(server: Any, request: Any) -> tuple[Connection, Any, set[int]] | None:
    connection = _open.get(id(request))
    here = get_ident()
    if connection is None or _dispatching.get(here) is connection:
        return None
    _dispatching[here] = connection
    loop = connection.loop
    if not loop.listener.forking:
        return connection, server, _NO_CHILDREN
    try:
        forks.prepare(hub, connection)
    except (OSError, RuntimeError) as error:  # no descriptor or thread; the next fork tries again
        hub.opening.put_off(hub, error)
    return connection, server, set(getattr(server, "active_children", None) or ())


def _process_ended(
    token: tuple[Connection, Any, set[int]], result: Any, error: BaseException | None
) -> None:
    connection, server, before = token
    _dispatching.pop(get_ident(), None)
    if connection.forked and not hub.post.in_child:
        for pid in set(getattr(server, "active_children", None) or ()) - before:
            hub.post.send_of_child(("forked", connection.key, pid))
        hub.forget_connection(connection)


def _finish_began(server: Any, request: Any) -> tuple[Connection, Connection | None] | None:
    connection = _open.get(id(request))
    if connection is None or connection.handling:
        return None
    now, here, loop = clock(), get_ident(), connection.loop
    in_child = hub.post.in_child
    connection.handling = True
    connection.handler_ns = now
    if in_child:
        dispatch = names.PROCESS
    elif here != loop.thread_id:
        dispatch = names.THREAD
    else:
        dispatch = names.INLINE
        loop.turn(names.LOOP_INLINE, now, connection.key)
    connection.dispatch = dispatch
    connection.marks += (kinds.HANDLER_BEGAN, now, dispatch)
    outer = _serving.get(here)
    _serving[here] = connection
    if in_child:
        hub.hand_over(connection, names.HANDLE, now)
    return connection, outer


def _finish_ended(
    token: tuple[Connection, Connection | None], result: Any, error: BaseException | None
) -> None:
    connection, outer = token
    if outer is None or outer.over:
        _serving.pop(get_ident(), None)
    else:  # a handler has served somebody itself, and goes on
        _serving[get_ident()] = outer
    connection.handling = False
    if connection.handled_by is not None:
        streams.unwatch(connection)
    if connection.over:
        return
    if error is None:
        connection.marks += (kinds.HANDLER_ENDED, clock(), None)
        return
    left = isinstance(error, ConnectionError) and (
        connection.stream_failed or connection.stage == RAW
    )
    connection.marks += (kinds.HANDLER_ENDED, clock(), (type(error).__name__, left))


# -- close ---------------------------------------------------------------------------------------


def _close_began(server: Any, request: Any) -> tuple[Connection, Ending | None] | None:
    connection = _open.get(id(request))
    if connection is None or connection.stage == _CLOSING:
        return None
    if connection.forked and not hub.post.in_child:
        return None  # the parent closes its copy; the connection lives on in the child
    connection.stage = _CLOSING
    if connection.dispatch is None:
        _not_dispatched(connection, sys.exc_info()[1])
    return connection, hub.kernel.ending(request)


def _close_ended(
    token: tuple[Connection, Ending | None], result: Any, error: BaseException | None
) -> None:
    connection, ending = token
    if connection.dispatch == names.INLINE:
        note_blocking(connection, names.LOOP_INLINE)
    hub.end(connection, kinds.CLOSED, ending)
    output = hub.output
    if hub.post.in_child and output is not None and not output.child_flush():
        hub.post.send(("flush_in_vain", os.getpid()))


def _not_dispatched(connection: Connection, error: BaseException | None) -> None:
    """Note why a connection is closed before it had a handler.

    process_request() has failed (no thread can be started): `socketserver` closes the connection
    while it handles that exception.
    """
    if error is not None:
        connection.marks += (kinds.HANDLER_ENDED, clock(), (type(error).__name__, False))


def note_blocking(connection: Connection, activity: str) -> None:
    """Mark a connection whose loop activity was long and ends with others in the queue."""
    loop, now = connection.loop, clock()
    seconds = (now - loop.since_ns) / 1e9
    if loop.connection != connection.key or seconds < hub.settings.blame_min:
        return
    loop.read_queue(now)
    if loop.depth:
        connection.marks += (kinds.BLOCKING, now, (activity, seconds, loop.depth))


CONNECTION_HOOKS: Final = (
    Hook("get_request", _get_began, _get_ended),
    Hook("verify_request", _verify_began, _verified),
    Hook("process_request", _process_began, _process_ended),
    Hook("finish_request", _finish_began, _finish_ended),
    Hook("shutdown_request", _close_began, _close_ended),
)
"""In the order in which a server calls them."""

CLOSING_HOOK: Final = Hook("close_request", _close_began, _close_ended)
"""For servers that may call it themselves; the standard library's do so in shutdown_request."""

_NO_CHILDREN: Final[set[int]] = set()
