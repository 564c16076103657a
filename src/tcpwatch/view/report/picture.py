"""The loop's picture without a browser: rows, band and queue laid out as shapes on one axis.

Geometry only; templates/loop.svg draws it. Lengths are in pixels of a picture `WIDTH` wide.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tcpwatch import names
from tcpwatch.view.queries import loop
from tcpwatch.view.queries.chosen import Chosen
from tcpwatch.view.sentences import duration
from tcpwatch.view.store import Store

WIDTH = 960
MARGIN = 190
ROW = 17
BAR = 12
BAND = 26
QUEUE = 56
MOST_ROWS = 48
_TOP = 58
_LONGEST_NAME = 30


@dataclass(frozen=True)
class Axis:
    """Seconds since the epoch to pixels."""

    begin: float
    end: float

    def x(self, moment: float) -> float:
        """Return where a moment is, inside the picture."""
        share = (moment - self.begin) / (self.end - self.begin)
        return round(MARGIN + min(max(share, 0.0), 1.0) * (WIDTH - MARGIN), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Return about six positions with the seconds since the beginning that they stand for."""
        wide = self.end - self.begin
        power = 10 ** math.floor(math.log10(wide / 6))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= wide / 6)
        return [
            (self.x(self.begin + step * at), duration(step * at) if at else "0")
            for at in range(int(wide / step) + 1)
        ]


def picture(store: Store, server: int, begin: float, end: float) -> dict[str, Any]:
    """Return what templates/loop.svg needs for a server from `begin` to `end` (seconds, epoch).

    Of more than `MOST_ROWS` connections those that waited or lasted longest are drawn.
    """
    window, axis = loop.Window(begin, end), Axis(begin, end)
    rows, total = loop.rows(store, Chosen(server=server, begin=begin, end=end), MOST_ROWS)
    bottom = _TOP + BAND + 10 + len(rows) * ROW
    place = {row.id: at for at, row in enumerate(rows)}
    named = {row.id: row for row in rows}
    return {
        "width": WIDTH,
        "height": bottom + 26 + QUEUE,
        "margin": MARGIN,
        "band_top": _TOP,
        "band": BAND,
        "bar": BAR,
        "bottom": bottom,
        "ticks": axis.ticks(),
        "legend": _legend(rows),
        "holds": [
            (
                axis.x(hold.start),
                _wide(axis, hold.start, hold.end),
                hold.state,
                _fitting(named.get(hold.id), _wide(axis, hold.start, hold.end)),
            )
            for hold in loop.holds(store, server, window)
        ],
        "rows": [_row(row, _y(at), axis) for at, row in enumerate(rows)],
        "pointers": [
            _pointer(row, rows[place[row.blocker]], place, axis)
            for row in rows
            if row.blocker in place
        ],
        "queue": _queue(store, server, window, axis, bottom + 18),
        "left_out": total - len(rows),
        "total": total,
    }


def _y(at: int) -> int:
    return _TOP + BAND + 10 + at * ROW


def _wide(axis: Axis, start: float, end: float) -> float:
    return round(max(axis.x(end) - axis.x(start), 0.6), 1)


def _row(row: loop.Row, y: int, axis: Axis) -> dict[str, Any]:
    agent = row.agent if row.agent and len(row.agent) <= _LONGEST_NAME else row.peer
    name = f"{agent} · {row.asked}" if row.asked else agent
    return {
        "y": y,
        "name": name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…",
        "waited": row.cause != "",
        "bars": [
            (axis.x(start), _wide(axis, start, end), phase, duration(end - start))
            for phase, start, end in row.bars
            if end >= axis.begin and start <= axis.end
        ],
    }


def _fitting(row: loop.Row | None, wide: float) -> str:
    """Return a name for a stretch of the band, "" if it does not fit."""
    if row is None:
        return ""
    agent = row.agent or row.peer
    return agent if len(agent) * 6.2 < wide - 8 else ""


def _pointer(
    row: loop.Row, blocker: loop.Row, place: dict[str, int], axis: Axis
) -> tuple[float, float, float, int]:
    """Return x, where it begins, where its head is, and which way the head looks."""
    up = place[blocker.id] < place[row.id]
    moment = max(row.start, blocker.start + (blocker.wait or 0.0))
    begin = _y(place[row.id]) + (0 if up else BAR)
    return axis.x(moment), begin, _y(place[blocker.id]) + (BAR if up else 0), 1 if up else -1


def _queue(
    store: Store, server: int, window: loop.Window, axis: Axis, top: float
) -> dict[str, Any]:
    line = loop.waiting(store, server, window)
    room = loop.room(store, server)
    most = max((many for _, many in line), default=0)
    limited = room is not None and room <= max(most, 2) * 3
    high = max(most, room if limited and room else 0, 2) * 1.1

    def y(many: float) -> float:
        return round(top + QUEUE - many / high * QUEUE, 1)

    return {
        "top": top,
        "foot": top + QUEUE,
        "areas": [
            (axis.x(at), _wide(axis, at, until), y(many), round(top + QUEUE - y(many), 1))
            for (at, many), (until, _) in itertools.pairwise(line)
            if many
        ],
        "most": most,
        "room": room,
        "limit": y(room) if limited and room else None,
    }


def _legend(rows: Iterable[loop.Row]) -> list[tuple[float, str, str]]:
    """Return x, phase and word of the phases that are drawn."""
    drawn = {phase for row in rows for phase, *_ in row.bars}
    made: list[tuple[float, str, str]] = []
    at = 0.0
    for phase in names.PHASES:
        if phase in drawn:
            word = phase.replace("_", " ")
            made.append((at, phase, word))
            at += 26 + len(word) * 6.4
    return made
