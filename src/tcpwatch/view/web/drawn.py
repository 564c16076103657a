"""The loop's picture as the page gets it: lists without names, times from the window's begin on."""

from __future__ import annotations

from typing import Any

from tcpwatch import names
from tcpwatch.view.queries import loop, now
from tcpwatch.view.queries.chosen import Chosen
from tcpwatch.view.store import Store

Depths = list[tuple[float, int]]


def drawn(
    store: Store, server: int, chosen: Chosen, window: loop.Window, most: int
) -> dict[str, Any]:
    """Return what a server's picture of a window is made of, at most so many rows of it."""
    rows, total = loop.rows(store, chosen, most)
    base = window.begin

    def moved(depths: Depths) -> Depths:
        return [(round(at - base, 6), many) for at, many in depths]

    return {
        "version": store.version,
        "base": base,
        "total": total,
        "room": loop.room(store, server),
        "rows": [_row(row, base) for row in rows],
        "holds": [
            (round(one.start - base, 6), round(one.end - base, 6), one.state, one.id)
            for one in loop.holds(store, server, window)
        ],
        "shares": [
            (round(since - base, 3), round(until - base, 3), states)
            for since, until, states in loop.shares(store, server, window)
        ],
        "waiting": moved(loop.waiting(store, server, window)),
        "depths": moved(loop.depths(store, server, window)),
        "measured": moved(now.depths(store, server, window.begin, window.end)),
    }


def _row(row: loop.Row, base: float) -> list[Any]:
    bars = [
        part
        for phase, start, end in row.bars
        for part in (names.PHASES.index(phase), round(start - base, 6), round(end - base, 6))
    ]
    return [
        row.id,
        round(row.start - base, 6),
        round(row.end - base, 6),
        row.wait,
        row.peer,
        row.agent,
        row.asked,
        row.requests,
        row.status,
        row.outcome,
        row.dispatch,
        row.cause,
        row.blocker,
        bars,
    ]
