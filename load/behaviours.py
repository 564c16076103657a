"""What one client does in one turn; each is bounded in time and bytes.

Those that an HTTP client cannot do use a socket of their own and report to Locust themselves, as
type TCP; what they ask has a span of the client's side, as Locust's own requests have. `visitor` is
the Locust user.
"""

from __future__ import annotations

import ctypes
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import tracing

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
LOSS = 0.7
"""Seconds for which a line loses everything on the way to the client."""
HOLD = 12.0
"""Seconds for which the first of a burst holds a server of one thread."""
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
"""Of Linux: asm-generic/socket.h; Python has no names for them."""
RETURN = 0x06
"""BPF_RET | BPF_K in linux/bpf_common.h: keep so many bytes of a segment, here none."""
PATIENCE = 30.0
"""Seconds after which a client gives up."""
AFTER_FAILURE = 1.0
"""Seconds until one who has failed tries again."""


def steady(visitor: Any) -> None:
    """Ask for something that is answered at once."""
    visitor.ask("GET", *random.choice([("/", "/"), ("/item/1", "/item/<number>")]))  # noqa: S311


def shopper(visitor: Any) -> None:
    """Ask for little; one in eleven asks for a report that takes 0.4 s."""
    if random.random() < 1 / 11:  # noqa: S311
        visitor.ask("GET", "/report?s=0.4", "/report")
    else:
        visitor.ask("GET", "/item/1", "/item/<number>")


def over_tls(visitor: Any) -> None:
    """Shake hands at once and ask for something cheap."""
    steady(visitor)


def failing(visitor: Any) -> None:
    """Ask for what the server fails to answer."""
    visitor.ask("GET", "/error", "/error")


def burst(visitor: Any) -> None:
    """The run's first visitor holds the server, all others come meanwhile; each comes once."""
    if not visitor.came:
        visitor.came = True
        path = f"/report?s={HOLD}" if visitor.number == 0 else "/"
        visitor.ask("GET", path, path.partition("?")[0], timeout=PATIENCE)
    visitor.sleep(1.0)


def idle(visitor: Any) -> None:
    """Connect ahead of time, as browsers do, and say nothing."""
    with connected(visitor, "preconnect"):
        visitor.sleep(SILENCE)


def slow_head(visitor: Any) -> None:
    """Send the head a few bytes at a time; take the answer."""
    with asking(visitor, "slow head", "GET", "/", {"X-Slow": "x" * 100}) as request:
        trickle(visitor, request.connection, request.head, HEAD_SECONDS)
        request.answered()


def slow_reader(visitor: Any) -> None:
    """Ask for much and begin to read late, with a small window."""
    path = f"/export?n={EXPORT_BYTES}"
    with asking(visitor, "slow reader", "GET", path, window=4096) as request:
        request.connection.sendall(request.head)
        visitor.sleep(READ_AFTER)
        request.answered()


def loss(visitor: Any) -> None:
    """Ask for much over a line that loses all that comes, at first: the server sends it again."""
    with asking(visitor, "loss", "GET", f"/export?n={EXPORT_BYTES}") as request:
        with deaf(request.connection):
            request.connection.sendall(request.head)
            visitor.sleep(LOSS)
        request.answered()


def upload(visitor: Any) -> None:
    """Send a body piece by piece; take the answer."""
    length = {"Content-Length": str(UPLOAD_BYTES)}
    with asking(visitor, "slow upload", "POST", "/upload", length) as request:
        request.connection.sendall(request.head)
        trickle(visitor, request.connection, b"x" * UPLOAD_BYTES, UPLOAD_SECONDS)
        request.answered()


def reset(visitor: Any) -> None:
    """Ask for a report and reset the connection before it is ready."""
    with asking(visitor, "reset", "GET", "/report?s=0.5") as request:
        request.connection.sendall(request.head)
        visitor.sleep(0.2)
        request.given_up()


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
    """Connect, close in the end, and report the turn to Locust, failed or not.

    A turn that the end of the run cuts off is neither, as with Locust's own client.
    """
    began, failure = time.monotonic(), None
    with socket.socket(socket.AF_INET) as connection:
        try:
            connection.settimeout(PATIENCE)
            if window:  # before connecting: the window is agreed on in the handshake
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            connection.connect(host(visitor))
            yield connection
        except OSError as error:
            failure = error
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


@contextmanager
def deaf(connection: socket.socket) -> Iterator[None]:
    """Have the kernel drop each segment that comes for a connection, as if it were lost."""
    nothing = ctypes.create_string_buffer(struct.pack("HBBI", RETURN, 0, 0, 0))
    program = struct.pack("HP", 1, ctypes.addressof(nothing))
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    yield
    connection.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


class Request:
    """A request that is sent by hand: its connection, its head, and what became of it."""

    def __init__(self, connection: socket.socket, head: bytes, span: tracing.MaybeSpan) -> None:
        self.connection = connection
        self.head = head
        self._span = span

    def answered(self) -> None:
        """Read the answer to its end. Raises OSError if that is no answer of success."""
        head = self.connection.recv(65_536)
        while self.connection.recv(65_536):
            pass
        status = head.partition(b"\r\n")[0].partition(b" ")[2][:3]
        tracing.answered(self._span, int(status) if status.isdigit() else 0)
        if status != b"200":
            raise OSError(f"expected an answer of 200, got {head[:40]!r}")

    def given_up(self) -> None:
        """Reset the connection when it is closed: nobody waits for the answer."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        tracing.answered(self._span, 0)


@contextmanager
def asking(
    visitor: Any,
    name: str,
    method: str,
    path: str,
    more: dict[str, str] | None = None,
    window: int = 0,
) -> Iterator[Request]:
    """Connect and give what is to be sent, with the traceparent of a span of the client's side."""
    headers = {"Host": host(visitor)[0], **(more or {})}
    with (
        connected(visitor, name, window) as connection,
        tracing.client_span(method, path.partition("?")[0], headers) as span,
    ):
        lines = [f"{method} {path} HTTP/1.1", *(f"{key}: {is_}" for key, is_ in headers.items())]
        head = "".join(f"{line}\r\n" for line in [*lines, ""])
        yield Request(connection, head.encode(), span)


def trickle(visitor: Any, connection: socket.socket, data: bytes, seconds: float) -> None:
    """Send data in pieces, over so many seconds."""
    size = -(-len(data) // PIECES)
    for start in range(0, len(data), size):
        connection.sendall(data[start : start + size])
        visitor.sleep(seconds / PIECES)


MIX = {
    steady: 20,
    idle: 2,
    slow_head: 1,
    slow_reader: 1,
    upload: 2,
    reset: 1,
    failing: 1,
    over_tls: 2,
    silent_tls: 1,
}
"""What the visitors of the mixed scenario are, and how many of each."""
TLS = frozenset({over_tls, silent_tls})
"""Those of the mix who go to the server with TLS."""
_mix = random.Random(1).sample(  # noqa: S311 - shuffled, and the same each time
    list(MIX), sum(MIX.values()), counts=list(MIX.values())
)


def mixed(number: int) -> Callable[[Any], None]:
    """Return what a visitor of the mixed scenario is, by its number in the run."""
    return _mix[number % len(_mix)]
