"""Which servers there are, and from when to when they were seen."""

from __future__ import annotations

from dataclasses import dataclass

from tcpwatch.view.store import Store
from tcpwatch.view.store.dictionary import Server


@dataclass(frozen=True)
class Seen:
    """A server and its connections: how many, how many waited and for how long together.

    `first` and `last` are its first and last moment in seconds since the epoch; `waited` is None if
    nobody measured.
    """

    server: Server
    connections: int
    waited: int | None
    waited_seconds: float
    first: float
    last: float


def servers(store: Store, noticeable: float) -> list[Seen]:
    """Return the servers with connections, by their first; `noticeable` in seconds of waiting."""
    known = store.servers
    return [
        Seen(known[server], many, waited, seconds, first / 1e9, last / 1e9)
        for server, many, waited, seconds, first, last in store.read(
            """SELECT server, count(*), if(count(phase_accept_queue) > 0,
                count(*) FILTER (phase_accept_queue >= ?), NULL),
                coalesce(sum(phase_accept_queue) FILTER (phase_accept_queue >= ?), 0),
                min(start_ns), max(end_ns)
            FROM connections GROUP BY server ORDER BY min(start_ns)""",
            [noticeable, noticeable],
        )
        if server in known
    ]


def density(
    store: Store, server: int, begin: float, end: float, steps: int
) -> list[tuple[float, int, float]]:
    """Return, for each step of a time, how many connections came and the longest wait in it."""
    step = max(int((end - begin) * 1e9 / steps), 1)
    first = round(begin * 1e9)
    return [
        ((first + bucket * step) / 1e9, many, longest)
        for bucket, many, longest in store.read(
            """SELECT (start_ns - ?) // ? AS bucket, count(*),
                coalesce(max(phase_accept_queue), 0)
            FROM connections WHERE server = ? GROUP BY 1 ORDER BY 1""",
            [first, step, server],
        )
    ]
