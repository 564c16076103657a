"""Views that end the process they run in, or make others."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import socketserver
import threading
import time
from typing import Any

import flask

import tcpwatch

CHILDREN = 20
PATIENCE = 2


def add(app: flask.Flask) -> None:
    """Add them to an application."""
    app.add_url_rule("/exit", "exit", lambda: os._exit(7))
    app.add_url_rule("/fork", "fork", fork)
    app.add_url_rule("/fork/locked", "locked", fork_at_a_bad_moment)
    app.add_url_rule("/multiprocessing/<method>", "multiprocessing", by_multiprocessing)
    app.add_url_rule("/terminated", "terminated", terminated)
    app.add_url_rule("/own", "own", own)
    app.add_url_rule("/echo", "echo", echo, methods=["POST"])


def echo() -> bytes:
    """Answer what came."""
    return flask.request.get_data()


def own() -> dict[str, object]:
    """Return what the process that serves this request says of itself."""
    return {"open": in_child(), "flushed": tcpwatch.flush()}


def fork() -> dict[str, object]:
    """Fork, let the child look at its connections and end, and return its status."""
    child = os.fork()
    if child == 0:
        os._exit(in_child())
    _, status = os.waitpid(child, 0)
    return {"status": os.waitstatus_to_exitcode(status)}


def fork_at_a_bad_moment() -> dict[str, object]:
    """Fork while another thread holds the hub's lock: in the child nobody will ever let go."""
    from tcpwatch.hub import hub

    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with hub.lock:
            held.set()
            over.wait(PATIENCE)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    child = os.fork()
    if child == 0:
        os._exit(in_child_with_a_server())
    ended, _, _ = select.select((os.pidfd_open(child),), (), (), PATIENCE)
    over.set()
    holder.join()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return {"ended": bool(ended)}


def in_child() -> int:
    """Return how many connections a process sees that has accepted none."""
    return len(tcpwatch.connections())


def in_child_with_a_server() -> int:
    """Begin to serve, as a worker of a preforking server does; return how many it sees."""
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        server.timeout = 0
        server.handle_request()
    return in_child()


def by_multiprocessing(method: str) -> dict[str, object]:
    """Ask a child of a pool what it sees."""
    context: Any = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        return {"found": pool.apply(in_child)}


def terminated() -> dict[str, object]:
    """Terminate children as soon as they are there, and return their statuses."""
    children = []
    for _ in range(CHILDREN):
        child = os.fork()
        if child == 0:
            time.sleep(1)
            os._exit(0)
        os.kill(child, signal.SIGTERM)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    return {"ended": [os.waitstatus_to_exitcode(status) for status in statuses]}
