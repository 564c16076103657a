"""What a client sends reaches a log or a terminal without its control characters."""

from __future__ import annotations

import io

from rich.console import Console

from tcpwatch.cli.story import Told, tell
from tcpwatch.view.findings import find
from tests.live.conftest import Start
from tests.live.seen import Seen
from tests.live.wire import read_all

HOSTILE = b"\x1b[2J\x1b]0;owned\x07\x9b31m\x08\x7f"


def commands(text: str) -> set[str]:
    """Return the characters that a terminal does not print but obeys."""
    return {letter for letter in text if not letter.isprintable()} - {"\n"}


def test_no_client_commands_a_terminal(start: Start, seen: Seen) -> None:
    """Neither the stall's warning nor the report of what happened has its control characters."""
    server = start("--dispatch", "inline", env={"TCPWATCH_STALL": "0.2"})
    head = b"GET /hold%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nX-Forwarded-For: %s\r\n\r\n"
    with server.connect() as holder, server.connect() as waiting:
        holder.sendall(head % (b"?" + HOSTILE, HOSTILE, HOSTILE, HOSTILE))
        waiting.sendall(head.replace(b"/hold", b"/") % ((HOSTILE,) * 4))
        server.wait_stderr("gate.py")
        server.tell("release")
        read_all(holder)
        read_all(waiting)
    seen.wait_connections(2)
    seen.wait_requests(2)
    server.flush()
    assert not commands(server.stderr)

    written = io.StringIO()
    findings = find(seen.recording)
    console = Console(file=written, width=100, color_system=None)
    tell(console, [Told("an act", "act", findings)], len(seen.recording.spans), 1)
    assert "/hold" in written.getvalue()
    assert not commands(written.getvalue())
