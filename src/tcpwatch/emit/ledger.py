"""The ledger: connections as rows of times, which become histograms when somebody looks.

What a connection has to say is noted as one row, on the page of those with the same course and the
same attributes. A page is posted column by column: one subtraction gives a phase of all its rows.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Sequence
from operator import sub
from typing import Any, Final, NamedTuple

from tcpwatch.emit.distributions import Origin, Series

MOST_ROWS: Final = 64
"""So many rows of a page wait at most in a process that nobody collects from. So many are posted
at a time: it takes a tenth of a millisecond or two, and requests wait for the GIL meanwhile."""

MOST_PAGES: Final = 1024
"""What a client may invent is part of a page's attributes, so pages are not kept for ever."""

Row = list[Any]
"""The times of a leg, and after them what else is to be recorded of it."""

SampledRow = tuple[Row, tuple[Origin, ...], int]
"""A row whose values may become exemplars; the origins of its connection and of each of its
requests; the wall clock (ns)."""


class Column(NamedTuple):
    """A value of each row: what is at `end`, since what is at `start` if it is a duration.

    `origin` says whose it is: 0 the connection's, n the n-th request's.
    """

    series: Series
    end: int
    start: int | None = None
    origin: int = 0


class Page:
    """Rows of the same form, and the columns that are read from them."""

    __slots__ = ("columns", "rows", "sampled")

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = columns
        self.rows: list[Row] = []
        self.sampled: list[SampledRow] = []

    def post(self, most: int | None = None) -> None:
        """Hand the values of so many rows to their series; the worker may add rows meanwhile."""
        rows, sampled = self.rows[:most], self.sampled[:most]
        del self.rows[: len(rows)], self.sampled[: len(sampled)]
        if rows:
            for column, values in zip(self.columns, self._values(rows), strict=True):
                column.series.record(values)
        if sampled:
            rows, origins, walls = (list(parts) for parts in zip(*sampled, strict=True))
            whose = list(zip(*origins, strict=True))
            for column, values in zip(self.columns, self._values(rows), strict=True):
                column.series.record_of_spans(values, whose[column.origin], walls)

    def _values(self, rows: list[Row]) -> list[list[int]]:
        found = list(zip(*rows, strict=True))
        return [
            list(found[end] if start is None else map(sub, found[end], found[start]))
            for _, end, start, _ in self.columns
        ]


class Ledger:
    """The pages that have rows. One thread notes, any may post."""

    def __init__(self) -> None:
        self.pages: dict[Hashable, Page] = {}
        self._lock = threading.Lock()

    def open(self, key: Hashable, columns: Sequence[Column]) -> Page:
        """Return a new page."""
        if len(self.pages) >= MOST_PAGES:
            self.post()
            self.pages.clear()
        page = self.pages[key] = Page(columns)
        return page

    def post(self) -> None:
        """Post every page."""
        with self._lock:
            for page in list(self.pages.values()):
                page.post()

    def tidy(self, fewest: int) -> Iterator[None]:
        """Post every page with more rows than `fewest`, a few rows a step."""
        for page in list(self.pages.values()):
            waiting = len(page.rows) + len(page.sampled)
            if waiting <= fewest:
                continue
            for _ in range(0, waiting, MOST_ROWS):
                with self._lock:
                    page.post(MOST_ROWS)
                yield
