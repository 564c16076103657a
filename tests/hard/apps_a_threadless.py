"""Serves three requests in a process that gets no thread; prints what was answered.

Its one argument: `bare` and `watched` never get one, `later` is watched and gets all but the first.
"""

from __future__ import annotations

import http.server
import socket
import sys
import threading
from typing import Any

import tcpwatch
from tests.apps.handlers import Plain
from tests.live.wire import read_all, request_bytes

START = threading.Thread.start


def refuse(thread: threading.Thread) -> None:
    """Do as Python does at the system's limit, which may be temporary."""
    if sys.argv[1] == "later":
        threading.Thread.start = START  # type: ignore[method-assign]
    raise RuntimeError("can't start new thread")


def main() -> None:
    """Serve."""
    start: Any = refuse
    threading.Thread.start = start  # type: ignore[method-assign]
    if sys.argv[1] != "bare":
        tcpwatch.install()
    with http.server.HTTPServer(("127.0.0.1", 0), Plain) as server:
        for turn in range(3):
            with socket.create_connection(("127.0.0.1", server.server_port)) as client:
                client.sendall(request_bytes(f"/{turn}"))
                server.handle_request()
                sys.stdout.write(read_all(client).decode().rpartition("\n")[2] + "\n")
    if sys.argv[1] == "later":
        sys.stdout.write(f"flushed: {tcpwatch.flush(5)}\n")


if __name__ == "__main__":
    main()
