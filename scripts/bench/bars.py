"""The bars: what it may cost, and whether it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.ratios import Middle, middle
from bench.results import Results
from bench.rungs import (
    BARE,
    EVERYTHING,
    KEEPING,
    KINDS,
    METRICS,
    OFF,
    SINGLE,
    THREADED,
    UNSAMPLED,
    Rung,
)

CPU: dict[Rung, float] = {
    OFF: 0.02,
    METRICS: 0.12,
    UNSAMPLED: 0.12,
    KEEPING: 0.15,
    EVERYTHING: 0.35,
}
"""The most that a rung may add to a request's CPU time, as a ratio to what the peer adds."""
LATENCY = 1.05
"""The most that a latency may be, as a ratio to bare, at half of the bare server's rate."""
SERVING_US = 25.0
"""The most CPU time that an unsampled connection with its request may add to the serving thread."""
MEMORY_MB = 25.0
"""The most that the resident size may grow, whatever the load and the collector do."""


@dataclass(frozen=True)
class Bar:
    """A bar, the kind of server it was measured on, and what was measured."""

    says: str
    kind: str
    limit: float
    found: Middle

    @property
    def is_met(self) -> bool:
        """Say whether it is met."""
        return self.found.median <= self.limit


def bars(results: Results) -> Iterator[Bar]:
    """Return every bar for which something was measured."""
    for rung, limit in CPU.items():
        for kind in KINDS:
            ratio = results.cpu_ratio(kind, rung.name)
            if ratio is not None:
                yield Bar(f"CPU, of the peer's: {rung.says}", kind, limit, ratio)
    for which in ("p50", "p99"):
        for kind in KINDS:
            ratio = results.latency_ratio(kind, METRICS.name, f"{which}_ms")
            yield Bar(f"{which}, of bare: {METRICS.says}", kind, LATENCY, ratio)
    for rung in (METRICS, UNSAMPLED):
        if results.serving_us:
            added = results.serving_added(rung.name)
            yield Bar(f"serving thread, µs added: {rung.says}", SINGLE, SERVING_US, added)
    for case, peak in results.flooded_mb.items():
        if case != BARE.name:
            grown = middle([peak - results.flooded_mb[BARE.name]])
            yield Bar(f"memory, MB added: {case}", THREADED, MEMORY_MB, grown)
