"""Attributes in groups are the same attributes: as a mapping, and as bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpwatch.core.marks import Exchanged
from tcpwatch.emit import attributes as words
from tcpwatch.emit import encoding
from tcpwatch.emit.groups import Group, Grouped, floats, fresh, repeated, texts
from tcpwatch.emit.late import OURS_AT_MOST
from tcpwatch.settings import Settings
from tests.core.lives import HANDLER, accepted, ending, exchange, record
from tests.emit.test_starting import LISTENER

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
NAMES = "first", "second"


def one_by_one(found: Grouped) -> bytes:
    """Return the bytes of the same attributes, each encoded by itself."""
    return encoding.attributes(dict(found), encoding.ATTRIBUTES)


@pytest.mark.parametrize("kind", [fresh, repeated])
@given(values=st.tuples(st.none() | TEXT, st.none() | INT64))
def test_a_group_is_its_attributes(kind: Callable[..., Group], values: tuple[Any, ...]) -> None:
    """Byte by byte, at first sight and when it comes again; None is not there."""
    group = kind(*NAMES)
    for _ in range(2):
        found = Grouped([(group, values)])
        assert found.encoded() == one_by_one(found)
        present = [pair for pair in zip(NAMES, values, strict=True) if pair[1] is not None]
        assert found == dict(present)
        assert len(found) == 2 - values.count(None)


@given(st.lists(st.floats(allow_nan=False), max_size=20))
def test_floats_are_packed_at_once(values: list[float]) -> None:
    """As many as there are."""
    found = Grouped([(floats(*(f"n{n}" for n in range(len(values)))), tuple(values))])

    assert found.encoded() == one_by_one(found)


@given(st.tuples(st.none() | TEXT, st.none() | TEXT))
def test_texts_are_the_same_long_or_short(values: tuple[str | None, ...]) -> None:
    """Only short ones are remembered, and nobody sees which are."""
    found = Grouped([(texts(*NAMES), values)])

    assert found.encoded() == one_by_one(found)


def test_what_is_added_is_seen() -> None:
    """Also by who has looked before."""
    found = Grouped([(fresh("a"), (1,))])
    assert dict(found) == {"a": 1}

    found.add(fresh("b"), 2)
    found.extend(Grouped([(fresh("c"), (None,)), (fresh("d"), (4,))]))

    assert dict(found) == {"a": 1, "b": 2, "d": 4}


def test_no_attribute_is_in_two_groups() -> None:
    """On the wire it would be there twice; and they are fewer than a provider's limit."""
    done = record(accepted(), *HANDLER, *exchange(130), *ending(170))
    of_connection = words.connection_attributes(done, LISTENER)
    of_connection.add(words.KEPT, "slow")
    of_connection.add(words.BLAMED, "inline", 1.0, 1, None)
    blank: Any = Exchanged._make([None] * len(Exchanged._fields))
    of_request = words.request_attributes(blank, done.accepted, Settings(), 1)
    of_request.extend(words.response_attributes(blank._replace(body_wait_ns=1)))
    of_request.extend(words.phase_attributes(done.phases))

    for found in (of_connection, of_request):
        names = [name for group, _ in found.groups for name in group.names]
        assert not [name for name, times in Counter(names).items() if times > 1]
        assert len(names) <= OURS_AT_MOST
