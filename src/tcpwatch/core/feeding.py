"""Feeding timelines: where the core is built in C, most of what a worker does with a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.core.compiled import connect, quick
from tcpwatch.core.course import Leg, course_of, courses
from tcpwatch.core.marks import Accepted, Closing, Exchanged, Marks
from tcpwatch.core.outcome import TCP_CLOSE
from tcpwatch.core.record import RequestRecord
from tcpwatch.core.timeline import MOST_INTERVALS, NOTES, Timeline
from tcpwatch.core.transitions import OVER


@quick
def begun(
    key: int,
    read_end: Callable[[Any], tuple[int | None, int | None]],
    read_closing: Callable[[Any], Closing],
) -> Timeline:
    """Return a new timeline."""
    return Timeline(key, read_end, read_closing)


@quick
def feed(timeline: Timeline, marks: Marks) -> Leg:
    """Feed marks to a timeline; return the leg that they make."""
    return timeline.feed(marks)


connect(
    "timeline",
    {
        **{name: value for name, value in vars(kinds).items() if name.isupper()},
        "Accepted": Accepted,
        "Exchanged": Exchanged,
        "RequestRecord": RequestRecord,
        "Timeline": Timeline,
        "blank_timeline": Timeline(0),
        "courses": courses,
        "course_of": course_of,
        "conclude": Timeline.conclude,
        "notes": NOTES,
        "refused": Timeline.refused,
        "COMPLETED": names.COMPLETED,
        "OVER": OVER,
        "DRAIN": names.DRAIN,
        "MOST_INTERVALS": MOST_INTERVALS,
        "EXCHANGED": len(Exchanged._fields),
        "WAIT": Accepted._fields.index("wait_ns"),
        "FLAGS": Exchanged._fields.index("flags"),
        "REFUSED": Exchanged._fields.index("refused"),
        "STATE": Accepted._fields.index("state"),
        "TCP_CLOSE": TCP_CLOSE,
        "STATUS": Exchanged._fields.index("status"),
    },
)
