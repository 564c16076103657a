"""A recording's own figures: how long its connections were in each phase."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tcpwatch import names
from tcpwatch.cli import otlp_lines
from tcpwatch.view.connections import Connection, text
from tcpwatch.view.recording import Recording


@dataclass(frozen=True)
class Spent:
    """Seconds that connections were in a phase: how many were, their median, the longest."""

    count: int
    median: float
    longest: float


@dataclass(frozen=True)
class Measured:
    """What a recording says of connections; `of` names the server classes that they are of."""

    connections: int
    of: tuple[str, ...]
    phases: Mapping[str, Spent]


def read(file: Path) -> Recording:
    """Read a file of OTLP JSON lines.

    Raises:
        OSError: the file cannot be read.
        UnreadableError: a line is something else.
    """
    recording = Recording()
    with file.open("rb") as lines:
        otlp_lines.read(lines, str(file), recording)
    return recording


def measure(recording: Recording, server: str) -> Measured:
    """Return the figures of the connections to servers of this class; of all, if there are none."""
    every = [
        Connection(span)
        for span in recording.spans
        if span.name in (names.SPAN_TCP, names.SPAN_UNIX) and span.scope == names.SCOPE
    ]
    chosen = [one for one in every if _server(one) == server] or every
    seconds: dict[str, list[float]] = defaultdict(list)
    for connection in chosen:
        for phase, spent in connection.phases.items():
            seconds[phase].append(spent)
    return Measured(
        len(chosen),
        tuple(sorted({_server(one) for one in chosen})),
        {phase: _spent(values) for phase, values in seconds.items()},
    )


def _server(connection: Connection) -> str:
    return text(connection.span.attributes, names.SERVER_CLASS)


def _spent(values: Iterable[float]) -> Spent:
    known = list(values)
    return Spent(len(known), statistics.median(known), max(known))
