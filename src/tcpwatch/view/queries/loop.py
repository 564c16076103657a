"""The loop's picture: its connections on one axis of time, what it did, and who stood in line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tcpwatch import names
from tcpwatch.view.queries.chosen import ACCEPTED, Chosen, nanoseconds
from tcpwatch.view.store import Store
from tcpwatch.view.store.schema import PHASE_COLUMNS

Share = tuple[float, float, dict[str, float]]
"""From when to when, and the seconds of it in each of the loop's states."""

BUCKETS = 1000
"""Into how many steps the time is cut where single events would be too many to draw."""


_TELLING = f"""(c.end_ns - c.start_ns - CASE WHEN c.dispatch = '{names.INLINE}' THEN 0
    ELSE coalesce(c.phase_{names.IDLE}, 0) * 1e9 END)"""
"""How long a connection was in the way or waited: idling on a thread of its own is neither."""


@dataclass
class Row:
    """One connection; times in seconds since the epoch, ids of spans in hex."""

    id: str
    start: float
    end: float
    wait: float | None
    peer: str
    asked: str
    agent: str
    requests: int
    status: int | None
    outcome: str
    dispatch: str
    cause: str
    blocker: str
    bars: list[tuple[str, float, float]] = field(default_factory=list)
    """Phase, start and end of each stretch."""


@dataclass(frozen=True)
class Hold:
    """A time in which the loop was busy with one connection."""

    start: float
    end: float
    state: str
    id: str


@dataclass(frozen=True)
class Window:
    """The time that a picture shows: from `begin` to `end`, seconds since the epoch."""

    begin: float
    end: float

    @property
    def step(self) -> float:
        """Seconds in one of `BUCKETS` steps."""
        return max((self.end - self.begin) / BUCKETS, 1e-6)


def rows(store: Store, chosen: Chosen, most: int) -> tuple[list[Row], int]:
    """Return the chosen connections by their start, and how many there are altogether.

    If there are more than `most`, the ones that waited or held the loop longest are returned.
    """
    condition, values = chosen.condition()
    ((total,),) = store.read(f"SELECT count(*) FROM connections c WHERE {condition}", values)
    found = store.read(
        f"""WITH chosen AS (
            SELECT * FROM connections c WHERE {condition}
            ORDER BY {_TELLING} DESC LIMIT {most:d}
        ), first_asked AS (
            SELECT owner, count(*) AS many, max_by(status, end_ns) AS status,
                min_by(method || ' ' || coalesce(path, route, ''), start_ns) AS first,
                min_by(agent, start_ns) AS agent
            FROM asked WHERE owner IN (SELECT span FROM chosen) GROUP BY owner
        ), named AS (
            SELECT cookie, max(span) AS span FROM connections
            WHERE cookie IN (SELECT cause_cookie FROM chosen) GROUP BY cookie
        )
        SELECT c.span, c.start_ns, c.end_ns, c.peer, c.outcome, c.dispatch, c.cause,
            coalesce(c.cause_span, n.span), a.first, a.many, a.status, a.agent,
            {", ".join(f"c.{column}" for column in PHASE_COLUMNS)}
        FROM chosen c LEFT JOIN first_asked a ON a.owner = c.span
            LEFT JOIN named n ON n.cookie = c.cause_cookie
        ORDER BY c.start_ns""",
        values,
    )
    made: dict[int, Row] = {}
    totals: dict[int, Sequence[float | None]] = {}
    for (
        span,
        start,
        end,
        peer,
        outcome,
        dispatch,
        cause,
        by,
        first,
        many,
        status,
        agent,
        *rest,
    ) in found:
        made[span] = Row(
            id=f"{span:016x}",
            start=start / 1e9,
            end=end / 1e9,
            wait=rest[0],
            peer=peer or f"connection {span:016x}",
            asked=(first or "").strip(),
            agent=agent or "",
            requests=many or 0,
            status=status,
            outcome=outcome or "",
            dispatch=dispatch or "",
            cause=cause or "",
            blocker=f"{by:016x}" if by else "",
        )
        totals[span] = rest
    _draw(store, made, totals)
    return list(made.values()), total


def holds(store: Store, server: int, window: Window) -> list[Hold]:
    """Return when the loop was busy with which connection, as the connections tell it.

    A connection served inline holds the loop from its accept to its end, any other through its
    dispatch. A handshake counts as the loop's if it began with the accept. What is shorter than a
    step of the window is left to `shares`.
    """
    found = store.read(
        f"""WITH held AS (
            SELECT c.span, {ACCEPTED} AS begin, c.end_ns, c.dispatch,
                coalesce(c.phase_tls_handshake, 0) AS tls, coalesce(c.phase_dispatch, 0) AS started,
                t.start_ns AS tls_start
            FROM connections c LEFT JOIN (
                SELECT owner, min(start_ns) AS start_ns FROM phases
                WHERE phase = '{names.TLS_HANDSHAKE}' GROUP BY owner
            ) t ON t.owner = c.span
            WHERE c.server = ? AND c.end_ns >= ? AND c.start_ns <= ?
                AND (c.end_ns - {ACCEPTED}) >= ?
        )
        SELECT span, begin, end_ns, dispatch, started,
            CASE WHEN tls_start - begin > started * 5e8 + 1e6 THEN 0 ELSE tls END
        FROM held ORDER BY begin""",
        [server, nanoseconds(window.begin), nanoseconds(window.end), int(window.step * 1e9)],
    )
    made: list[Hold] = []
    for span, begin, end, dispatch, started, tls in found:
        at, name = begin / 1e9, f"{span:016x}"
        if tls:
            made.append(Hold(at, at + tls, names.LOOP_TLS_HANDSHAKE, name))
            at += tls
        if dispatch == names.INLINE:
            made.append(Hold(at, end / 1e9, names.LOOP_INLINE, name))
        elif started:
            made.append(Hold(at, at + started, names.LOOP_DISPATCH, name))
    return [one for one in made if one.end - one.start >= window.step]


def shares(store: Store, server: int, window: Window) -> list[Share]:
    """Return from when to when the loop spent how many seconds in which state, as it was measured.

    These are the differences of `tcpwatch.accept_loop.time`, one for each export; they count every
    connection, recorded or not.
    """
    states = {
        one.id: str(one.attributes.get(names.LOOP_STATE))
        for one in store.series(names.M_LOOP_TIME)
        if one.server == server and one.temporality == "CUMULATIVE"
    }
    if not states:
        return []
    found = store.read(
        """SELECT series, time_ns, value - before, before_ns FROM (
            SELECT *, lag(value, 1, 0) OVER run AS before, lag(time_ns, 1, start_ns) OVER run
                AS before_ns
            FROM points WHERE series IN (SELECT unnest(?::INTEGER[]))
            WINDOW run AS (PARTITION BY series, start_ns ORDER BY time_ns)
        ) WHERE time_ns >= ? AND before_ns <= ? AND value >= before ORDER BY time_ns""",
        [list(states), nanoseconds(window.begin), nanoseconds(window.end)],
    )
    by_time: dict[tuple[float, float], dict[str, float]] = {}
    for series, until, seconds, since in found:
        by_time.setdefault((since / 1e9, until / 1e9), {})[states[series]] = seconds
    return [(since, until, seconds) for (since, until), seconds in by_time.items()]


def waiting(store: Store, server: int, window: Window) -> list[tuple[float, int]]:
    """Return how many recorded connections stood in the accept queue: from when on how many."""
    begin, end = nanoseconds(window.begin), nanoseconds(window.end)
    found = store.read(
        f"""WITH queued AS (
            SELECT greatest(c.start_ns, ?) AS start, least({ACCEPTED}, ?) AS stop
            FROM connections c WHERE c.server = ? AND {ACCEPTED} >= ? AND c.start_ns <= ?
                AND c.phase_accept_queue > 0
        ), changes AS (
            SELECT start AS moment, 1 AS change FROM queued UNION ALL SELECT stop, -1 FROM queued
        ), lines AS (
            SELECT moment, sum(change) OVER so_far AS many FROM changes
            WINDOW so_far AS (ORDER BY moment, change ROWS UNBOUNDED PRECEDING)
        )
        SELECT min(moment), max(many)::INTEGER, max(moment), last(many ORDER BY moment)::INTEGER
        FROM lines GROUP BY (moment - ?) // ? ORDER BY 1""",
        [begin, end, server, begin, end, begin, int(window.step * 1e9)],
    )
    line: list[tuple[float, int]] = []
    for first, most, last, after in found:
        line.append((first / 1e9, most))
        if last > first or after != most:
            line.append((last / 1e9, after))
    return line


def depths(store: Store, server: int, window: Window) -> list[tuple[float, int]]:
    """Return the queue's depth as the kernel reported it at accepts: the most of each step."""
    found = store.read(
        f"""SELECT max_by(moment, depth), max(depth) FROM (
            SELECT {ACCEPTED} AS moment, c.depth FROM connections c
            WHERE c.server = ? AND c.end_ns >= ? AND c.start_ns <= ? AND c.depth IS NOT NULL
        ) GROUP BY (moment - ?) // ? ORDER BY 1""",
        [
            server,
            nanoseconds(window.begin),
            nanoseconds(window.end),
            nanoseconds(window.begin),
            int(window.step * 1e9),
        ],
    )
    return [(at / 1e9, depth) for at, depth in found]


def room(store: Store, server: int) -> int | None:
    """Return the queue's limit, None where the kernel does not say."""
    ((limit,),) = store.read("SELECT max(depth_limit) FROM connections WHERE server = ?", [server])
    known: int | None = limit
    return known


def _draw(store: Store, made: dict[int, Row], totals: dict[int, Sequence[float | None]]) -> None:
    """Give each row its bars: its phase spans, else its totals one after another."""
    for owner, phase, start, end in store.read(
        "SELECT owner, phase, start_ns, end_ns FROM phases"
        " WHERE owner IN (SELECT unnest(?::UBIGINT[])) ORDER BY start_ns",
        [list(made)],
    ):
        made[owner].bars.append((phase, start / 1e9, end / 1e9))
    for span, row in made.items():
        if row.bars:
            continue
        at = row.start
        for phase, seconds in zip(names.PHASES, totals[span], strict=True):
            if seconds:
                row.bars.append((phase, at, at + seconds))
                at += seconds
