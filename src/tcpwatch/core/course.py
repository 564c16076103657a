"""Courses: the way through the transition table that a run of marks takes, worked out once.

Most connections make the same kinds of marks in the same order, so where they lead is the same and
only the times differ. A course says which time ends which phase; a leg is a course with its times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tcpwatch import names
from tcpwatch.core.marks import Kind
from tcpwatch.core.record import Interval
from tcpwatch.core.transitions import BEFORE_TLS, NOTES, OVER, TRANSITIONS

MOST_COURSES: Final = 4096
"""Programs and clients may make marks in any order; what is remembered of it is bounded."""

_SAYING: Final = frozenset(
    {
        Kind.TLS_ENDED,
        Kind.HANDLER_BEGAN,
        Kind.FIRST_BYTE,
        Kind.HEAD_PARSED,
        Kind.EXCHANGE_ENDED,
        Kind.NO_REQUEST,
        Kind.HANDLER_ENDED,
        Kind.CLOSED,
        Kind.ABANDONED,
        *NOTES,
    }
)
"""Kinds of marks that say more than that another phase begins."""

_EXCHANGE_OVER: Final = frozenset({Kind.EXCHANGE_ENDED, Kind.NO_REQUEST})


class Step(NamedTuple):
    """One phase, from the time at index `start` to the one at `end`.

    `request` is how many requests have begun in the course before it ends.
    """

    phase: str
    start: int
    end: int
    request: int


class Said(NamedTuple):
    """A mark that says something: its index, its kind, and the phase it found, begun at `since`."""

    mark: int
    kind: int
    left: str
    since: int


class Course:
    """Where a run of marks leads. Index 0 of its times is when the present phase began.

    The time of the mark at index n is at index n + 1. `phase` is the last one, begun at `since`.
    """

    __slots__ = (
        *("anomalies", "before_tls", "moving", "phase", "said", "since", "speaks_http", "steps"),
    )

    def __init__(self, phase: str, before_tls: str, kinds: Sequence[int]) -> None:
        steps: list[Step] = []
        said: list[Said] = []
        moving: list[int] = []
        since = requests = anomalies = 0
        self.speaks_http = False
        for index, kind in enumerate(kinds):
            target = TRANSITIONS.get((phase, kind))
            if target is None and (kind not in NOTES or phase == OVER):
                anomalies += 1
                continue
            if kind in _EXCHANGE_OVER:
                # What a request says while it is under way is of no use once it is over.
                said = [each for each in said if each.kind != Kind.HEAD_PARSED]
            if kind in _SAYING:
                said.append(Said(index, kind, phase, since))
            if target is None:
                continue
            moving.append(index + 1)
            if kind == Kind.HTTP_READY:
                # Until a handler proves to speak HTTP it is a raw one; then that stretch was
                # `idle` all along.
                phase, self.speaks_http = target, True
                continue
            steps.append(Step(phase, since, index + 1, requests))
            requests += (kind == Kind.FIRST_BYTE) - (kind == Kind.NO_REQUEST)
            if target == names.TLS_HANDSHAKE and phase != names.TLS_HANDSHAKE:
                before_tls = phase
            phase = before_tls if target == BEFORE_TLS else target
            since = index + 1
        self.steps, self.said, self.moving = tuple(steps), tuple(said), tuple(moving)
        self.phase, self.before_tls, self.since = phase, before_tls, since
        self.anomalies = anomalies

    def clamped(self, times: Sequence[int], last: int) -> tuple[int, ...]:
        """Return times of which none that ends a phase is before another, or before `last`."""
        found = list(times)
        for index in self.moving:
            last = found[index] = max(found[index], last)
        return tuple(found)


class Leg(NamedTuple):
    """A course with its times (monotonic ns).

    `first` says whether the connection began with it, `requests` how many had begun before.
    """

    course: Course
    times: tuple[int, ...]
    requests: int
    first: bool

    def intervals(self) -> list[Interval]:
        """Return the phases that have ended."""
        times, before = self.times, self.requests
        return [
            Interval(phase, times[start], times[end], before + request)
            for phase, start, end, request in self.course.steps
        ]


_courses: dict[tuple[str, str, tuple[int, ...]], Course] = {}


def course_of(phase: str, before_tls: str, kinds: tuple[int, ...]) -> Course:
    """Return the course of marks of these kinds that begin in `phase`."""
    key = (phase, before_tls, kinds)
    course = _courses.get(key)
    if course is None:
        if len(_courses) >= MOST_COURSES:
            _courses.clear()
        course = _courses[key] = Course(phase, before_tls, kinds)
    return course
