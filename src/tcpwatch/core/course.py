"""Courses: the way through the transition table that a run of marks takes, worked out once.

Most connections make the same kinds of marks in the same order, so where they lead is the same and
only the times differ. A course says which time ends which phase; a leg is a course with its times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.core.compiled import connect, quick
from tcpwatch.core.marks import MARK
from tcpwatch.core.record import Interval
from tcpwatch.core.transitions import BEFORE_TLS, NOTES, OVER, TRANSITIONS

MOST_COURSES: Final = 4096
"""Programs and clients may make marks in any order; what is remembered of it is bounded."""

_SAYING: Final = frozenset(
    {
        kinds.TLS_ENDED,
        kinds.HANDLER_BEGAN,
        kinds.FIRST_BYTE,
        kinds.HEAD_PARSED,
        kinds.EXCHANGE_ENDED,
        kinds.NO_REQUEST,
        kinds.HANDLER_ENDED,
        kinds.CLOSED,
        kinds.ABANDONED,
        *NOTES,
    }
)
"""Kinds of marks that say more than that another phase begins."""

_EXCHANGE_OVER: Final = frozenset({kinds.EXCHANGE_ENDED, kinds.NO_REQUEST})
_IN_EXCHANGE: Final = frozenset({kinds.FIRST_BYTE, kinds.HEAD_PARSED})


class Step(NamedTuple):
    """One phase, from the time at index `start` to the one at `end`.

    `request` is how many requests have begun in the course before it ends; None if what was read
    in it turned out to be no request.
    """

    phase: str
    start: int
    end: int
    request: int | None


class Said(NamedTuple):
    """A mark that says something: its kind, and the indices of its payload and of its time.

    `left` is the phase that it found, begun at `since`. For the end of a request `began` is the
    index of its FIRST_BYTE's payload, if that is in the same course.
    """

    kind: int
    payload: int
    time: int
    left: str
    since: int
    began: int | None


class Course:
    """Where a run of marks leads. Index 0 of its times is when the present phase began.

    The time of the n-th mark is at index n. `phase` is the one that they lead to, begun at `since`;
    `last` is the time of the last mark that the table has expected.
    """

    __slots__ = (
        *("_by_request", "anomalies", "before_tls", "last", "moving", "phase"),
        *("said", "since", "speaks_http", "steps"),
    )

    def __init__(self, phase: str, before_tls: str, marks: Sequence[int]) -> None:
        steps: list[Step] = []
        said: list[Said] = []
        moving: list[int] = []
        since = requests = anomalies = 0
        self.speaks_http = False
        for index, kind in enumerate(marks):
            target = TRANSITIONS.get((phase, kind))
            if target is None and (kind not in NOTES or phase == OVER):
                anomalies += 1
                continue
            time, payload = index + 1, MARK * index + 2
            if kind in _EXCHANGE_OVER:
                # What a request says while it is under way is of no use once it is over.
                began = next((each for each in said if each.kind == kinds.FIRST_BYTE), None)
                said = [each for each in said if each.kind not in _IN_EXCHANGE]
                found = began.payload if began is not None else None
                said.append(Said(kind, payload, time, phase, since, found))
            elif kind in _SAYING:
                said.append(Said(kind, payload, time, phase, since, None))
            if target is None:
                continue
            moving.append(time)
            if kind == kinds.HTTP_READY:
                # Until a handler proves to speak HTTP it is a raw one; then that stretch was
                # `idle` all along.
                phase, self.speaks_http = target, True
                continue
            of_none = kind == kinds.NO_REQUEST
            steps.append(Step(phase, since, time, None if of_none else requests))
            requests += (kind == kinds.FIRST_BYTE) - of_none
            if target == names.TLS_HANDSHAKE and phase != names.TLS_HANDSHAKE:
                before_tls = phase
            phase = before_tls if target == BEFORE_TLS else target
            since = time
        self.steps, self.said, self.moving = tuple(steps), tuple(said), tuple(moving)
        self.phase, self.before_tls, self.since = phase, before_tls, since
        self.last = moving[-1] if moving else 0
        self.anomalies = anomalies
        self._by_request: dict[tuple[int, frozenset[str]], tuple[Step, ...]] = {}

    def of_request(self, number: int, phases: frozenset[str]) -> tuple[Step, ...]:
        """Return the steps in these phases while `number` requests had begun; 0: before any."""
        key = number, phases
        steps = self._by_request.get(key)
        if steps is None:
            of_it = (step for step in self.steps if step.request == number)
            steps = self._by_request[key] = tuple(step for step in of_it if step.phase in phases)
        return steps

    def clamped(self, times: Sequence[int], last: int) -> list[int]:
        """Return times of which none that ends a phase is before another, or before `last`."""
        found = list(times)
        for index in self.moving:
            last = found[index] = max(found[index], last)
        return found


class Leg(NamedTuple):
    """A course with its times (monotonic ns).

    `first` says whether the connection began with it, `requests` how many had begun before.
    """

    course: Course
    times: Sequence[int]
    requests: int
    first: bool


@quick
def add_spent(
    legs: Iterable[Leg], sequence: int, phases: frozenset[str], found: dict[str, int]
) -> None:
    """Add the nanoseconds that legs spent in these phases at the n-th request (0: before any)."""
    for course, times, requests, _ in legs:
        for phase, start, end, _ in course.of_request(sequence - requests, phases):
            found[phase] = found.get(phase, 0) + times[end] - times[start]


@quick
def intervals_of(legs: Iterable[Leg], shortest_ns: int) -> list[Interval]:
    """Return the phases of legs that have ended and took so long."""
    return [
        Interval(phase, times[start], times[end], 0 if request is None else before + request)
        for course, times, before, _ in legs
        for phase, start, end, request in course.steps
        if times[end] - times[start] >= shortest_ns
    ]


@quick
def add_up(legs: Iterable[Leg], found: dict[str, int]) -> None:
    """Add the nanoseconds of the legs' phases to those `found` before.

    The sum of differences is the difference of sums: legs that took the same course add up fast.
    """
    for course, same in groupby(legs, _course_of_leg):
        times, *more = map(_times_of_leg, same)
        if more:
            times = list(map(sum, zip(times, *more, strict=True)))
        for phase, start, end, _ in course.steps:
            found[phase] = found.get(phase, 0) + times[end] - times[start]


_course_of_leg: Final[Callable[[Leg], Course]] = itemgetter(0)
_times_of_leg: Final[Callable[[Leg], Sequence[int]]] = itemgetter(1)

courses: dict[tuple[str, str, tuple[int, ...]], Course] = {}


def course_of(phase: str, before_tls: str, marks: tuple[int, ...]) -> Course:
    """Return the course of marks of these kinds that begin in `phase`."""
    key = (phase, before_tls, marks)
    course = courses.get(key)
    if course is None:
        if len(courses) >= MOST_COURSES:
            courses.clear()
        course = courses[key] = Course(phase, before_tls, marks)
    return course


connect("course", {"Course": Course, "Interval": Interval, "Leg": Leg})
