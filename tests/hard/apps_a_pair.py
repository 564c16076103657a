"""The same server twice, without us and with us, and what must be the same about them."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tcpwatch.view.receiver import Receiver
from tcpwatch.view.recording import Recording, Span
from tests.live.harness import LiveServer
from tests.live.seen import Seen
from tests.live.wire import local_port, read_all

VARYING = (
    (r"0x[0-9a-f]{6,}", "0x"),
    (r"\('127\.0\.0\.1', \d+\)", "PEER"),
    (r"\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d", "NOW"),
    (r"Thread-\d+", "Thread"),
    (r"tcpwatch: watching [^\n]*\n", ""),
    (r"\nDate: [^\r\n]*", ""),
    (r"frame-\d+", "frame"),
    (r'SECRET = "\w+"', "SECRET"),
    (r"127\.0\.0\.1:\d+", "SERVER"),
)
"""What differs between two runs of the same bare server, and our one line at install()."""


OURS = (r'  File "<tcpwatch wrapper>", [^\n]*\n', "")
"""A frame of ours in a traceback: before Python 3.11 it stays there (docs/limits.md)."""


def constant(text: str) -> str:
    """Return what is the same in every run."""
    for pattern, replacement in VARYING if sys.version_info >= (3, 11) else (*VARYING, OURS):
        text = re.sub(pattern, replacement, text)
    return text


@dataclass(frozen=True)
class Told:
    """What a client and a server's stderr say of one connection."""

    port: int
    wire: str
    stderr: str


def talk(server: LiveServer, *data: bytes, half_close: bool = False, log: str = "") -> Told:
    """Send each piece when something came back after the one before; return all that was said.

    A server has written what it has to say of a connection before it closes it; what a thread's
    end or the process's writes comes later, and `log` is the last of it.
    """
    before = len(server.stderr)
    with server.connect() as client:
        port, got = local_port(client), b""
        for number, piece in enumerate(data):
            if number:
                got += client.recv(65536)
            client.sendall(piece)
        if half_close:
            client.shutdown(socket.SHUT_WR)
        got += read_all(client)
    server.wait_stderr(log)
    return Told(port, constant(got.decode("latin-1")), constant(server.stderr[before:]))


@dataclass(frozen=True)
class Pair:
    """The two servers, and what the one with us told."""

    bare: LiveServer
    watched: LiveServer
    seen: Seen

    def same(self, *data: bytes, half_close: bool = False, log: str = "") -> Told:
        """Say the same to both and hold them to the same answer and the same log; see `talk`."""
        bare, watched = (
            talk(server, *data, half_close=half_close, log=log)
            for server in (self.bare, self.watched)
        )
        assert watched.wire == bare.wire, f"{watched.wire!r}\nbut bare\n{bare.wire!r}"
        assert watched.stderr == bare.stderr, f"{watched.stderr}\nbut bare\n{bare.stderr}"
        return watched

    def spans(self, port: int) -> tuple[Span, Span]:
        """Return the connection span and the one request span of a client."""
        connection, request = self.seen.connection_of(port), self.seen.request_of(port)
        assert len(self.seen.children(connection)) >= 1
        return connection, request


@contextmanager
def pair(folder: Path, *flags: str, env: dict[str, str] | None = None) -> Iterator[Pair]:
    """Start the same server without us and with us."""
    ours = ("tests.hard.apps_a_main",)
    with (
        Receiver(Recording()) as receiver,
        LiveServer(*flags, "--install", "never", folder=folder, env=env, program=ours) as bare,
        LiveServer(
            *(*flags, "--install", "first"),
            folder=folder,
            env={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, **(env or {})},
            program=ours,
        ) as watched,
    ):
        yield Pair(bare, watched, Seen(receiver.recording))


def outcome(span: Span) -> tuple[object, str, object]:
    """Return the outcome with what goes with it: the span's status and error.type."""
    found = span.attributes
    return found["tcpwatch.connection.outcome"], span.status, found.get("error.type")
