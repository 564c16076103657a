"""The latest value of each series of a metric."""

from __future__ import annotations

from tcpwatch.view.store import Store
from tcpwatch.view.store.dictionary import Series


def latest(store: Store, server: int | None, *metrics: str) -> list[tuple[Series, float]]:
    """Return the series of these metrics, each with its latest value.

    Args:
        store: where to look.
        server: only this server's series; None for all.
        metrics: their names.
    """
    series = {
        one.id: one for one in store.series(*metrics) if server is None or one.server == server
    }
    if not series:
        return []
    return [
        (series[number], value)
        for number, value in store.read(
            """SELECT series, max_by(value, seq) FROM points
            WHERE series IN (SELECT unnest(?::INTEGER[])) GROUP BY series ORDER BY series""",
            [list(series)],
        )
        if value is not None
    ]
