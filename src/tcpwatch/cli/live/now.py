"""How each server stands now: the latest values of its metrics, and the rates of the last two.

Nothing is asked of a server or of the kernel: what is here came over OTLP, so it is as old as the
server's last export, and that age is part of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tcpwatch import names
from tcpwatch.view.connections import Connection, text
from tcpwatch.view.recording import Recording
from tcpwatch.view.signals import Attributes, Point

Key = tuple[str, str, str, str]
"""Service, its instance, and the listener's address and port."""

_SERVICE, _INSTANCE = "service.name", "service.instance.id"


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

    name: str
    heard: float
    every: float | None
    open: tuple[Open, ...] = ()
    loop: Mapping[str, float] = field(default_factory=dict)
    busy: float | None = None
    depth: int | None = None
    limit: int | None = None
    accepted: int | None = None
    rate: float | None = None

    @property
    def connections(self) -> int:
        """How many connections were open."""
        return sum(one.count for one in self.open)


def servers(recording: Recording) -> list[Server]:
    """Return every server that has sent metrics, the one with the latest news first."""
    points: dict[Key, list[Point]] = defaultdict(list)
    for point in recording.points():
        if point.scope == names.SCOPE and names.SERVER_ADDRESS in point.attributes:
            points[_key(point)].append(point)
    before = {
        metric: _by_series(recording.history(metric))
        for metric in (names.M_LOOP_TIME, names.M_CONNECTION_ACCEPTED)
    }
    found = [_server(key, latest, before) for key, latest in points.items()]
    return sorted(found, key=lambda server: (-server.heard, server.name))


def ended(recording: Recording, most: int) -> list[Connection]:
    """Return the connections that ended last, the latest first."""
    found = [
        Connection(span)
        for span in recording.spans
        if span.scope == names.SCOPE and span.name in (names.SPAN_TCP, names.SPAN_UNIX)
    ]
    return sorted(found, key=lambda one: one.span.end_ns, reverse=True)[:most]


def _server(
    key: Key, latest: Sequence[Point], before: Mapping[str, Mapping[object, list[Point]]]
) -> Server:
    values = {point.name: point.value for point in latest if point.value is not None}
    oldest = _by_phase(latest, names.M_CONNECTION_OLDEST)
    opened = [
        Open(phase, int(count), oldest.get(phase))
        for phase, count in _by_phase(latest, names.M_CONNECTION_ACTIVE).items()
        if count > 0
    ]
    newest = max(point.time_ns for point in latest)
    loop = [point for point in latest if point.name == names.M_LOOP_TIME]
    rates = {
        text(point.attributes, names.LOOP_STATE): rate
        for point in loop
        if (rate := _rate(before[names.M_LOOP_TIME].get(_series(point), []))) is not None
    }
    accepted = [point for point in latest if point.name == names.M_CONNECTION_ACCEPTED]
    return Server(
        name=_name(key),
        heard=newest / 1e9,
        every=_every(before[names.M_LOOP_TIME], loop),
        open=tuple(sorted(opened, key=lambda one: _order(one.phase))),
        loop=dict(sorted(rates.items(), key=lambda state: -state[1])),
        busy=values.get(names.M_LOOP_BUSY),
        depth=_whole(values.get(names.M_QUEUE_DEPTH)),
        limit=_whole(values.get(names.M_QUEUE_LIMIT)),
        accepted=_whole(values.get(names.M_CONNECTION_ACCEPTED)),
        rate=_rate(before[names.M_CONNECTION_ACCEPTED].get(_series(accepted[0]), []))
        if accepted
        else None,
    )


def _key(point: Point) -> Key:
    port = point.attributes.get(names.SERVER_PORT)
    return (
        text(point.resource, _SERVICE),
        text(point.resource, _INSTANCE),
        text(point.attributes, names.SERVER_ADDRESS),
        str(port) if isinstance(port, int) else "",
    )


def _name(key: Key) -> str:
    service, _, address, port = key
    place = f"[{address}]" if ":" in address else address
    place = f"{place}:{port}" if port else place
    return place if service.startswith("unknown_service") or not service else f"{service} {place}"


def _by_phase(points: Iterable[Point], metric: str) -> dict[str, float]:
    return {
        text(point.attributes, names.PHASE_NAME): point.value
        for point in points
        if point.name == metric and point.value is not None
    }


def _order(phase: str) -> int:
    return names.PHASES.index(phase) if phase in names.PHASES else len(names.PHASES)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _series(point: Point) -> object:
    return _key(point), _plain(point.attributes)


def _plain(attributes: Attributes) -> frozenset[tuple[str, str]]:
    return frozenset((name, repr(value)) for name, value in attributes.items())


def _by_series(history: Iterable[Point]) -> dict[object, list[Point]]:
    """Return the last two points of each series."""
    found: dict[object, list[Point]] = defaultdict(list)
    for point in history:
        found[_series(point)] = [*found[_series(point)][-1:], point]
    return found


def _rate(last: Sequence[Point]) -> float | None:
    """Return what a counter grew by in a second, between its last two points."""
    if not last or last[-1].value is None:
        return None
    now = last[-1]
    if now.temporality == "DELTA":
        seconds, grown = (now.time_ns - now.start_ns) / 1e9, now.value or 0
    elif len(last) < 2 or last[0].value is None or last[0].start_ns != now.start_ns:
        return None
    else:
        seconds, grown = (now.time_ns - last[0].time_ns) / 1e9, (now.value or 0) - last[0].value
    return grown / seconds if seconds > 0 and grown >= 0 else None


def _every(before: Mapping[object, list[Point]], loop: Sequence[Point]) -> float | None:
    for point in loop:
        last = before.get(_series(point), [])
        if len(last) == 2:
            return (last[1].time_ns - last[0].time_ns) / 1e9
    return None
