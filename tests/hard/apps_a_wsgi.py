"""A WSGI application with one path for each corner that a server has to get round."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from werkzeug.debug import DebuggedApplication
from werkzeug.serving import make_server

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], object]]
Body = Iterable[bytes]
TEXT = [("Content-Type", "text/plain")]
EVENTS = 121
EVENT_GAP = 0.5


class Iterating:
    """An iterable with a close(); what either of them raises is said by its arguments."""

    def __init__(self, chunks: int, *, in_iter: bool = False, in_close: bool = False) -> None:
        self.chunks, self.in_iter, self.in_close = chunks, in_iter, in_close

    def __iter__(self) -> Iterator[bytes]:
        """Return the chunks."""
        if self.in_iter:
            raise RuntimeError("in __iter__")
        return iter([b"chunk"] * self.chunks)

    def close(self) -> None:
        """Close, and say so where both servers' logs are compared."""
        sys.stderr.write("closed\n")
        if self.in_close:
            raise RuntimeError("in close")


def generator(environ: Environ, start: Start) -> Body:
    """Yield, also nothing, and begin the response only when iterated."""
    start("200 OK", TEXT)
    for number in range(3):
        yield b"%d" % number
        yield b""


def empty(environ: Environ, start: Start) -> Body:
    """Have nothing to iterate over."""
    start("200 OK", TEXT)
    return Iterating(0)


def never_iterated(environ: Environ, start: Start) -> Body:
    """Fail before the first chunk can be asked for."""
    start("200 OK", TEXT)
    return Iterating(1, in_iter=True)


def raises_midway(environ: Environ, start: Start) -> Body:
    """Fail after the first chunk."""
    start("200 OK", TEXT)
    yield b"chunk"
    raise RuntimeError("midway")


def close_raises(environ: Environ, start: Start) -> Body:
    """Fail when everything is sent."""
    start("200 OK", TEXT)
    return Iterating(2, in_close=True)


def raises(environ: Environ, start: Start) -> Body:
    """Fail before anything."""
    raise RuntimeError("at once")


def events(environ: Environ, start: Start) -> Body:
    """Send one event after another for a minute."""
    start("200 OK", [("Content-Type", "text/event-stream")])
    for number in range(EVENTS):
        time.sleep(EVENT_GAP)
        yield b"data: %d\n\n" % number


def endless(environ: Environ, start: Start) -> Body:
    """Stream for as long as somebody takes it."""
    start("200 OK", TEXT)
    try:
        while True:
            yield b"x" * 65536
    finally:
        sys.stderr.write("reader gone\n")


def no_content(environ: Environ, start: Start) -> Body:
    """Answer that there is nothing."""
    start("204 No Content", [])
    return []


def not_modified(environ: Environ, start: Start) -> Body:
    """Answer that nothing is new."""
    start("304 Not Modified", [("ETag", '"1"')])
    return []


def length(environ: Environ, start: Start) -> Body:
    """Answer with a length, which HEAD has too."""
    start("200 OK", [*TEXT, ("Content-Length", "5")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [b"hello"]


def write(environ: Environ, start: Start) -> Body:
    """Use the callable that start_response returns, and an iterable after it."""
    writer = start("200 OK", TEXT)
    writer(b"written ")
    writer(b"")
    return [b"and iterated"]


def twice(environ: Environ, start: Start) -> Body:
    """Begin two responses."""
    start("200 OK", TEXT)
    start("201 Created", TEXT)
    return [b"never"]


def never_started(environ: Environ, start: Start) -> Body:
    """Begin no response."""
    return [b"never"]


def replaced(environ: Environ, start: Start) -> Body:
    """Replace a response that nothing of was sent of, by exc_info."""
    start("200 OK", TEXT)
    try:
        int("found early")
    except ValueError:
        start("503 Service Unavailable", TEXT, sys.exc_info())
    return [b"sorry"]


def too_late(environ: Environ, start: Start) -> Body:
    """Try the same after the head was sent."""
    writer = start("200 OK", TEXT)
    writer(b"begun ")
    try:
        int("found late")
    except ValueError:
        start("500 Internal Server Error", TEXT, sys.exc_info())
    return [b"never"]


def text(environ: Environ, start: Start) -> Any:
    """Give what WSGI forbids."""
    start("200 OK", TEXT)
    return ["text"]


def hijack(environ: Environ, start: Start) -> Body:
    """Take the socket as flask-sock does: speak on it, then leave by a ConnectionError."""
    mine: socket.socket = environ["werkzeug.socket"]
    mine.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n")
    mine.sendall(mine.recv(100))
    raise ConnectionError


def unread(environ: Environ, start: Start) -> Body:
    """Leave the body where it is."""
    start("200 OK", TEXT)
    return [b"not read"]


def read(environ: Environ, start: Start) -> Body:
    """Read the body as far as it comes."""
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start("200 OK", TEXT)
    return [b"%d" % len(body)]


def leaves(environ: Environ, start: Start) -> Body:
    """Try to end the program."""
    sys.exit(4)


PATHS: dict[str, Callable[[Environ, Start], Any]] = {
    f"/{view.__name__}": view
    for view in (
        *(generator, empty, never_iterated, raises_midway, close_raises, raises, events, endless),
        *(no_content, not_modified, length, write, twice, never_started, replaced, too_late),
        *(text, hijack, unread, read, leaves),
    )
}


def app(environ: Environ, start: Start) -> Any:
    """Do what the path says."""
    return PATHS[environ["PATH_INFO"]](environ, start)


def corners(options: Any) -> Any:
    """Make werkzeug's server with the application."""
    return make_server("127.0.0.1", 0, app, threaded=options.dispatch == "thread")


def passthrough(options: Any) -> Any:
    """Make it so that errors pass through it."""
    threaded = options.dispatch == "thread"
    return make_server("127.0.0.1", 0, app, threaded=threaded, passthrough_errors=True)


def debugger(options: Any) -> Any:
    """Make it with werkzeug's debugger."""
    os.environ["WERKZEUG_DEBUG_PIN"] = "off"
    return make_server("127.0.0.1", 0, DebuggedApplication(app, evalex=True), threaded=True)
