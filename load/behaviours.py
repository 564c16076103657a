"""What one client does in one turn; each is bounded in time and bytes.

Those that an HTTP client cannot do use a socket of their own and report to Locust themselves, as
type TCP. `visitor` is the Locust user.
"""

from __future__ import annotations

import itertools
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

SILENCE = 3.0
"""Seconds in which a client that connects ahead of time says nothing."""
TLS_SILENCE = 2.0
"""Seconds in which a client does not shake hands."""
HEAD_SECONDS = 4.0
"""In which a slow head comes."""
UPLOAD_SECONDS, UPLOAD_BYTES = 2.0, 65_536
PIECES = 20
"""A slow head or upload comes in so many."""
EXPORT_BYTES = 16 * 1024**2
"""More than the kernel's buffers of both sides hold."""
READ_AFTER = 3.0
"""Seconds until a slow reader begins to read."""
HOLD = 12.0
"""Seconds for which the first of a burst holds a server of one thread."""
PATIENCE = 30.0
"""Seconds after which a client gives up."""
AFTER_FAILURE = 1.0
"""Seconds until one who has failed tries again."""
_turns = itertools.count()


def steady(visitor: Any) -> None:
    """Ask for something that is answered at once."""
    visitor.ask("GET", *random.choice([("/", "/"), ("/item/1", "/item/<number>")]))  # noqa: S311


def shopper(visitor: Any) -> None:
    """Ask for little; one in eleven asks for a report that takes 0.4 s."""
    if random.random() < 1 / 11:  # noqa: S311
        visitor.ask("GET", "/report?s=0.4", "/report")
    else:
        visitor.ask("GET", "/item/1", "/item/<number>")


def failing(visitor: Any) -> None:
    """Ask for what the server fails to answer."""
    visitor.ask("GET", "/error", "/error")


def burst(visitor: Any) -> None:
    """The first holds the server, all others come meanwhile; each comes once."""
    if not visitor.came:
        visitor.came = True
        first = next(_turns) == 0
        path = f"/report?s={HOLD}" if first else "/"
        visitor.ask("GET", path, path.partition("?")[0], timeout=PATIENCE)
    visitor.sleep(1.0)


def idle(visitor: Any) -> None:
    """Connect ahead of time, as browsers do, and say nothing."""
    with connected(visitor, "preconnect"):
        visitor.sleep(SILENCE)


def slow_head(visitor: Any) -> None:
    """Send the head a few bytes at a time; take the answer."""
    with connected(visitor, "slow head") as connection:
        head = f"GET / HTTP/1.1\r\nHost: {host(visitor)[0]}\r\nX-Slow: {'x' * 100}\r\n\r\n"
        trickle(visitor, connection, head.encode(), HEAD_SECONDS)
        expect_answer(connection)


def slow_reader(visitor: Any) -> None:
    """Ask for much and begin to read late, with a small window."""
    with connected(visitor, "slow reader", window=4096) as connection:
        request = f"GET /export?n={EXPORT_BYTES} HTTP/1.1\r\nHost: {host(visitor)[0]}\r\n\r\n"
        connection.sendall(request.encode())
        visitor.sleep(READ_AFTER)
        expect_answer(connection)


def upload(visitor: Any) -> None:
    """Send a body piece by piece; take the answer."""
    with connected(visitor, "slow upload") as connection:
        connection.sendall(
            f"POST /upload HTTP/1.1\r\nHost: {host(visitor)[0]}\r\n"
            f"Content-Length: {UPLOAD_BYTES}\r\n\r\n".encode()
        )
        trickle(visitor, connection, b"x" * UPLOAD_BYTES, UPLOAD_SECONDS)
        expect_answer(connection)


def reset(visitor: Any) -> None:
    """Ask for a report and reset the connection before it is ready."""
    with connected(visitor, "reset") as connection:
        connection.sendall(
            f"GET /report?s=0.5 HTTP/1.1\r\nHost: {host(visitor)[0]}\r\n\r\n".encode()
        )
        visitor.sleep(0.2)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silent_tls(visitor: Any) -> None:
    """Connect to a server of TLS and do not shake hands."""
    with connected(visitor, "silent TLS client"):
        visitor.sleep(TLS_SILENCE)


def host(visitor: Any) -> tuple[str, int]:
    """Return whom the visitor loads."""
    parts = urlsplit(visitor.host)
    return str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)


@contextmanager
def connected(visitor: Any, name: str, window: int = 0) -> Iterator[socket.socket]:
    """Connect, close in the end, and report the turn to Locust, failed or not."""
    began, failure = time.monotonic(), None
    connection = socket.socket(socket.AF_INET)
    try:
        connection.settimeout(PATIENCE)
        if window:  # before connecting: the window is agreed on in the handshake
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        connection.connect(host(visitor))
        yield connection
    except OSError as error:
        failure = error
    finally:
        connection.close()
        visitor.environment.events.request.fire(
            request_type="TCP",
            name=name,
            response_time=(time.monotonic() - began) * 1e3,
            response_length=0,
            exception=failure,
            context={},
        )
    if failure:
        visitor.sleep(AFTER_FAILURE)


def trickle(visitor: Any, connection: socket.socket, data: bytes, seconds: float) -> None:
    """Send data in pieces, over so many seconds."""
    size = -(-len(data) // PIECES)
    for start in range(0, len(data), size):
        connection.sendall(data[start : start + size])
        visitor.sleep(seconds / PIECES)


def expect_answer(connection: socket.socket) -> None:
    """Read to the end. Raises OSError if that is no answer of success."""
    head = connection.recv(65_536)
    while connection.recv(65_536):
        pass
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise OSError(f"expected an answer of 200, got {head[:40]!r}")


MIX = {
    steady: 20,
    idle: 2,
    slow_head: 1,
    slow_reader: 1,
    upload: 2,
    reset: 1,
    failing: 1,
}
"""What the visitors of the mixed scenario are, and how many of each."""
_mix = itertools.cycle(
    random.Random(1).sample(  # noqa: S311 - shuffled, and the same each time
        list(MIX), sum(MIX.values()), counts=list(MIX.values())
    )
)


def mixed() -> Callable[[Any], None]:
    """Return what the next visitor of the mixed scenario is."""
    return next(_mix)
