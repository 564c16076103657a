"""What a leg has to tell the histograms is the same in C and in Python."""

from __future__ import annotations

import gc
import sys
from itertools import pairwise
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpwatch.core import kinds
from tcpwatch.core.feeding import begun, feed
from tcpwatch.core.marks import MARK, Closing, Marks
from tcpwatch.core.timeline import Timeline
from tcpwatch.emit.compiled import twins
from tcpwatch.emit.histograms import told
from tcpwatch.kernel.tcp_info import SIZE, read_closing, read_end
from tests.core.lives import accepted, ending, exchange, flat
from tests.core.test_marks import LIVES, PAYLOADS

pytestmark = pytest.mark.skipif(
    not twins.in_python, reason="nothing is built in C here; tcpwatch doctor says why"
)

SAID: dict[int, list[Any]] = {
    kinds.ACCEPTED: [accepted()[2], accepted(depth=None)[2], accepted(wait_ns=None)[2]],
    kinds.EXCHANGE_ENDED: [
        exchange(0, status=404, route="/x")[-1][2],
        exchange(0, peer_instrumented=True)[-1][2],
    ],
    kinds.CLOSED: [None, bytes([8]) + bytes(SIZE - 1), b"\x08" + b"\x01" * (SIZE - 1)],
}
"""What else a mark may say."""


def legs(messages: list[Marks]) -> list[tuple[Any, Any]]:
    """Return what each message has to tell, in C and in Python."""
    timeline = begun(1, read_end, read_closing)
    found = []
    for each in messages:
        leg = feed(timeline, each)
        found.append((told(7, timeline, leg), twins.in_python["told"](7, timeline, leg)))
        timeline.requests = []
    return found


@given(LIVES, st.data())
def test_a_leg_tells_in_c_what_it_tells_in_python(life: list[int], data: st.DataObject) -> None:
    """Whatever marks, in one message or many, and whatever they say."""
    times = [110 + 10 * number for number in range(len(life))]
    usual = [(kind, when, PAYLOADS.get(kind)) for kind, when in zip(life, times, strict=True)]
    marks = flat(
        (kind, when, data.draw(st.sampled_from([says, *SAID.get(kind, [])])))
        for kind, when, says in [accepted(), *usual, *ending(1000)]
    )
    cuts = data.draw(st.sets(st.integers(1, len(life) + 1), max_size=3))
    edges = [0, *sorted(MARK * cut for cut in cuts), len(marks)]

    for in_c, in_python in legs([marks[start:stop] for start, stop in pairwise(edges)]):
        assert in_c == in_python
        assert list(map(type, in_c[1])) == list(map(type, in_python[1]))


def test_what_is_no_timeline_is_left_to_python() -> None:
    """Then it says what is wrong with it."""
    with pytest.raises((TypeError, AttributeError)):
        told(7, object(), object())  # type: ignore[arg-type]  # that is the point


def test_a_timeline_without_its_first_mark_is_left_to_python() -> None:
    """A worker delivers no such one."""
    timeline = Timeline(1, read_end, read_closing)
    leg = feed(begun(1, read_end, read_closing), flat([accepted(), *ending(1000)]))
    with pytest.raises(AssertionError):
        told(7, timeline, leg)


def test_telling_leaves_nothing_behind() -> None:
    """A thousand legs later there are as many blocks of memory as before."""
    timeline = begun(1, itemgetter(0, 5), Closing._make)
    leg = feed(timeline, flat([accepted(), *exchange(110), *ending(1000)]))

    def blocks() -> int:
        for _ in range(1000):
            told(7, timeline, leg)
        gc.collect()
        return sys.getallocatedblocks()

    blocks()
    assert abs(blocks() - blocks()) < 50
