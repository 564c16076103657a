"""How each server stands now: the latest values of its metrics, and the rates of the last two.

Spans tell of connections that are over; while one is open, and while the loop is stuck, metrics are
all that a server tells. Nothing is asked of a server or of the kernel: what is here came over OTLP,
so it is as old as the server's last export, and that age is part of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tcpwatch import names
from tcpwatch.view.connections import is_named, text
from tcpwatch.view.signals import Attributes, Point

METRICS: Final = (
    names.M_CONNECTION_ACTIVE,
    names.M_CONNECTION_OLDEST,
    names.M_CONNECTION_ACCEPTED,
    names.M_QUEUE_DEPTH,
    names.M_QUEUE_LIMIT,
    names.M_LOOP_TIME,
    names.M_LOOP_BUSY,
)
"""What is looked at; the last two points of each series are enough."""

STUCK: Final = 1.0
"""Seconds away from select from which on a loop is called stuck; the warning's default, too."""

_SERVICE, _INSTANCE = "service.name", "service.instance.id"
_ONE_EXPORT_NS = 100_000_000
_USUAL_EVERY = 60.0
_SOON = 5.0
_MISSED = 3


@dataclass(frozen=True)
class Open:
    """Open connections in one phase: how many, and the age of the oldest in seconds."""

    phase: str
    count: int
    oldest: float | None


@dataclass(frozen=True)
class Server:
    """One listener of one process.

    `heard` is when its metrics were made (seconds since the epoch), `every` the seconds between the
    last two, None after the first. `loop` has the share of that time for each of the loop's states;
    `busy` how long the loop was away from select then. What was not told is None.
    """

    service: str
    instance: str
    address: str
    port: int | None
    heard: float
    every: float | None = None
    open: tuple[Open, ...] = ()
    loop: Mapping[str, float] = field(default_factory=dict)
    busy: float | None = None
    depth: int | None = None
    limit: int | None = None
    accepted: int | None = None
    rate: float | None = None

    @property
    def name(self) -> str:
        """How people call it."""
        place = f"[{self.address}]" if ":" in self.address else self.address
        place = place if self.port is None else f"{place}:{self.port}"
        return f"{self.service} {place}" if is_named(self.service) else place

    @property
    def connections(self) -> int:
        """How many connections were open."""
        return sum(one.count for one in self.open)

    @property
    def stuck(self) -> bool:
        """Whether its loop had not been back for so long that people notice."""
        return (self.busy or 0.0) >= STUCK

    def is_present(self, now: float) -> bool:
        """Say whether it would have been heard of by `now` (seconds since the epoch), if it ran."""
        every = _USUAL_EVERY if self.every is None else self.every
        return now - self.heard < max(_MISSED * every, _SOON)


@dataclass(frozen=True)
class Ended:
    """A connection that is over: how it ended, how long it was there and waited (seconds)."""

    peer: str
    outcome: str
    seconds: float
    wait: float | None


def servers(points: Iterable[Point]) -> list[Server]:
    """Return every server that these points tell of, the one with the latest news first.

    Args:
        points: in the order of their arrival; others than `METRICS` do not matter.
    """
    by_server: dict[tuple[object, ...], list[Point]] = defaultdict(list)
    for point in points:
        if point.name in METRICS and names.SERVER_ADDRESS in point.attributes:
            by_server[_identity(point)].append(point)
    found = [_server(history) for history in by_server.values()]
    return sorted(found, key=lambda server: (-server.heard, server.name))


def _identity(point: Point) -> tuple[object, ...]:
    return (
        text(point.resource, _SERVICE),
        text(point.resource, _INSTANCE),
        text(point.attributes, names.SERVER_ADDRESS),
        _port(point),
    )


def _port(point: Point) -> int | None:
    port = point.attributes.get(names.SERVER_PORT)
    return port if isinstance(port, int) else None


def _server(history: Sequence[Point]) -> Server:
    newest = max(point.time_ns for point in history)
    runs: dict[object, list[Point]] = defaultdict(list)
    for point in history:
        runs[point.name, _plain(point.attributes)].append(point)
    # A series that is not in the last export has ended: a phase in which nobody is any longer.
    present = [run for run in runs.values() if newest - run[-1].time_ns < _ONE_EXPORT_NS]
    values = {run[-1].name: run[-1].value for run in present if run[-1].value is not None}
    active = _by_phase(present, names.M_CONNECTION_ACTIVE)
    oldest = _by_phase(present, names.M_CONNECTION_OLDEST)
    loop = [run for run in present if run[-1].name == names.M_LOOP_TIME]
    states = {
        text(run[-1].attributes, names.LOOP_STATE): rate
        for run in loop
        if (rate := _rate(run)) is not None
    }
    # Counters are read a moment after their export was given its time.
    whole = max(1.0, sum(states.values()))
    accepted = next((run for run in present if run[-1].name == names.M_CONNECTION_ACCEPTED), [])
    first = history[-1]
    return Server(
        service=text(first.resource, _SERVICE),
        instance=text(first.resource, _INSTANCE),
        address=text(first.attributes, names.SERVER_ADDRESS),
        port=_port(first),
        heard=newest / 1e9,
        every=_every(present),
        open=tuple(
            Open(phase, int(count), oldest.get(phase))
            for phase, count in sorted(active.items(), key=lambda one: _order(one[0]))
            if count > 0
        ),
        loop={
            state: states[state] / whole for state in sorted(states, key=lambda one: -states[one])
        },
        busy=values.get(names.M_LOOP_BUSY),
        depth=_whole(values.get(names.M_QUEUE_DEPTH)),
        limit=_whole(values.get(names.M_QUEUE_LIMIT)),
        accepted=_whole(values.get(names.M_CONNECTION_ACCEPTED)),
        rate=_rate(accepted),
    )


def _by_phase(runs: Iterable[Sequence[Point]], metric: str) -> dict[str, float]:
    return {
        text(run[-1].attributes, names.PHASE_NAME): run[-1].value
        for run in runs
        if run[-1].name == metric and run[-1].value is not None
    }


def _order(phase: str) -> int:
    return names.PHASES.index(phase) if phase in names.PHASES else len(names.PHASES)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _plain(attributes: Attributes) -> frozenset[tuple[str, str]]:
    return frozenset((name, repr(value)) for name, value in attributes.items())


def _rate(run: Sequence[Point]) -> float | None:
    """Return what a counter grew by in a second, between its last two points."""
    if not run or run[-1].value is None:
        return None
    now = run[-1]
    if now.temporality == "DELTA":
        seconds, grown = (now.time_ns - now.start_ns) / 1e9, now.value or 0
    elif len(run) < 2 or run[-2].value is None or run[-2].start_ns != now.start_ns:
        return None
    else:
        before = run[-2]
        seconds = (now.time_ns - before.time_ns) / 1e9
        grown = (now.value or 0) - (before.value or 0)
    return grown / seconds if seconds > 0 and grown >= 0 else None


def _every(runs: Iterable[Sequence[Point]]) -> float | None:
    spans = [(run[-1].time_ns - run[-2].time_ns) / 1e9 for run in runs if len(run) > 1]
    return min((span for span in spans if span > 0), default=None)
