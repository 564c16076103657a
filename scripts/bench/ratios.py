"""The arithmetic: what was added, as a ratio to what the peer added, and how far rounds differ."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Middle:
    """The median of several rounds, with the smallest and the largest."""

    median: float
    least: float
    most: float


def middle(values: Sequence[float]) -> Middle:
    """Return the middle of some values, of which there must be one."""
    return Middle(statistics.median(values), min(values), max(values))


def ratio(rung: float, bare: float, peer: float, peers_bare: float | None = None) -> float:
    """Return what a rung adds to its bare server in units of what the peer adds to its own.

    Raises ValueError if the peer adds nothing, which cannot be: the measurement is noise.
    """
    unit = peer - (bare if peers_bare is None else peers_bare)
    if unit <= 0:
        raise ValueError(f"the peer adds {unit:g}; expected more than 0: measure with less noise")
    return (rung - bare) / unit


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of the values that so many percent of them do not exceed."""
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]
