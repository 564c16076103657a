"""Keeping by outcome: what is interesting, and how much of it."""

from __future__ import annotations

import pytest

from tcpwatch.core import kinds
from tcpwatch.core.marks import Accepted, Marks
from tcpwatch.core.record import ConnectionRecord
from tcpwatch.core.timeline import Timeline
from tcpwatch.emit.keep import Keeper
from tcpwatch.settings import Settings

SECOND = 1_000_000_000
ACCEPTED = Accepted(0, 1, 0, 0, 9, 1, None, None, None, None, None, 1, 2)
BEGIN: Marks = [kinds.ACCEPTED, SECOND, tuple(ACCEPTED), kinds.HANDLER_BEGAN, SECOND, "inline"]
CLOSED: Marks = [kinds.CLOSED, 9 * SECOND, None]


def over(*marks: object) -> ConnectionRecord:
    """Return the record of a connection with these marks."""
    timeline = Timeline(1)
    timeline.feed([*BEGIN, *marks, *CLOSED])
    return timeline.record()


@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        ([kinds.HANDLER_ENDED, 2 * SECOND, None], "slow"),
        ([kinds.HANDLER_ENDED, SECOND, ("KeyError", False)], "failed"),
        ([kinds.BLOCKING, SECOND, ("inline", 1.0, 3)], "blocking"),
        ([kinds.HTTP_READY, SECOND, None, kinds.HANDLER_ENDED, 8 * SECOND + 1, None], None),
    ],
    ids=["slow", "failed", "blocking", "idle is the client's choice"],
)
def test_what_is_interesting(marks: Marks, reason: str | None) -> None:
    """Slow, failed or blocking, in the order blocking, failed, slow."""
    assert Keeper(Settings()).reason(over(*marks)) == reason


def test_hostile_traffic_cannot_force_everything() -> None:
    """At most so many a second for each reason."""
    keeper = Keeper(Settings(keep_per_second=3))

    reasons = [keeper.reason(over()) for _ in range(10)]

    assert reasons == ["slow"] * 3 + [None] * 7
