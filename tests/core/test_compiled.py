"""The core in C does what the one in Python does, and leaves to it what it does not know."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from itertools import pairwise
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpwatch.core import compiled, kinds
from tcpwatch.core.course import Leg, add_spent, add_up, intervals_of
from tcpwatch.core.feeding import begun, feed
from tcpwatch.core.marks import MARK, Closing, Marks
from tcpwatch.core.record import BEFORE_REQUESTS, UNTIL_LAST_BYTE
from tcpwatch.core.timeline import Timeline
from tests.core.lives import HANDLER, accepted, ending, exchange, flat
from tests.core.test_marks import LIVES, PAYLOADS

pytestmark = pytest.mark.skipif(
    not compiled.in_python, reason="the core is not built in C here; tcpwatch doctor says why"
)

_END = itemgetter(0, 5)
"""State and bytes received of a `Closing`."""

ODD: dict[int, list[Any]] = {
    kinds.ACCEPTED: [
        tuple(accepted(**changes)[2])
        for changes in ({"wait_ns": None}, {"state": 7}, {"state": 10**30}, {"state": None})
    ],
    kinds.EXCHANGE_ENDED: [
        exchange(0, **changes)[-1][2]
        for changes in (
            {"status": 503},
            {"status": None, "flags": 0},
            {"status": 10**30},
            {"status": -(10**30)},
            {"refused": True, "status": 400},
        )
    ],
    kinds.SAMPLED: [(0, ()), (1, (("vendor", "value"),)), (1, [])],
    kinds.HANDLER_ENDED: [("ValueError", False), ("BrokenPipeError", True)],
    kinds.TLS_ENDED: [(None, ("TLSv1.3", "cipher", False)), ("SSLError", None)],
    kinds.CLOSED: [
        None,
        tuple(Closing(state=7)),
        tuple(Closing(state=1, bytes_received=0)),
        tuple(Closing(state=-(10**30), bytes_received=1)),
    ],
}
"""What else a mark may say."""


def twin(name: str) -> Callable[..., Any]:
    """Return the function in Python."""
    return compiled.in_python[name]


def state(timeline: Timeline) -> dict[str, Any]:
    """Return all that a timeline holds."""
    found = {name: getattr(timeline, name) for name in Timeline.__slots__}
    signs = found.pop("_signs")
    return {**found, "signs": signs and vars(signs)}


def lived(messages: list[Marks], feeds: Callable[[Timeline, Marks], Leg]) -> list[Any]:
    """Return what a timeline was after each message, and its record if it is over."""
    timeline = Timeline(1, _END, Closing._make)
    found: list[Any] = [(feeds(timeline, list(each)), state(timeline)) for each in messages]
    if timeline.outcome is not None:
        found.append(timeline.record())
    return found


@given(LIVES, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 900)), max_size=3), st.data())
def test_a_timeline_fed_in_c_is_the_one_fed_in_python(
    life: list[int], late: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Whatever marks, in order or not, in one message or many, and whatever they say."""
    times = [110 + 10 * number for number in range(len(life))]
    for place, when in late:
        times[place % len(times)] = when
    first = (kinds.ACCEPTED, 100, data.draw(st.sampled_from([accepted()[2], *ODD[0]])))
    said = [data.draw(st.sampled_from([PAYLOADS.get(kind), *ODD.get(kind, [])])) for kind in life]
    marks = flat([first, *zip(life, times, said, strict=True), *ending(1000)])
    cuts = data.draw(st.sets(st.integers(1, len(life) + 1), max_size=4))
    edges = [0, *sorted(MARK * cut for cut in cuts), len(marks)]
    messages = [marks[start:end] for start, end in pairwise(edges)]

    assert lived(messages, feed) == lived(messages, twin("feed"))


ORDINARY = flat([accepted(), *HANDLER, *exchange(130), *ending(175, Closing(state=8))])
KEPT_ALIVE = [
    flat([accepted(), *HANDLER, *exchange(130)]),
    *(flat(exchange(200 + 100 * number)) for number in range(20)),
    flat(ending(9000, Closing(state=1))),
]
IN_PIECES = [
    flat([accepted(), *HANDLER, *exchange(130)[:2]]),
    flat([*exchange(130)[2:], *ending(175, Closing(state=8))]),
]


@pytest.mark.parametrize("messages", [[ORDINARY], KEPT_ALIVE, IN_PIECES])
def test_legs_are_added_up_the_same(messages: list[Marks]) -> None:
    """Their phases, their intervals and what each request has spent."""
    timeline = Timeline(1, _END, Closing._make)
    legs = [feed(timeline, each) for each in messages]
    for shortest in (0, 10, 50):
        assert intervals_of(legs, shortest) == twin("intervals_of")(legs, shortest)
    sums: list[tuple[Callable[..., Any], list[Any]]] = [
        (add_up, [legs]),
        *((add_spent, [legs, number, BEFORE_REQUESTS]) for number in range(3)),
        *((add_spent, [legs, number, UNTIL_LAST_BYTE]) for number in range(23)),
    ]
    for function, asked in sums:
        found, expected = {"idle": 5}, {"idle": 5}
        function(*asked, found)
        twin(function.__name__)(*asked, expected)
        assert list(found.items()) == list(expected.items())


def test_a_new_timeline_is_the_one_in_python() -> None:
    """With lists and a dictionary of its own."""
    one, other = begun(3, _END, Closing._make), begun(3, _END, Closing._make)

    assert state(one) == state(twin("begun")(3, _END, Closing._make))
    for name, value in state(one).items():
        if isinstance(value, (list, dict)):
            assert value is not getattr(other, name)


class Frozen:
    """A request that is told by what freezes to its fields, or does not."""

    def __init__(self, fields: Any) -> None:
        self._fields = fields

    def freeze(self) -> Any:
        """Return its fields, or raise what it is given."""
        if isinstance(self._fields, Exception):
            raise self._fields
        return self._fields


def told(fields: Any) -> Marks:
    """Return an ordinary connection whose request is told so."""
    return [Frozen(fields) if value == exchange(130)[-1][2] else value for value in ORDINARY]


def test_a_request_may_be_told_by_what_freezes_to_it() -> None:
    """As in the process that has served it."""
    fields = exchange(130)[-1][2]
    requests = []
    for feeds in (feed, twin("feed")):
        timeline = Timeline(1)
        feeds(timeline, told(fields))
        requests.append([request._replace(legs=()) for request in timeline.requests])

    assert requests[0] == requests[1]
    assert len(requests[0]) == 1


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        (ValueError("as asked"), "as asked"),
        (None, "Exchanged"),
        *((tuple(range(size)), "Exchanged") for size in (2, 9, 22, 24)),
    ],
)
def test_what_goes_wrong_is_raised(fields: Any, error: str) -> None:
    """The worker drops the message and says so; no request is counted."""
    timeline = Timeline(1)
    with pytest.raises((ValueError, TypeError), match=error):
        feed(timeline, told(fields))
    assert (timeline.sequence, timeline.count) == (0, 0)


@pytest.mark.parametrize(
    "marks",
    [[], [kinds.ACCEPTED], [kinds.ACCEPTED, 100, None], ["?", 100, (0,)], None],
    ids=["none", "half a mark", "no facts", "no kind", "no list"],
)
def test_nonsense_is_left_to_python(marks: Any) -> None:
    """What that raises is raised."""
    errors = []
    for feeds in (feed, twin("feed")):
        with pytest.raises(Exception) as caught:  # noqa: PT011  # whichever: it is the same
            feeds(Timeline(1), marks)
        errors.append((caught.type, str(caught.value)))

    assert errors[0] == errors[1]


@pytest.mark.parametrize(
    "messages",
    [[ORDINARY], KEPT_ALIVE, IN_PIECES, [told(exchange(130, status=503)[-1][2])]],
    ids=["ordinary", "kept alive", "in pieces", "failed"],
)
def test_a_timeline_leaves_nothing_behind(messages: list[Marks]) -> None:
    """Two hundred of them later there are as many blocks of memory as before."""

    def blocks() -> int:
        for _ in range(200):
            timeline = begun(1, _END, Closing._make)
            for each in messages:
                feed(timeline, each)
            timeline.record()
            for request in timeline.requests:
                timeline.phases_of(request)
        gc.collect()
        return sys.getallocatedblocks()

    blocks()
    grown = [after - before for before, after in pairwise(blocks() for _ in range(5))]
    assert min(grown) < 50
