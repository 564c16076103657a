"""Keeping by outcome: what is interesting, and how much of it."""

from __future__ import annotations

import pytest

from tcpwatch.core.marks import Accepted, Kind, Mark
from tcpwatch.core.record import ConnectionRecord
from tcpwatch.core.timeline import Timeline
from tcpwatch.emit.keep import Keeper
from tcpwatch.settings import Settings

SECOND = 1_000_000_000
ACCEPTED = Accepted(0, 1, 0, 0, 9, 1, None, None, None, None, None, 1, 2)
BEGIN: list[Mark] = [
    (Kind.ACCEPTED, SECOND, tuple(ACCEPTED)),
    (Kind.HANDLER_BEGAN, SECOND, "inline"),
]
CLOSED: Mark = (Kind.CLOSED, 9 * SECOND, None)


def over(*marks: Mark) -> ConnectionRecord:
    """Return the record of a connection with these marks."""
    timeline = Timeline(1)
    timeline.feed([*BEGIN, *marks, CLOSED])
    return timeline.record()


@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        ([(Kind.HANDLER_ENDED, 2 * SECOND, None, False)], "slow"),
        ([(Kind.HANDLER_ENDED, SECOND, "KeyError", False)], "failed"),
        ([(Kind.BLOCKING, SECOND, "inline", 1.0, 3)], "blocking"),
        ([(Kind.HTTP_READY, SECOND), (Kind.HANDLER_ENDED, 8 * SECOND + 1, None, False)], None),
    ],
    ids=["slow", "failed", "blocking", "idle is the client's choice"],
)
def test_what_is_interesting(marks: list[Mark], reason: str | None) -> None:
    """Slow, failed or blocking, in the order blocking, failed, slow."""
    assert Keeper(Settings()).reason(over(*marks)) == reason


def test_hostile_traffic_cannot_force_everything() -> None:
    """At most so many a second for each reason."""
    keeper = Keeper(Settings(keep_per_second=3))

    reasons = [keeper.reason(over()) for _ in range(10)]

    assert reasons == ["slow"] * 3 + [None] * 7
