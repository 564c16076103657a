"""Serves a request in the main thread and gets SIGTERM while that is inside the SDK's span lock."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import threading
from collections.abc import Iterator

from opentelemetry import trace

import tcpwatch
from tests.apps.handlers import Plain
from tests.live.wire import read_all, request_bytes


class Ending(list[str]):
    """Whoever looks into it ends the process; the SDK does, with the span's lock in its hand."""

    def __iter__(self) -> Iterator[str]:
        """Send the signal."""
        os.kill(os.getpid(), signal.SIGTERM)
        return super().__iter__()


class Ended(Plain):
    """Does not come to an answer."""

    def do_GET(self) -> None:
        """Set an attribute."""
        span = trace.get_current_span()
        assert span.is_recording()
        span.set_attribute("ending", Ending(["now"]))
        self.answer(b"the signal was not heard")


def main() -> None:
    """Serve one request."""
    tcpwatch.install()

    with http.server.HTTPServer(("127.0.0.1", 0), Ended) as server:

        def ask() -> None:
            with socket.create_connection(("127.0.0.1", server.server_port)) as client:
                client.sendall(request_bytes("/"))
                read_all(client)

        threading.Thread(target=ask, daemon=True).start()
        server.handle_request()


if __name__ == "__main__":
    main()
