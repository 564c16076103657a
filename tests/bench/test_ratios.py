"""What was added is told in units of what the peer added; noise is never told as a ratio."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.ratios import middle, percentile, ratio

FIGURES = st.floats(0.1, 1e6)


@given(FIGURES, FIGURES, FIGURES)
def test_the_unit_is_what_the_peer_adds(bare: float, own: float, peer: float) -> None:
    assert ratio(bare, bare, bare + peer) == 0
    assert ratio(bare + peer, bare, bare + peer) == 1
    assert ratio(bare + own, bare, bare + peer) == pytest.approx(own / peer, rel=1e-3)


def test_the_peer_may_have_a_bare_server_of_its_own() -> None:
    assert ratio(30, 10, 500, peers_bare=400) == pytest.approx(0.2)


@pytest.mark.parametrize("peer", [10.0, 9.9])
def test_a_peer_that_adds_nothing_is_no_unit(peer: float) -> None:
    with pytest.raises(ValueError, match="measure with less noise"):
        ratio(12, 10, peer)


@given(st.lists(FIGURES, min_size=1))
def test_the_middle_lies_between_the_least_and_the_most(values: list[float]) -> None:
    found = middle(values)
    assert found.least == min(values) <= found.median <= max(values) == found.most


@given(st.lists(FIGURES, min_size=1), st.floats(0, 100))
def test_so_many_percent_do_not_exceed_the_percentile(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values) - 1e-6
    assert sum(value < found for value in values) * 100 <= percent * len(values) + 1e-6


def test_the_99th_percentile_of_100_values_is_the_99th() -> None:
    assert percentile([float(value) for value in range(1, 101)], 99) == 99
