"""Which connections are meant: the filters that every view understands, as one condition."""

from __future__ import annotations

from dataclasses import dataclass

WAIT = "phase_accept_queue"
ACCEPTED = "(c.start_ns + CAST(coalesce(c.phase_accept_queue, 0) * 1e9 AS BIGINT))"
"""When the server's accept returned, in SQL."""


@dataclass(frozen=True)
class Chosen:
    """A choice of connections; what is None does not matter.

    `begin` and `end` are seconds since the epoch: a connection is meant if it was there in between.
    `route` is the route or path of one of its requests, `peer` the start of its client's address,
    `least` its shortest time in the accept queue in seconds, `spans` the ids of its span.
    """

    server: int | None = None
    begin: float | None = None
    end: float | None = None
    route: str | None = None
    outcome: str | None = None
    peer: str | None = None
    least: float | None = None
    spans: tuple[int, ...] | None = None

    def condition(self) -> tuple[str, list[object]]:
        """Return the condition on a row `c` of `connections`, and its parameters."""
        parts: list[str] = ["true"]
        values: list[object] = []
        for part, value in (
            ("c.server = ?", self.server),
            ("c.end_ns >= ?", nanoseconds(self.begin)),
            ("c.start_ns <= ?", nanoseconds(self.end)),
            ("c.outcome = ?", self.outcome),
            ("starts_with(c.peer, ?)", self.peer),
            (f"c.{WAIT} >= ?", self.least),
            (
                "c.span IN (SELECT owner FROM asked WHERE coalesce(route, path) = ?)",
                self.route,
            ),
            (
                "c.span IN (SELECT unnest(?::UBIGINT[]))",
                None if self.spans is None else list(self.spans),
            ),
        ):
            if value is not None:
                parts.append(part)
                values.append(value)
        return " AND ".join(parts), values


def nanoseconds(seconds: float | None) -> int | None:
    """Return seconds since the epoch as the store has them."""
    return None if seconds is None else round(seconds * 1e9)
