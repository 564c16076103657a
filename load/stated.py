"""What a scenario is, and what it states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Shown:
    """What a panel shows at the end of a scenario: its largest value is within the bounds.

    `series` chooses among the panel's series by label=value, `curve` among its queries by what its
    legend calls it; without it the first is meant. `why` says where a number comes from. `service`
    is where to look, if not at the one that is loaded.
    """

    dashboard: str
    panel: str
    why: str
    at_least: float | None = None
    at_most: float | None = None
    series: dict[str, str] = field(default_factory=dict)
    curve: str | None = None
    service: str | None = None

    @property
    def what(self) -> str:
        """The panel, and which of its series if not all."""
        chosen = [
            *([self.curve] if self.curve else []),
            *self.series.values(),
            *([f"of {self.service}"] if self.service else []),
        ]
        return self.panel + (f" ({', '.join(chosen)})" if chosen else "")

    @property
    def limits(self) -> str:
        """The bounds, in words."""
        pairs = (("at least", self.at_least), ("at most", self.at_most))
        return ", ".join(f"{word} {value:g}" for word, value in pairs if value is not None)


@dataclass(frozen=True)
class Scenario:
    """Clients, which service of deploy/compose.yaml they load, what is then seen.

    `behaviour` is None where each client chooses its own. Times are in seconds, `spawn_rate` in
    clients per second. `alerts` are those of deploy/prometheus/rules that fire.
    """

    what: str
    behaviour: Callable[[Any], None] | None
    service: str
    users: int
    spawn_rate: float
    run_time: int
    pause: float
    shows: tuple[Shown, ...]
    alerts: tuple[str, ...] = ()
