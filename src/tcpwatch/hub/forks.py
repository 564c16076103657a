"""What a fork means: a child for one connection, or a process that is none of our business."""

from __future__ import annotations

import gc
import os
import threading
from threading import get_ident
from time import monotonic_ns as clock
from typing import TYPE_CHECKING

from tcpwatch import names
from tcpwatch.hub.connection import Connection
from tcpwatch.hub.relay import Message

if TYPE_CHECKING:
    from tcpwatch.hub.registry import Hub


def register(hub: Hub) -> None:
    """Hear of every fork; there is no taking this back, so a hub does it once."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            after_in_child=lambda: _in_child(hub), after_in_parent=lambda: _in_parent(hub)
        )


def make_ready() -> None:
    """This process is about to fork for the first time: leave its children no garbage to collect.

    They begin with its counts. What was imported lately brings the collector to the brink of a run
    through everything, and then each child makes it, and copies every page that it looks at: some
    ten milliseconds for a child that lives for one request.
    """
    if gc.isenabled():
        gc.collect()


def prepare(hub: Hub, connection: Connection) -> None:
    """The loop is about to fork for `connection`: its marks so far go ahead of the child's."""
    if hub.post.relay is None:
        hub.start_worker()
        hub.post.open_relay(lambda message: _flushed_in_vain(hub, message))
    hub.hand_over(connection, names.DISPATCH, connection.accepted_ns)


def _flushed_in_vain(hub: Hub, message: Message) -> bool:
    if message[0] != "flush_in_vain":
        return False
    hub.flush_in_vain_ns = clock()
    return True


def _in_parent(hub: Hub) -> None:
    connection = hub.serving.dispatching.get(get_ident())
    if connection is not None and not connection.handling:
        connection.forked = True


def _in_child(hub: Hub) -> None:
    hub.lock = threading.RLock()
    if not hub.active:  # but an uninstall() may be under way
        hub.post.disown()
        hub.forget()
        return
    connection = hub.serving.dispatching.get(get_ident())
    hub.clear_connections()
    if connection is None or connection.handling:
        # Somebody else's fork. If this process serves too, it starts as if just installed.
        hub.pid = hub.observed_pid = os.getpid()
        hub.opening.lasts = False  # the thread that opened is not here
        hub.post.disown()
        hub.forget()
        hub.loops.forget_retired()
        return
    hub.post.become_child()
    connection.pid = os.getpid()
    connection.marks = []
    hub.adopt_connection(connection)
