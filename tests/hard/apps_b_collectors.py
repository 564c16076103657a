"""Collectors that do what collectors should not: each gives the endpoint to send to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tcpwatch.view.receiver import Receiver
from tcpwatch.view.recording import Recording

SLOW = 1.0
"""Seconds until the slow one answers."""

_GARBAGE = b"\x00\xff\x1b[2J<html>"


@contextmanager
def refusing() -> Iterator[str]:
    """Nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


def refusing_grpc() -> AbstractContextManager[str]:
    """Nobody listens, and gRPC is to be spoken; see the environment of this name."""
    return refusing()


@contextmanager
def silent() -> Iterator[str]:
    """Connections come about, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Read each export and answer it in this way."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def slow() -> AbstractContextManager[str]:
    """Take what comes, after a while."""
    over = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        over.wait(SLOW)
        handler.send_response(200)
        handler.end_headers()

    return answering(answer)


def _says(status: int, *header: str) -> AbstractContextManager[str]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        if header:
            handler.send_header(*header)
        handler.end_headers()

    return answering(answer)


def too_many() -> AbstractContextManager[str]:
    """Ask to come back in a second."""
    return _says(429, "Retry-After", "1")


def unavailable() -> AbstractContextManager[str]:
    """Be out of order."""
    return _says(503)


def forbidding() -> AbstractContextManager[str]:
    """Know nobody."""
    return _says(401)


def garbage() -> AbstractContextManager[str]:
    """Answer what is no HTTP."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(_GARBAGE)
        handler.close_connection = True

    return answering(answer)


@contextmanager
def nameless() -> Iterator[str]:
    """Have a name that no resolver knows; see the preparation of this name."""
    yield "http://collector.invalid:4318"


@contextmanager
def vanishing(leave: threading.Event) -> Iterator[str]:
    """Take everything until told to leave."""
    receiver = Receiver(Recording())

    def leaving() -> None:
        leave.wait()
        receiver.close()

    thread = threading.Thread(target=leaving)
    thread.start()
    try:
        yield receiver.endpoint
    finally:
        leave.set()
        thread.join()
