"""When a request began: in its connection's order, and by the wall clock if that was stepped."""

from __future__ import annotations

from typing import Any

import pytest

from tcpwatch.hub import connection
from tcpwatch.hub.connection import Connection

SECOND = 1_000_000_000
ACCEPTED_NS, WALL_NS = 5 * SECOND, 1_700_000_000 * SECOND


@pytest.mark.parametrize(
    ("late", "told"),
    [
        (0, 0),
        (99_000_000, 0),  # another thread ran between two readings
        (-99_000_000, 0),
        (3600 * SECOND, 3600 * SECOND),  # the clock was stepped
        (-3600 * SECOND, -3600 * SECOND),
    ],
)
def test_a_request_begins_by_its_connections_clock_unless_that_was_stepped(
    monkeypatch: pytest.MonkeyPatch, late: int, told: int
) -> None:
    """`late` is what the wall clock says beyond the time that has gone by since the accept."""
    anything: Any = None
    facts = (WALL_NS, 1, *[None] * 9, 1, 2)
    accepted = Connection(1, anything, ACCEPTED_NS, 1, facts)
    monkeypatch.setattr(connection, "wall_clock", lambda: WALL_NS + 7 * SECOND + late)

    exchange = accepted.first_byte(ACCEPTED_NS + 7 * SECOND)

    assert exchange.wall_ns == WALL_NS + 7 * SECOND + told
