"""All chosen connections together: how they ended, how long they waited, which were the worst."""

from __future__ import annotations

from dataclasses import dataclass

from tcpwatch import names
from tcpwatch.view.queries.chosen import WAIT, Chosen
from tcpwatch.view.store import Store

BOUNDS = names.QUEUE_WAIT_BUCKETS
STEPS = 60
_MOST = 12


@dataclass(frozen=True)
class Route:
    """Requests of one method and route: how many, their spread in seconds, how many failed."""

    name: str
    route: str
    count: int
    p50: float
    p95: float
    longest: float
    failed: int


@dataclass(frozen=True)
class Trouble:
    """Connections or requests with the same error; `example` is the span of a connection."""

    what: str
    count: int
    example: str


def waits(store: Store, chosen: Chosen) -> list[int]:
    """Return how many waited up to each of `BOUNDS` (seconds), and how many longer."""
    condition, values = chosen.condition()
    found = dict(
        store.read(
            f"""SELECT len(list_filter(?::DOUBLE[], lambda bound: bound < {WAIT})), count(*)
            FROM connections c WHERE {condition} AND {WAIT} IS NOT NULL GROUP BY 1""",
            [list(BOUNDS), *values],
        )
    )
    return [found.get(bucket, 0) for bucket in range(len(BOUNDS) + 1)]


def outcomes(store: Store, chosen: Chosen) -> tuple[float, float, dict[str, list[int]]]:
    """Return first moment and step (seconds), and for each outcome how many ended in each step."""
    condition, values = chosen.condition()
    ((first, last),) = store.read(
        f"SELECT min(end_ns), max(end_ns) FROM connections c WHERE {condition}", values
    )
    if first is None:
        return 0.0, 0.0, {}
    step = max((last - first) // STEPS + 1, 1)
    made: dict[str, list[int]] = {}
    for outcome, bucket, many in store.read(
        f"""SELECT coalesce(outcome, ''), (end_ns - ?) // ?, count(*) FROM connections c
        WHERE {condition} GROUP BY 1, 2""",
        [first, step, *values],
    ):
        made.setdefault(outcome, [0] * STEPS)[bucket] = many
    known = {outcome: made[outcome] for outcome in reversed(names_of_outcomes()) if outcome in made}
    return first / 1e9, step / 1e9, known | made


def names_of_outcomes() -> tuple[str, ...]:
    """Return the contract's outcomes, the worst first."""
    return (
        names.CLIENT_GONE_IN_QUEUE,
        names.REJECTED,
        names.TLS_FAILED,
        names.HANDLER_ERROR,
        names.CLIENT_DISCONNECTED,
        names.TIMEOUT,
        names.BAD_REQUEST,
        names.SERVER_SHUTDOWN,
        names.CHILD_DIED,
        names.UNINSTALLED,
        names.NO_REQUEST,
        names.COMPLETED,
    )


def routes(store: Store, chosen: Chosen) -> list[Route]:
    """Return the routes, or paths where there is no route, that took most time together."""
    condition, values = chosen.condition()
    return [
        Route(*row)
        for row in store.read(
            f"""SELECT method || ' ' || place, place, count(*), quantile_disc(seconds, 0.5),
                quantile_disc(seconds, 0.95), max(seconds), count(*) FILTER (status >= 500)
            FROM (
                SELECT r.method, coalesce(r.route, r.path, '') AS place, r.status,
                    (r.end_ns - r.start_ns) / 1e9 AS seconds
                FROM asked r JOIN connections c ON c.span = r.owner WHERE {condition}
            ) GROUP BY method, place ORDER BY sum(seconds) DESC LIMIT {_MOST}""",
            values,
        )
    ]


def slowest(store: Store, chosen: Chosen, most: int = _MOST) -> tuple[int, ...]:
    """Return the spans of the connections that lasted longest, without their wait for a request."""
    condition, values = chosen.condition()
    return tuple(
        span
        for (span,) in store.read(
            f"""SELECT span FROM connections c WHERE {condition}
            ORDER BY end_ns - start_ns - coalesce(phase_{names.IDLE}, 0) * 1e9 DESC
            LIMIT {most:d}""",
            values,
        )
    )


def longest_waits(store: Store, chosen: Chosen, most: int = _MOST) -> tuple[int, ...]:
    """Return the spans of the connections that waited longest in the accept queue."""
    condition, values = chosen.condition()
    return tuple(
        span
        for (span,) in store.read(
            f"""SELECT span FROM connections c WHERE {condition} AND {WAIT} > 0
            ORDER BY {WAIT} DESC LIMIT {most:d}""",
            values,
        )
    )


def troubles(store: Store, chosen: Chosen) -> list[Trouble]:
    """Return what failed: errors of connections, then of requests."""
    condition, values = chosen.condition()
    found = store.read(
        f"""SELECT outcome || ': ' || error AS what, count(*) AS many, max(span)
        FROM connections c WHERE {condition} AND error IS NOT NULL GROUP BY outcome, error
        UNION ALL
        SELECT r.method || ' ' || coalesce(r.route, r.path, '') || ': ' || r.error, count(*),
            max(c.span)
        FROM asked r JOIN connections c ON c.span = r.owner
        WHERE {condition} AND r.error IS NOT NULL
        GROUP BY r.method, coalesce(r.route, r.path, ''), r.error
        ORDER BY many DESC LIMIT {_MOST}""",
        [*values, *values],
    )
    return [Trouble(what, many, f"{span:016x}") for what, many, span in found]
