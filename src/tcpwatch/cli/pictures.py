"""Pictures in text: bars of a share and waterfalls of a connection, also without Unicode."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.text import Text

from tcpwatch import names
from tcpwatch.view import glossary
from tcpwatch.view.connections import Connection
from tcpwatch.view.sentences import doing, duration, who

_STYLES = {
    names.ACCEPT_QUEUE: "red",
    names.TLS_HANDSHAKE: "magenta",
    names.IDLE: "bright_black",
    names.APP: "green",
    names.RESPOND: "blue",
}
_ROWS = 12


def indented(words: str, width: int, first: str) -> str:
    """Return `words` broken into lines of `width` that hang below each other after `first`."""
    return textwrap.fill(
        words,
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )


def share(console: Console, part: float, width: int, style: str = "") -> Text:
    """Return a bar of `width` cells filled to `part` (0 to 1)."""
    full, empty = _cells(console)
    filled = min(width, round(part * width))
    return Text(full * filled, style=style) + Text(empty * (width - filled), style="bright_black")


def waterfall(console: Console, connection: Connection) -> Text:
    """Return a connection as one bar per stretch of a phase, all on one axis of time."""
    full, _ = _cells(console)
    total = max(connection.span.duration, 1e-9)
    status = f", answered {connection.status}" if connection.status else ""
    picture = Text(f"{who(connection)}: {duration(total)} in all{status}\n", style="bold")
    width = max(console.width - 28, 10)
    for stretch in connection.stretches[:_ROWS]:
        before = min(int(stretch.start / total * width), width - 1)
        length = max(1, round((stretch.end - stretch.start) / total * width))
        bar = (" " * before + full * length)[:width].ljust(width)
        picture.append(f"  {stretch.phase:<13} ")
        picture.append(bar, style=_STYLES.get(stretch.phase, "cyan"))
        picture.append(f" {duration(stretch.end - stretch.start):>8}\n")
    left_out = len(connection.stretches) - _ROWS
    if left_out > 0:
        picture.append(f"  ... and {left_out} more\n")
    if connection.blocked_by:
        reason = f"Why it waited: {_reason(connection)}."
        picture.append(indented(reason, console.width, "  ") + "\n", style="bright_black")
    return picture


def _reason(connection: Connection) -> str:
    if connection.blocker is None:
        return glossary.ACTIVITIES.get(connection.blocked_by, connection.blocked_by)
    did = doing(connection.blocker)
    return f"{who(connection.blocker)}, {did}" if did else who(connection.blocker)


def _cells(console: Console) -> tuple[str, str]:
    # Where the terminal's encoding is not Unicode a block would be a question mark.
    return ("█", "░") if console.encoding.startswith("utf") else ("#", ".")
