"""What a store says about one server, as numbers: no words, no colours."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from tcpwatch import names
from tcpwatch.view.connections import Connection, text
from tcpwatch.view.queries.chosen import WAIT, Chosen
from tcpwatch.view.queries.connection import load
from tcpwatch.view.queries.latest import latest
from tcpwatch.view.store import Store
from tcpwatch.view.store.schema import PHASE_COLUMNS

NOTICEABLE = 0.05
"""Seconds in the queue from which a person may feel the wait; also the default of blame."""
_MOST_BLOCKERS = 50
_SHOWN_VICTIMS = 5


@dataclass(frozen=True)
class Spread:
    """How a duration is spread: number of values, median, 95th and 99th percentile, longest (s).

    Percentiles are values that occurred.
    """

    count: int
    p50: float
    p95: float
    p99: float
    longest: float


@dataclass(frozen=True)
class Blocker:
    """Something that kept the accept loop from others, and the connections that waited for it.

    `holder` is None when no single connection was to blame (`activity` says what it was). `count`
    connections waited for it, `seconds` together; `victims` are the ones that waited longest.
    """

    activity: str
    holder: Connection | None
    victims: tuple[Connection, ...]
    count: int
    seconds: float

    @property
    def worst(self) -> Connection:
        """The connection that waited longest."""
        return self.victims[0]


@dataclass(frozen=True)
class Findings:
    """One server's numbers; `waited`, `drops`, `queue` and `limit` are None if nobody measured.

    `waited` connections waited noticeably; `gone` gave up in the queue, of which `gone_served` had
    their request handled all the same.
    """

    connections: int
    waited: int | None
    gone: int
    gone_served: int
    loop: dict[str, float]
    queue: Spread | None
    depth: int | None
    limit: int | None
    drops: int | None
    phases: dict[str, Spread]
    outcomes: dict[str, int]
    blockers: tuple[Blocker, ...]

    @property
    def loop_seconds(self) -> float:
        """How long the accept loop was observed."""
        return sum(self.loop.values())

    @property
    def loop_busy(self) -> float:
        """The share of that time (0 to 1) in which it could not answer a new connection."""
        return 1 - self.loop.get(names.LOOP_IDLE, 0.0) / self.loop_seconds if self.loop else 0.0

    @property
    def worst(self) -> tuple[Connection, ...]:
        """The connection that waited longest for each culprit, longest wait first."""
        chosen = (blocker.worst for blocker in self.blockers)
        return tuple(sorted(chosen, key=lambda one: one.queue_wait or 0.0, reverse=True))


def find(store: Store, chosen: Chosen | None = None) -> Findings:
    """Compute the findings; sums are taken as cumulative, as SDKs send them.

    Args:
        store: what was received.
        chosen: which connections; None for all. Of the metrics only its server counts.
    """
    chosen = chosen or Chosen()
    condition, values = chosen.condition()
    ((connections, waited, gone, gone_served, depth, limit),) = store.read(
        f"""SELECT count(*), count(*) FILTER ({WAIT} >= ?), count(*) FILTER (outcome = ?),
            count(*) FILTER (outcome = ? AND span IN (SELECT owner FROM asked)),
            max(depth), max(depth_limit)
        FROM connections c WHERE {condition}""",
        [NOTICEABLE, names.CLIENT_GONE_IN_QUEUE, names.CLIENT_GONE_IN_QUEUE, *values],
    )
    phases = spreads(store, chosen)
    return Findings(
        connections=connections,
        waited=waited if names.ACCEPT_QUEUE in phases else None,
        gone=gone,
        gone_served=gone_served,
        loop=_loop(store, chosen.server),
        queue=phases.get(names.ACCEPT_QUEUE),
        depth=depth,
        limit=limit,
        drops=_drops(store, chosen.server),
        phases=phases,
        outcomes=dict(
            store.read(
                f"""SELECT coalesce(outcome, ''), count(*) FROM connections c WHERE {condition}
                GROUP BY 1 ORDER BY 2 DESC, 1""",
                values,
            )
        ),
        blockers=_blockers(store, condition, values),
    )


def spreads(store: Store, chosen: Chosen) -> dict[str, Spread]:
    """Return how long each phase was, for the chosen connections that had it."""
    condition, values = chosen.condition()
    each = ", ".join(
        f"count({column}), quantile_disc({column}, [0.5, 0.95, 0.99]), max({column})"
        for column in PHASE_COLUMNS
    )
    (row,) = store.read(f"SELECT {each} FROM connections c WHERE {condition}", values)
    triples = zip(row[0::3], row[1::3], row[2::3], strict=True)
    return {
        phase: Spread(count, quantiles[0], quantiles[1], quantiles[2], longest)
        for phase, (count, quantiles, longest) in zip(names.PHASES, triples, strict=True)
        if count
    }


def _blockers(store: Store, condition: str, values: list[object]) -> tuple[Blocker, ...]:
    found = store.read(
        f"""WITH blocked AS (
            SELECT c.span, c.cause, coalesce(c.{WAIT}, 0) AS wait, coalesce(c.cause_span, (
                SELECT max(b.span) FROM connections b WHERE b.cookie = c.cause_cookie
            )) AS holder
            FROM connections c WHERE {condition} AND c.cause IS NOT NULL
        )
        SELECT cause, holder, list(span ORDER BY wait DESC)[:{_SHOWN_VICTIMS}], count(*), sum(wait)
        FROM (
            SELECT * REPLACE (CASE WHEN holder IN (SELECT span FROM connections) THEN holder END
                AS holder)
            FROM blocked
        )
        GROUP BY cause, holder ORDER BY sum(wait) DESC LIMIT {_MOST_BLOCKERS}""",
        values,
    )
    wanted = {span for _, holder, spans, *_ in found for span in (*spans, holder) if span}
    known = load(store, wanted)
    made = (
        Blocker(
            activity,
            known.get(holder),
            tuple(known[span] for span in spans if span in known),
            count,
            seconds,
        )
        for activity, holder, spans, count, seconds in found
    )
    return tuple(one for one in made if one.victims)


def _loop(store: Store, server: int | None) -> dict[str, float]:
    seconds: dict[str, float] = defaultdict(float)
    for series, value in latest(store, server, names.M_LOOP_TIME):
        seconds[text(series.attributes, names.LOOP_STATE)] += value
    known = {state: seconds.pop(state) for state in names.LOOP_STATES if state in seconds}
    return known | seconds


def _drops(store: Store, server: int | None) -> int | None:
    known = [value for _, value in latest(store, server, names.M_QUEUE_DROPS)]
    return int(sum(known)) if known else None
