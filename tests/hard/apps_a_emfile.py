"""A server that is out of descriptors: what a turn of its loop costs bare and watched, as JSON.

A client waits in the queue, so `select` returns at once, and `accept` fails each time. The
arguments: how many rounds of how many turns.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import socketserver
import sys
from collections import Counter
from time import thread_time_ns
from typing import Any

from opentelemetry.sdk.trace.sampling import ALWAYS_ON

import tcpwatch
from tests.hard.apps_a_watch import Watch

ROUNDS, TURNS = (int(word) for word in sys.argv[1:3])


class Silent(socketserver.BaseRequestHandler):
    """Does nothing with a client."""


class Spinning(socketserver.TCPServer):
    """Ends its loop after so many turns."""

    turns = 0

    def service_actions(self) -> None:
        """Count a turn."""
        self.turns += 1
        if not self.turns % TURNS:
            vars(self)["_BaseServer__shutdown_request"] = True


def spin(server: Spinning) -> float:
    """Accept one client, then fail to accept another; return what CPU time a turn took (ns)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    address: Any = server.server_address
    with socket.create_connection(address):
        server.handle_request()
    with socket.create_connection(address):
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        began = thread_time_ns()
        server.serve_forever()
        took = (thread_time_ns() - began) / TURNS
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        server.handle_request()
    return took


def main() -> None:
    """Take turns: a round bare, a round watched."""
    watch = Watch(ALWAYS_ON)
    bare, watched = [], []
    errors: Counter[str] = Counter()
    with Spinning(("127.0.0.1", 0), Silent) as server:
        for _ in range(ROUNDS):
            bare.append(spin(server))
            tcpwatch.install(tracer_provider=watch.tracers, meter_provider=watch.meters)
            watched.append(spin(server))
            errors = Counter(watch.metric("tcpwatch.accept.errors", "error.type"))
            tcpwatch.uninstall()
    told = {
        "turns": TURNS * ROUNDS,
        "bare_ns": min(bare),
        "watched_ns": min(watched),
        "errors": dict(errors),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
