"""What a client sends reaches a log or a terminal without its control characters."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from tcpwatch.cli.story import Told, tell
from tcpwatch.view.findings import find
from tcpwatch.view.store import Store
from tcpwatch.view.viewer import Viewer
from tests.live.conftest import Start
from tests.live.wire import read_all

SECRET = b"hunter2"
HOSTILE = b"\x1b[2J\x1b]0;owned\x07\x9b31m\x08\x7f"


def commands(text: str) -> set[str]:
    """Return the characters that a terminal does not print but obeys."""
    return {letter for letter in text if not letter.isprintable()} - {"\n"}


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as empty:
        yield empty


@pytest.fixture
def viewer(store: Store) -> Iterator[Viewer]:
    with Viewer(store, port=0) as serving:
        yield serving


def test_no_client_commands_a_terminal(start: Start, store: Store, viewer: Viewer) -> None:
    """Neither the stall's warning nor the report of what happened has its control characters.

    Nor do they have the secrets of its query.
    """
    server = start(
        "--dispatch",
        "inline",
        env={"TCPWATCH_STALL": "0.2", "OTEL_EXPORTER_OTLP_ENDPOINT": viewer.address},
    )
    head = b"GET /hold%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nX-Forwarded-For: %s\r\n\r\n"
    server.get("/")  # else the loop's beginning may be half of what both have waited for
    with server.connect() as holder, server.connect() as waiting:
        holder.sendall(head % (b"?%70assword=" + SECRET + HOSTILE, HOSTILE, HOSTILE, HOSTILE))
        waiting.sendall(head.replace(b"/hold", b"/") % ((HOSTILE,) * 4))
        server.wait_stderr("gate.py")
        server.tell("release")
        read_all(holder)
        read_all(waiting)
    while find(store).connections < 3:  # a connection ends a little after its client has gone
        server.flush()
    assert not commands(server.stderr)
    assert SECRET.decode() not in server.stderr.partition("accept loop of")[2]

    written = io.StringIO()
    findings = find(store)
    console = Console(file=written, width=100, color_system=None)
    tell(console, [Told("an act", "act", findings)], 2, 1)
    assert "/hold" in written.getvalue()
    assert not commands(written.getvalue())
    assert SECRET.decode() not in written.getvalue() + repr(list(store.read("SELECT * FROM spans")))
