"""A span's message in C is the one in Python, byte by byte, and what C does not know it leaves."""

from __future__ import annotations

import gc
import sys
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.trace import SpanKind

from tcpwatch.emit.compiled import Pack, pack
from tcpwatch.emit.groups import Grouped, fresh
from tcpwatch.emit.late import FinishedSpan, Home
from tests.emit.test_encoding import INT64, PLAIN, RESOURCE, SPANS, TEXT

pytestmark = pytest.mark.skipif(
    pack is None, reason="messages are not packed in C here; tcpwatch doctor says why"
)

GROUPS = st.lists(
    st.lists(st.tuples(TEXT.filter(bool), st.none() | PLAIN), max_size=9), max_size=6
).map(
    lambda groups: Grouped(
        [
            (fresh(*(name for name, _ in pairs)), tuple(value for _, value in pairs))
            for pairs in groups
        ]
    )
)
GROUPED = st.builds(
    lambda span, found: span._replace(attributes=found, trace_state=()), SPANS, GROUPS
)
IN_PYTHON = Home(RESOURCE, SpanLimits(), pack=None)
SPAN = FinishedSpan("name", (1 << 70, 5), (0, False), (1, 2), Grouped([]))


def packed(span: FinishedSpan) -> bytes | None:
    """Return what C makes of a span."""
    assert pack is not None
    given: Pack = pack
    return given(span)


def having(*values: Any) -> FinishedSpan:
    """Return a span with these values of attributes."""
    return SPAN._replace(attributes=Grouped([(fresh(*map(str, range(len(values)))), values)]))


@given(GROUPED)
def test_bytes_in_c_are_those_in_python(span: FinishedSpan) -> None:
    """Whatever name, ids, times, attributes, links and status a span has."""
    assert packed(span) == IN_PYTHON.encoded(span)


@given(st.integers(0, 3), INT64, st.sampled_from([0x7F, 0x80, 0x3FFF, 0x4000, 0x1FFFFF, 0x200000]))
def test_lengths_have_as_many_bytes_as_they_need(less: int, number: int, length: int) -> None:
    """Around each length at which its own length takes a byte more."""
    span = having("x" * (length - less), number)

    assert packed(span) == IN_PYTHON.encoded(span)


LEFT: dict[str, FinishedSpan] = {
    "a tracestate": SPAN._replace(trace_state=(("vendor", "value"),)),
    "attributes that are no groups": SPAN._replace(attributes={"a": 1}),
    "a list": having(["a"]),
    "bytes": having(b"a"),
    "more than 64 bits": having(1 << 63),
    "a lone surrogate": having("\ud800"),
    "a lone surrogate in a name": SPAN._replace(name="\ud800"),
    "a kind that is none": SPAN._replace(kind="SERVER"),  # type: ignore[arg-type]
    "a trace id of more than 128 bits": SPAN._replace(ids=(1 << 128, 1)),
    "a time before 1970": SPAN._replace(times=(-1, 2)),
    "links that are no list": SPAN._replace(links=range(2)),  # type: ignore[arg-type]
    "a link to nothing": SPAN._replace(links=[()]),  # type: ignore[list-item]
    "fewer values than names": SPAN._replace(attributes=Grouped([(fresh("a", "b"), (1,))])),
}


@pytest.mark.parametrize("span", LEFT.values(), ids=LEFT)
def test_what_c_does_not_know_it_leaves_to_python(span: FinishedSpan) -> None:
    """It says so, raises nothing, and leaves no exception behind."""
    assert packed(span) is None


def test_what_is_no_span_is_a_mistake() -> None:
    """It has the fields of a FinishedSpan, or is refused."""
    for nothing in (None, (), SPAN[:-1]):
        with pytest.raises(TypeError, match="FinishedSpan"):
            packed(nothing)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", list(SpanKind))
def test_our_kinds_have_their_numbers(kind: SpanKind) -> None:
    """The protocol counts from 1, the API from 0; the others are none of ours."""
    span = SPAN._replace(kind=kind)

    assert packed(span) in (None, IN_PYTHON.encoded(span))
    assert (packed(span) is None) == (kind not in (SpanKind.INTERNAL, SpanKind.SERVER))


@pytest.mark.parametrize("span", [having("é" * 5000, 1.5, True, None), *LEFT.values()])
def test_packing_leaves_nothing_behind(span: FinishedSpan) -> None:
    """A thousand times over there are as many blocks of memory as before."""

    def blocks() -> int:
        for _ in range(1000):
            packed(span)
        gc.collect()
        return sys.getallocatedblocks()

    blocks()
    grown = [after - before for before, after in pairwise(blocks() for _ in range(5))]
    assert min(grown) < 100
