"""Snapshots of open connections, for `tcpwatch.connections()`, for gauges and for warnings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic_ns as clock
from typing import TYPE_CHECKING

from tcpwatch.core.timeline import Timeline
from tcpwatch.core.transitions import phase_after
from tcpwatch.hub.connection import APP, Connection
from tcpwatch.hub.stall import Holder

if TYPE_CHECKING:
    from tcpwatch.hub.registry import Hub


@dataclass(frozen=True, slots=True)
class ConnectionSnapshot:
    """An open connection at one moment; ages are seconds.

    `phase_age` is how long it has been in `phase`, `age` how long ago the kernel had it
    ESTABLISHED (or, where the kernel does not tell, accepted). `method` and `scheme` are those of
    the request that it is serving, None if none is under way.
    """

    id: str | None
    server: str
    peer: tuple[str, int | None] | None
    dispatch: str | None
    phase: str
    phase_age: float
    age: float
    requests: int
    pid: int
    loop: int
    method: str | None = None
    scheme: str | None = None


def snapshots(hub: Hub) -> Iterator[ConnectionSnapshot]:
    """Look at every connection that is open now, in this process and in its children."""
    now = clock()
    seen = set()
    for connection in list(hub.connections.values()):
        seen.add(connection.key)
        yield _of_connection(hub, connection, now)
    worker = hub.post.worker
    if worker is None:
        return
    pids = {key: pid for pid, key in list(worker.pids.items())}
    for key, timeline in list(worker.timelines.items()):
        if key not in seen and not timeline.over:
            snapshot = _of_timeline(hub, timeline, pids.get(key, hub.pid), now)
            if snapshot is not None:
                yield snapshot


def _of_connection(hub: Hub, connection: Connection, now: int) -> ConnectionSnapshot:
    accepted, exchange = connection.accepted, connection.exchange
    phase, since = phase_after(*connection.tail, list(connection.marks))
    serving = exchange is not None and connection.stage >= APP and not exchange.steps_back
    return ConnectionSnapshot(
        id=hub.cookie(connection),
        server=connection.loop.listener.server_class,
        peer=accepted.peer,
        dispatch=connection.dispatch,
        phase=phase,
        phase_age=max(now - since, 0) / 1e9,
        age=(now - connection.accepted_ns + (accepted.wait_ns or 0)) / 1e9,
        requests=connection.sequence,
        pid=connection.pid,
        loop=connection.loop.listener.key,
        method=exchange.method if exchange is not None and serving else None,
        scheme=exchange.scheme if exchange is not None and serving else None,
    )


def _of_timeline(hub: Hub, timeline: Timeline, pid: int, now: int) -> ConnectionSnapshot | None:
    accepted = timeline.accepted
    if accepted is None:
        return None
    loop = hub.loops.by_key(accepted.listener)
    return ConnectionSnapshot(
        id=accepted.cookie,
        server=loop.listener.server_class if loop is not None else "",
        peer=accepted.peer,
        dispatch=timeline.dispatch,
        phase=timeline.phase,
        phase_age=(now - timeline.since_ns) / 1e9,
        age=(now - timeline.start_ns) / 1e9,
        requests=timeline.sequence,
        pid=pid,
        loop=accepted.listener,
        method=timeline.method,
        scheme=timeline.scheme,
    )


def identify(hub: Hub, key: int | None) -> Holder:
    """Return who holds a loop: a connection by its key, with its phase if it is this process's."""
    connection = hub.connections.get(key) if key is not None else None
    if connection is not None:
        phase, _ = phase_after(*connection.tail, list(connection.marks))
        accepted = connection.accepted
        return Holder(_spell(accepted.peer), hub.cookie(connection), accepted.peer, phase)
    worker = hub.post.worker
    known = worker.acquaintances.get(key) if worker is not None and key is not None else None
    if known is None:
        return Holder("a connection")
    return Holder(_spell(known.accepted.peer), known.accepted.cookie, known.accepted.peer)


def _spell(peer: tuple[str, int | None] | None) -> str:
    if peer is None:
        return "a client"
    return peer[0] if peer[1] is None else f"{peer[0]}:{peer[1]}"
