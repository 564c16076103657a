"""Marks: what a serving thread notes down while a connection lives.

A mark is a plain tuple `(kind, time_ns, *payload)` with the time of a monotonic clock. Its values
can be marshalled, because a forked child sends its marks to another process.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

Mark = tuple[Any, ...]


class Kind:
    """Kinds of marks; each line says what is behind kind and time in the tuple.

    Plain integers, because marshal refuses an Enum's.
    """

    ACCEPTED: Final = 0  # the fields of `Accepted`, as one tuple
    TLS_BEGAN: Final = 1
    TLS_ENDED: Final = 2  # error type | None, the fields of `Tls` | None
    REJECTED: Final = 3
    HANDLER_BEGAN: Final = 4  # dispatch: inline, thread or process
    HTTP_READY: Final = 5
    FIRST_BYTE: Final = 6  # wall clock (ns)
    HEAD_PARSED: Final = 7  # method, scheme; both None if another instrumentation reports it
    FIRST_WRITE: Final = 8
    LAST_WRITE: Final = 9
    EXCHANGE_ENDED: Final = 10  # the fields of `Exchanged`
    READ_FAILED: Final = 11  # error type; EOF inside a request is "EOF"
    HANDLER_ENDED: Final = 12  # error type | None, is the error the client's leaving?
    BLOCKING: Final = 13  # activity, seconds, connections queued when it ended
    CLOSED: Final = 14  # the kernel's facts before the shutdown (`Closing`) | None
    ABANDONED: Final = 15  # outcome: server_shutdown, child_died or uninstalled
    SAMPLED: Final = 16  # flags, tracestate (list of pairs): the head decision
    NO_REQUEST: Final = 17  # ends what FIRST_BYTE began: bytes that were no request


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
