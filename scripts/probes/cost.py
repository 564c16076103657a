"""What a connection costs: system calls and threads."""

from __future__ import annotations

import fcntl
import socket
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from werkzeug import serving

import tcpwatch
from probes.sample import app, asks

ROUNDS = 50

_CALLS = {
    (socket.IPPROTO_TCP, getattr(socket, "TCP_INFO", 11)): "getsockopt(TCP_INFO)",
    (socket.SOL_SOCKET, 57): "getsockopt(SO_COOKIE)",
}


def cost() -> dict[str, Any]:
    """Return the system calls that tcpwatch adds to a traced connection, and its threads."""
    calls: Counter[str] = Counter()
    _count(calls, socket.socket, "getsockopt", lambda name, *_: _CALLS.get(name, "getsockopt"))
    _count(calls, socket.socket, "getsockname", lambda *_: "getsockname")
    _count(calls, fcntl, "ioctl", lambda *_: "ioctl(SIOCOUTQ)")
    bare = _calls_per_connection(calls)
    before = {thread.name for thread in threading.enumerate()}
    tcpwatch.install(tracer_provider=TracerProvider())
    watched = _calls_per_connection(calls)
    ours = sorted(
        thread.name
        for thread in threading.enumerate()
        if thread.name not in before and thread.name.startswith("tcpwatch")
    )
    added = {call: watched[call] - bare.get(call, 0) for call in sorted(watched)}
    return {"calls": {call: often for call, often in added.items() if often}, "threads": ours}


def _count(calls: Counter[str], owner: Any, method: str, label: Callable[..., str]) -> None:
    original = getattr(owner, method)

    def counted(*args: Any) -> Any:
        calls[label(args[1:3])] += 1
        return original(*args)

    setattr(owner, method, counted)


def _calls_per_connection(calls: Counter[str]) -> dict[str, int]:
    server = serving.make_server("127.0.0.1", 0, app, threaded=True)
    # A long poll interval: each turn of an idle loop reads its queue too.
    threading.Thread(target=server.serve_forever, args=(60,), daemon=True).start()
    asks(server.port)
    calls.clear()
    for _ in range(ROUNDS):
        asks(server.port)
    return {call: round(count / ROUNDS) for call, count in calls.items()}
