"""Properties: whatever marks come, in whatever order and messages."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.core.marks import MARK
from tcpwatch.core.timeline import Timeline
from tcpwatch.core.transitions import OVER, TRANSITIONS, phase_after
from tests.core.lives import ACCEPTED, EXCHANGED, HANDLER, accepted, ending, exchange, flat

PAYLOADS: dict[int, Any] = {
    kinds.ACCEPTED: tuple(ACCEPTED),
    kinds.TLS_ENDED: (None, None),
    kinds.HANDLER_BEGAN: "thread",
    kinds.FIRST_BYTE: 1,
    kinds.HEAD_PARSED: ("GET", "http"),
    kinds.EXCHANGE_ENDED: tuple(EXCHANGED),
    kinds.READ_FAILED: "EOF",
    kinds.REJECTED: True,
    kinds.NO_REQUEST: True,
    kinds.BLOCKING: ("inline", 1.0, 2),
    kinds.ABANDONED: "uninstalled",
    kinds.SAMPLED: (1, ()),
}
KINDS = list(kinds.ALL)


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 1_000)), max_size=60),
    st.one_of(st.none(), st.integers(0, 100)),
)
def test_any_order_of_marks_gives_a_record(noise: list[tuple[int, int]], wait: int | None) -> None:
    """Whatever a program does: no exception, no overlap, and the phases add up to the lifetime."""
    timeline = Timeline(1)
    timeline.feed(flat([accepted(wait_ns=wait)]))
    for kind, when in noise:
        timeline.feed([kind, when, PAYLOADS.get(kind)])
    timeline.feed([kinds.ABANDONED, 2_000, "server_shutdown"])

    assert timeline.phase == OVER
    done = timeline.record()
    assert sum(done.phases.values()) == done.end_ns - done.start_ns
    for earlier, later in zip(done.intervals, done.intervals[1:], strict=False):
        assert earlier.start_ns <= earlier.end_ns == later.start_ns


CHAPTERS: tuple[tuple[int, ...], ...] = (
    (kinds.HANDLER_BEGAN, kinds.HTTP_READY),
    (kinds.TLS_BEGAN, kinds.TLS_ENDED),
    tuple(kind for kind, *_ in exchange(0)),
    tuple(kind for kind, *_ in exchange(0)),
    (kinds.FIRST_BYTE, kinds.FIRST_WRITE, kinds.EXCHANGE_ENDED),
    (kinds.FIRST_BYTE, kinds.NO_REQUEST),
    (kinds.HANDLER_ENDED, kinds.CLOSED),
    *((kind,) for kind in KINDS if kind != kinds.NO_REQUEST),
)
"""What servers do, and what they might do."""

LIVES = st.tuples(
    st.sampled_from([(), *CHAPTERS[:2]]), st.lists(st.sampled_from(CHAPTERS), max_size=12)
).map(lambda life: [*CHAPTERS[0], *life[0], *itertools.chain(*life[1])])


@given(LIVES, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 900)), max_size=6), st.data())
def test_how_marks_are_cut_into_messages_changes_nothing(
    life: list[int], late: list[tuple[int, int]], data: st.DataObject
) -> None:
    """One message or many, in order or not: the same record and the same requests."""
    times = [110 + 10 * number for number in range(len(life))]
    for place, when in late:
        times[place % len(times)] = when
    marks = [accepted(), *((k, when, PAYLOADS.get(k)) for k, when in zip(life, times, strict=True))]
    marks.append((kinds.ABANDONED, 2_000, "server_shutdown"))
    whole, cut = Timeline(1), Timeline(1)
    whole.feed(flat(marks))
    cuts = data.draw(st.lists(st.integers(1, len(marks)), max_size=8))
    for start, end in itertools.pairwise([0, *sorted(cuts), len(marks)]):
        if marks[start:end]:
            cut.feed(flat(marks[start:end]))

    assert cut.record() == whole.record()
    assert [(r[:4], cut.phases_of(r), r.exchanged) for r in cut.requests] == [
        (r[:4], whole.phases_of(r), r.exchanged) for r in whole.requests
    ]


@pytest.mark.parametrize("refused", [False, True])
def test_an_ordinary_life_is_the_same_wherever_it_is_cut(refused: bool) -> None:
    """A child hands its marks over before the request is read, and again at its end."""
    asked = [*exchange(130), *exchange(180, refused=refused)]
    marks = flat([accepted(), *HANDLER, *asked, *ending(230)])
    whole = Timeline(1)
    whole.feed(marks)
    for place in range(MARK, len(marks), MARK):
        cut = Timeline(1)
        cut.feed(marks[:place])
        cut.feed(marks[place:])

        assert cut.record() == whole.record()
        assert cut.record().outcome == ("bad_request" if refused else "completed")


@given(st.lists(st.sampled_from(KINDS), max_size=30))
def test_a_look_at_pending_marks_agrees_with_the_timeline(kinds: list[int]) -> None:
    """phase_after says what the timeline will say once it has the marks."""
    marks = [(kind, 101 + n, PAYLOADS.get(kind)) for n, kind in enumerate(kinds) if kind]
    timeline = Timeline(1)
    timeline.feed(flat([accepted(), *marks]))

    assert phase_after(names.ACCEPT_QUEUE, 50, flat([accepted(), *marks]))[0] == timeline.phase


def test_every_phase_can_be_entered_and_left() -> None:
    """The table has no phase that is a trap or that nobody reaches."""
    left = {phase for phase, _ in TRANSITIONS}
    entered = set(TRANSITIONS.values()) | {names.ACCEPT_QUEUE}

    assert left == set(names.PHASES)
    assert set(names.PHASES) <= entered
