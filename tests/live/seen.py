"""What arrived at the receiver, asked for in the words of the contract."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tcpwatch.view.recording import Point, Recording, Span
from tests.live.wire import LIMIT

JIFFY = time.clock_getres(6)
"""The step of the kernel's coarse clock: CLOCK_MONOTONIC_COARSE, which `time` has no name for."""


def links(span: Span) -> set[str]:
    """Return the ids of the spans that this one links to."""
    return {link.span_id for link in span.links}


def number(span: Span, name: str) -> float:
    """Return an attribute that has to be a number; its absence is a KeyError."""
    value = span.attributes[name]
    assert isinstance(value, int | float), f"{name} is {value!r}"
    return value


def phases(span: Span) -> dict[str, float]:
    """Return the seconds that a span reports for each phase."""
    prefix = "tcpwatch.phase."
    return {
        name[len(prefix) :]: value
        for name, value in span.attributes.items()
        if name.startswith(prefix) and isinstance(value, float)
    }


class Seen:
    """Reads a recording; what it waits for it names in the failure."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    def wait(self, what: str, predicate: Callable[[Seen], Any], timeout: float = LIMIT) -> None:
        """Wait for something to arrive; `what` says in the failure what did not."""
        if not self.recording.wait_until(lambda _: bool(predicate(self)), timeout):
            raise AssertionError(f"never arrived: {what}; what did:\n{self.summary()}")

    def summary(self) -> str:
        """Tell what arrived, for the report of a failure."""
        spans = Counter(f"{span.kind} {span.name}" for span in self.recording.spans)
        ends = Counter(
            str(s.attributes.get("tcpwatch.connection.outcome")) for s in self.connections
        )
        names = sorted({point.name for point in self.recording.points()})
        totals = [f"{name} = {self.total(name)}" for name in names]
        return "\n".join([*(f"{n} {span}" for span, n in spans.items()), str(dict(ends)), *totals])

    @property
    def connections(self) -> list[Span]:
        """Return the connection spans, by their start."""
        found = (s for s in self.recording.spans if s.name in ("tcp.connection", "unix.connection"))
        return sorted(found, key=lambda span: span.start_ns)

    @property
    def requests(self) -> list[Span]:
        """Return the SERVER spans, by their start."""
        found = (span for span in self.recording.spans if span.kind == "SERVER")
        return sorted(found, key=lambda span: span.start_ns)

    def wait_connections(self, count: int) -> list[Span]:
        """Wait for this many connection spans and return them."""
        self.wait(f"{count} connections", lambda seen: len(seen.connections) >= count)
        return self.connections

    def wait_requests(self, count: int) -> list[Span]:
        """Wait for this many SERVER spans and return them."""
        self.wait(f"{count} requests", lambda seen: len(seen.requests) >= count)
        return self.requests

    def connection_of(self, port: int) -> Span:
        """Wait for the connection of the client on this local port and return its span."""

        def found(seen: Seen) -> list[Span]:
            return [s for s in seen.connections if s.attributes.get("network.peer.port") == port]

        self.wait(f"the connection from port {port}", found)
        return found(self)[-1]

    def request_of(self, port: int) -> Span:
        """Wait for the request of the client on this local port and return its span."""

        def found(seen: Seen) -> list[Span]:
            return [s for s in seen.requests if s.attributes.get("network.peer.port") == port]

        self.wait(f"the request from port {port}", found)
        return found(self)[-1]

    def children(self, parent: Span) -> list[Span]:
        """Return the spans received so far whose parent this is."""
        return [s for s in self.recording.spans if s.parent_span_id == parent.span_id]

    def points(self, name: str, **attributes: Any) -> list[Point]:
        """Return the latest point of each series of a metric that has these attributes."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        return [
            point
            for point in self.recording.points()
            if point.name == name and wanted.items() <= dict(point.attributes).items()
        ]

    def total(self, name: str, **attributes: Any) -> float:
        """Return the sum of a metric's latest values, or of a histogram's counts."""
        found = self.points(name, **attributes)
        return sum(p.count if p.kind == "histogram" else p.value or 0 for p in found)

    def wait_total(self, name: str, expected: float) -> None:
        """Wait until a metric's total is this."""
        self.wait(f"{name} = {expected}", lambda now: now.total(name) == expected)
