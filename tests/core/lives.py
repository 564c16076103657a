"""Marks of connections, as serving threads make them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tcpwatch.core import kinds
from tcpwatch.core.marks import Accepted, Closing, Exchanged, Marks
from tcpwatch.core.record import ConnectionRecord
from tcpwatch.core.timeline import Timeline

ACCEPTED = Accepted(
    wall_ns=1_000_000_000,
    listener=1,
    wait_ns=50,
    depth=0,
    limit=128,
    state=1,
    peer=("127.0.0.1", 1234),
    local=("127.0.0.1", 80),
    cookie="1f",
    handshake_rtt_us=20,
    synack_retransmits=0,
    trace_id=1,
    span_id=2,
)

EXCHANGED = Exchanged(
    method="GET",
    target="/",
    version="HTTP/1.1",
    scheme="http",
    host="localhost",
    forwarded_host=None,
    forwarded_for=None,
    user_agent="test",
    status=200,
    route=None,
    view=None,
    error=None,
    refused=False,
    body_wait_ns=0,
    peer_instrumented=False,
    excluded=False,
    trace_id=1,
    span_id=3,
    parent_span_id=2,
    parent_is_remote=False,
    flags=1,
    trace_state=(),
    exported=False,
)


Mark = tuple[int, int, Any]


def flat(marks: Iterable[Mark]) -> Marks:
    """Write marks one after the other, as serving threads do."""
    return [value for mark in marks for value in mark]


def accepted(**changes: Any) -> Mark:
    """Make the first mark, at time 100."""
    return (kinds.ACCEPTED, 100, tuple(ACCEPTED._replace(**changes)))


def exchange(start: int, **changes: Any) -> list[Mark]:
    """Make the marks of one request that takes 40 from its first byte at `start`."""
    return [
        (kinds.FIRST_BYTE, start, 5_000),
        (kinds.HEAD_PARSED, start + 5, ("GET", "http")),
        (kinds.FIRST_WRITE, start + 25, None),
        (kinds.LAST_WRITE, start + 30, None),
        (kinds.EXCHANGE_ENDED, start + 40, tuple(EXCHANGED._replace(**changes))),
    ]


HANDLER: list[Mark] = [(kinds.HANDLER_BEGAN, 110, "thread"), (kinds.HTTP_READY, 115, None)]


def ending(start: int, closing: Closing | None = None) -> list[Mark]:
    """Make the marks of a handler that returns at `start` and a socket closed 10 later."""
    told = closing and tuple(closing)
    return [(kinds.HANDLER_ENDED, start, None), (kinds.CLOSED, start + 10, told)]


def record(*marks: Mark) -> ConnectionRecord:
    """Feed marks to a new timeline and return its record."""
    timeline = Timeline(1)
    timeline.feed(flat(marks))
    return timeline.record()
