"""A recording's own figures: how long its connections were in each phase."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tcpwatch import names
from tcpwatch.view.connections import Connection, text
from tcpwatch.view.queries.connection import load
from tcpwatch.view.report.source import opened


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


def measure(source: str, server: str) -> Measured:
    """Return the figures of the connections to servers of this class; of all, if there are none.

    Args:
        source: a recording's file, a database of the viewer, or the address of a viewer that runs.
        server: the class, with its module.

    Raises:
        OSError: it cannot be read.
        NotARecordingError: it is something else.
        StoreError: it is a database that cannot be used.
    """
    with opened(source) as store:
        ids = [span for (span,) in store.read("SELECT span FROM connections")]
        every = list(load(store, ids).values())
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
