"""What a recording says about one server, as numbers: no words, no colours."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tcpwatch import names
from tcpwatch.view.connections import Connection, join, number, text
from tcpwatch.view.recording import Recording
from tcpwatch.view.signals import Point

NOTICEABLE = 0.05
"""Seconds in the queue from which a person may feel the wait; also the default of blame."""


@dataclass(frozen=True)
class Spread:
    """How a duration is spread: number of values, median, 95th percentile, longest (seconds)."""

    count: int
    p50: float
    p95: float
    longest: float


@dataclass(frozen=True)
class Blocker:
    """Something that kept the accept loop from others, and the connections that waited for it.

    `holder` is None when no single connection was to blame (`activity` says what it was).
    """

    activity: str
    holder: Connection | None
    victims: tuple[Connection, ...]

    @property
    def worst(self) -> Connection:
        """The connection that waited longest."""
        return max(self.victims, key=_wait)

    @property
    def seconds(self) -> float:
        """What all of them waited together, in seconds."""
        return sum(_wait(victim) for victim in self.victims)


@dataclass(frozen=True)
class Findings:
    """One server's numbers; `drops`, `queue` and `limit` are None where nothing was measured."""

    connections: tuple[Connection, ...]
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
    def waited(self) -> tuple[Connection, ...]:
        """The connections that waited noticeably."""
        return tuple(one for one in self.connections if _wait(one) >= NOTICEABLE)


def find(recording: Recording, service: str | None = None) -> Findings:
    """Compute the findings of a recording; sums are taken as cumulative, as SDKs send them.

    Args:
        recording: what was received.
        service: only what came with this `service.name`; None for everything.
    """

    def concerns(resource: object) -> bool:
        return service is None or resource == service

    spans = [one for one in recording.spans if concerns(one.resource.get("service.name"))]
    points = [one for one in recording.points() if concerns(one.resource.get("service.name"))]
    connections = tuple(join(spans))
    waits = [wait for one in connections if (wait := one.queue_wait) is not None]
    return Findings(
        connections=connections,
        loop=_loop(points),
        queue=spread(waits) if waits else None,
        depth=_deepest(connections, names.ACCEPT_QUEUE_DEPTH),
        limit=_deepest(connections, names.ACCEPT_QUEUE_LIMIT),
        drops=_drops(points),
        phases=_phases(connections),
        outcomes=dict(Counter(one.outcome for one in connections).most_common()),
        blockers=_blockers(connections),
    )


def worst(connections: Iterable[Connection], how_many: int) -> list[Connection]:
    """Return the connections that waited longest in the queue, one for each culprit.

    Several victims of one culprit would tell the same story; longest wait first.
    """
    told: set[tuple[str, str]] = set()
    chosen: list[Connection] = []
    for one in sorted(connections, key=lambda one: (_wait(one), one.span.duration), reverse=True):
        culprit = (one.blocked_by, one.blocker.span.span_id if one.blocker else "")
        if culprit not in told and len(chosen) < how_many:
            told.add(culprit)
            chosen.append(one)
    return chosen


def spread(seconds: Sequence[float]) -> Spread:
    """Return the spread of at least one value; percentiles are values that occurred."""
    ordered = sorted(seconds)

    def percentile(share: float) -> float:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    return Spread(len(ordered), percentile(0.5), percentile(0.95), ordered[-1])


def _wait(connection: Connection) -> float:
    return connection.queue_wait or 0.0


def _loop(points: Iterable[Point]) -> dict[str, float]:
    seconds: dict[str, float] = defaultdict(float)
    for point in points:
        if point.name == names.M_LOOP_TIME and point.value is not None:
            seconds[text(point.attributes, names.LOOP_STATE)] += point.value
    known = {state: seconds.pop(state) for state in names.LOOP_STATES if state in seconds}
    return known | seconds


def _drops(points: Iterable[Point]) -> int | None:
    values = [one.value for one in points if one.name == names.M_QUEUE_DROPS]
    known = [value for value in values if value is not None]
    return int(sum(known)) if known else None


def _deepest(connections: Iterable[Connection], attribute: str) -> int | None:
    values = (number(one.span.attributes, attribute) for one in connections)
    return max((int(value) for value in values if value is not None), default=None)


def _phases(connections: Iterable[Connection]) -> dict[str, Spread]:
    seconds: dict[str, list[float]] = defaultdict(list)
    for one in connections:
        for phase, spent in one.phases.items():
            seconds[phase].append(spent)
    return {phase: spread(seconds[phase]) for phase in names.PHASES if phase in seconds}


def _blockers(connections: Iterable[Connection]) -> tuple[Blocker, ...]:
    victims: dict[tuple[str, str], list[Connection]] = defaultdict(list)
    for one in connections:
        if one.blocked_by:
            holder = one.blocker.span.span_id if one.blocker else ""
            victims[one.blocked_by, holder].append(one)
    found = (
        Blocker(activity, group[0].blocker, tuple(group))
        for (activity, _), group in victims.items()
    )
    return tuple(sorted(found, key=lambda blocker: blocker.seconds, reverse=True))
