"""Marks: what a serving thread notes down while a connection lives.

A mark is three values in a row of one flat list: its kind, the time of a monotonic clock (ns), and
what else it says, None if nothing. Lists of them can be marshalled, because a forked child sends
its marks to another process.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

Marks = list[Any]
"""Kind, time and payload of one mark after the other."""

MARK = 3
"""Values of a mark."""


class Accepted(NamedTuple):
    """What is known when the kernel's accept returned."""

    wall_ns: int
    listener: int
    wait_ns: int | None
    depth: int | None
    limit: int | None
    state: int | None
    peer: tuple[str, int | None] | None
    local: tuple[str, int | None] | None
    cookie: str | None
    handshake_rtt_us: int | None
    synack_retransmits: int | None
    trace_id: int
    span_id: int


class Tls(NamedTuple):
    """What a finished handshake agreed on."""

    version: str | None
    cipher: str | None
    resumed: bool


class Closing(NamedTuple):
    """The kernel's facts on a connection, read before our own shutdown; None where unknown."""

    state: int | None = None
    rtt_us: int | None = None
    rtt_var_us: int | None = None
    min_rtt_us: int | None = None
    retransmits: int | None = None
    bytes_received: int | None = None
    bytes_sent: int | None = None
    bytes_acked: int | None = None
    bytes_unacked: int | None = None
    busy_us: int | None = None
    rwnd_limited_us: int | None = None
    sndbuf_limited_us: int | None = None


Ending = bytes | tuple[Any, ...]
"""What the kernel gave of a connection's end, to be read when somebody asks; or read already: then
the fields of `Closing`."""


View = tuple[str, str, int]
"""Where an application's view is: the function's full name, file, line."""


class Freezes(Protocol):
    """A request that is over, of this process."""

    def freeze(self) -> tuple[Any, ...]:
        """Return the fields of `Exchanged`."""


class Exchanged(NamedTuple):
    """One request and its response, as the handler's thread saw them."""

    method: str | None
    target: str | None
    version: str | None
    scheme: str
    host: str | None
    forwarded_host: str | None
    forwarded_for: str | None
    user_agent: str | None
    status: int | None
    route: str | None
    view: View | None
    error: str | None
    refused: bool
    body_wait_ns: int
    peer_instrumented: bool
    excluded: bool
    trace_id: int
    span_id: int
    parent_span_id: int
    parent_is_remote: bool
    flags: int
    trace_state: tuple[tuple[str, str], ...]
    exported: bool
