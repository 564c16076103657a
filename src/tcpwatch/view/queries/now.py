"""What the servers' metrics say: how they stand now, and how deep their queues were."""

from __future__ import annotations

import time
from dataclasses import dataclass

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from tcpwatch import names
from tcpwatch.view import decode, now
from tcpwatch.view.connections import number, peer, text
from tcpwatch.view.queries.chosen import WAIT, nanoseconds
from tcpwatch.view.signals import Attributes, Point
from tcpwatch.view.store import Store

LATELY = 150.0
"""Seconds in which a server that exports every minute, as is usual, is heard twice."""

_LONGEST_WARNING = 8_000


@dataclass(frozen=True)
class Warned:
    """What tcpwatch in a server logged of its loop; times in seconds since the epoch.

    `since` is when the loop left its post, `who` the client whose connection holds it, in `phase`;
    "" where the server did not know.
    """

    at: float
    since: float
    text: str
    is_over: bool = False
    who: str = ""
    phase: str = ""


def standing(store: Store, seconds: float = LATELY) -> list[now.Server]:
    """Return how each server stands that was heard in the last `seconds`."""
    series = {one.id: one for one in store.series(*now.METRICS) if one.server is not None}
    if not series:
        return []
    found = store.read(
        """SELECT series, time_ns, start_ns, value FROM points
        WHERE time_ns >= ? AND series IN (SELECT unnest(?::INTEGER[]))
        QUALIFY row_number() OVER (PARTITION BY series ORDER BY time_ns DESC) <= 2
        ORDER BY time_ns""",
        [nanoseconds(time.time() - seconds), list(series)],
    )
    resources = _resources(store, {series[number].origin for number, *_ in found})
    return now.servers(
        Point(
            name=series[number].name,
            unit="",
            kind=series[number].kind,
            temporality=series[number].temporality,
            attributes=series[number].attributes,
            value=value,
            start_ns=start,
            time_ns=at,
            resource=resources.get(series[number].origin, {}),
        )
        for number, at, start, value in found
    )


def ended(store: Store, most: int) -> list[now.Ended]:
    """Return the connections that ended last, the latest first."""
    return [
        now.Ended(who or f"connection {span:016x}", outcome or "", (end - start) / 1e9, wait)
        for span, who, outcome, start, end, wait in store.read(
            f"""SELECT span, peer, outcome, start_ns, end_ns, {WAIT} FROM connections
            ORDER BY end_ns DESC LIMIT {most:d}"""
        )
    ]


def warned(store: Store, server: now.Server) -> Warned | None:
    """Return the last warning about a server's loop since it left its post, None if there is none.

    If it is over since the server was heard, that is what is returned. Servers warn in their log;
    it comes here if they export that log over OTLP, too.
    """
    since = server.heard - (server.busy or 0.0) - 1.0
    place = (server.service, server.address, server.port)
    for at, body, service in store.read(
        """SELECT l.time_ns, l.body, o.service FROM logs l JOIN origins o ON o.id = l.origin
        WHERE l.time_ns >= ? ORDER BY l.time_ns DESC LIMIT 100""",
        [nanoseconds(since)],
    ):
        record = LogRecord.FromString(body)
        told = decode.attributes(record.attributes)
        if place != (service, text(told, names.SERVER_ADDRESS), told.get(names.SERVER_PORT)):
            continue
        over = told.get(names.STALL_STATE) == names.STALL_OVER
        stuck = told.get(names.STALL_STATE) == names.STALL_STUCK
        if stuck or (over and at / 1e9 > server.heard):
            return Warned(
                at=at / 1e9,
                since=at / 1e9 - (number(told, names.STALL_DURATION) or 0.0),
                text=_lines(record.body.string_value[:_LONGEST_WARNING]),
                is_over=over,
                who=peer(told),
                phase=text(told, names.PHASE_NAME),
            )
    return None


def _lines(words: str) -> str:
    """Return text without what would turn it round or move about in it, its lines kept."""
    return "\n".join(text({"": line}, "") for line in words.split("\n"))


def depths(store: Store, server: int, begin: float, end: float) -> list[tuple[float, int]]:
    """Return the queue's depth as each export told it, the sum of a listener's processes."""
    series = [one.id for one in store.series(names.M_QUEUE_DEPTH) if one.server == server]
    return [
        (at / 1e9, int(depth))
        for at, depth in store.read(
            """SELECT time_ns, sum(value) FROM points
            WHERE series IN (SELECT unnest(?::INTEGER[])) AND time_ns BETWEEN ? AND ?
                AND value IS NOT NULL
            GROUP BY time_ns ORDER BY time_ns""",
            [series, nanoseconds(begin), nanoseconds(end)],
        )
    ]


def _resources(store: Store, origins: set[int]) -> dict[int, Attributes]:
    return {
        origin: {
            **decode.attributes(Resource.FromString(resource).attributes),
            "service.name": store.service(origin),
        }
        for origin, resource in store.read(
            "SELECT id, resource FROM origins WHERE id IN (SELECT unnest(?::INTEGER[]))",
            [list(origins)],
        )
    }
