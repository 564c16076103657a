"""struct tcp_info of linux/tcp.h, parsed: bytes in, facts out.

The structure only ever grows at its end and the kernel says how much of it it has filled in, so a
field beyond the end is unknown (None), never 0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tcpwatch.core.marks import Closing, Ending
from tcpwatch.kernel.compiled import connect, quick

SIZE: Final = 280
"""Bytes of the structure in Linux 6.18; older kernels return fewer."""

TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING = 6, 7, 8, 9, 10, 11
_FIN_RECEIVED = frozenset({TIME_WAIT, CLOSE_WAIT, LAST_ACK, CLOSING})

_QUEUE = struct.Struct("=B23xII")
_ACCEPTED = struct.Struct("=B43xI20xI28xI")
_BASIC = struct.Struct("=B67xII24xI")
_TOTALS = struct.Struct("=B67xII24xI16xQQ8xII16xQQQ8xQQ")
_GLANCE = struct.Struct(f"=B127xQ{_TOTALS.size - 136}x")
_PATH = struct.Struct("=68xI28xI")
_U64 = struct.Struct("=Q")
_U32 = struct.Struct("=I")

_NO_MIN_RTT = 0xFFFFFFFF

QUEUE_SIZE: Final = _QUEUE.size
ACCEPTED_SIZE: Final = _ACCEPTED.size
"""Bytes that are enough for a listener and for a just accepted connection."""

TELLING_SIZE: Final = _TOTALS.size
"""Bytes that tell what the peer has not acknowledged (Linux >= 4.19)."""

_make: Final[Callable[..., Any]] = tuple.__new__


class AtAccept(NamedTuple):
    """A connection right after the kernel's accept; `since_data_sent_ms` is its wait in the queue.

    tcp_create_openreq_child() starts that clock at the third segment of the handshake, and a
    server that has sent nothing never sets it back.
    """

    state: int
    since_data_sent_ms: int
    rtt_us: int | None
    synack_retransmits: int


def parse_queue(data: bytes) -> tuple[int, int] | None:
    """Return (depth, limit) of a listener's accept queue; None if it is not a listener's.

    A LISTEN socket has the depth in tcpi_unacked and the limit in tcpi_sacked (tcp_get_info()).
    """
    try:
        state, depth, limit = _QUEUE.unpack_from(data)
    except struct.error:
        return None
    return (depth, limit) if state == LISTEN else None


def parse_accepted(data: bytes) -> AtAccept | None:
    """Return what a just accepted connection tells; None if the kernel gave too little."""
    try:
        state, since, rtt, retransmits = _ACCEPTED.unpack_from(data)
    except struct.error:
        return None
    found: AtAccept = _make(AtAccept, (state, since, rtt or None, retransmits))
    return found


def parse_closing(data: bytes, unacked: int | None = None) -> Closing:
    """Return a connection's totals, read before its shutdown; unknown ones are None.

    `unacked` is SIOCOUTQ, in bytes, for kernels that do not tell it here. The kernel counts the
    peer's FIN as a byte received, and ours as one acknowledged; they are taken off. Where both have
    come, the handler has ended its side by itself and the client has followed: that is told as
    TIME_WAIT, although the socket is left in CLOSE, as it is after a reset (tcp_time_wait()).
    """
    if len(data) < _TOTALS.size:
        return _parse_older(data, unacked)
    values = _TOTALS.unpack_from(data)
    state, rtt, rtt_var, retransmits, acked, received, unsent, min_rtt = values[:8]
    busy, rwnd_limited, sndbuf_limited, sent, sent_again = values[8:]
    unacked = sent - sent_again - acked
    if unacked < 0:
        acked, unacked = acked - 1, 0
        state = TIME_WAIT if state == CLOSE else state
    if received and state in _FIN_RECEIVED:
        received -= 1
    found: Closing = _make(
        Closing,
        (
            state,
            rtt or None,
            rtt_var if rtt else None,
            None if min_rtt == _NO_MIN_RTT else min_rtt,
            retransmits,
            received,
            sent,
            acked,
            # write_seq - snd_una, as SIOCOUTQ has it: what is in flight and what was never sent.
            unacked + unsent,
            busy,
            rwnd_limited,
            sndbuf_limited,
        ),
    )
    return found


@quick
def read_closing(told: Ending) -> Closing:
    """Return what `Kernel.ending` has told of a connection, now or by another process."""
    return parse_closing(told) if isinstance(told, bytes) else Closing(*told)


@quick
def read_end(told: Ending) -> tuple[int | None, int | None]:
    """Return state and bytes received: all that is asked of most connections."""
    if isinstance(told, bytes):
        state, received = _GLANCE.unpack_from(told)
        if state != CLOSE:  # else other fields tell what state it was in
            return state, received - (received > 0 and state in _FIN_RECEIVED)
    closing = read_closing(told)
    return closing.state, closing.bytes_received


@quick
def read_path(told: Ending) -> tuple[int | None, int | None]:
    """Return the round-trip time (ns) and the segments sent again, of what `Kernel.ending` told.

    Every connection has these in the metrics; few are asked for the rest.
    """
    if isinstance(told, bytes):
        rtt_us, sent_again = _PATH.unpack_from(told)
    else:
        closing = Closing(*told)
        rtt_us, sent_again = closing.rtt_us, closing.retransmits
    return (rtt_us and rtt_us * 1000) or None, sent_again


def _parse_older(data: bytes, unacked: int | None) -> Closing:
    if len(data) < _BASIC.size:
        return Closing(bytes_unacked=unacked)
    state, rtt, rtt_var, retransmits = _BASIC.unpack_from(data)
    received = _field(data, 128, _U64)
    if received and state in _FIN_RECEIVED:
        received -= 1
    min_rtt = _field(data, 148, _U32)
    return Closing(
        state=state,
        rtt_us=rtt or None,
        rtt_var_us=rtt_var if rtt else None,
        min_rtt_us=None if min_rtt == _NO_MIN_RTT else min_rtt,
        retransmits=retransmits,
        bytes_received=received,
        bytes_acked=_field(data, 120, _U64),
        bytes_unacked=unacked,
        busy_us=_field(data, 168, _U64),
        rwnd_limited_us=_field(data, 176, _U64),
        sndbuf_limited_us=_field(data, 184, _U64),
    )


def _field(data: bytes, offset: int, form: struct.Struct) -> int | None:
    if len(data) < offset + form.size:
        return None
    (value,) = form.unpack_from(data, offset)
    return int(value)


connect(
    "ending",
    {
        "Closing": Closing,
        "TELLING_SIZE": TELLING_SIZE,
        "TIME_WAIT": TIME_WAIT,
        "CLOSE": CLOSE,
        "CLOSE_WAIT": CLOSE_WAIT,
        "LAST_ACK": LAST_ACK,
        "CLOSING": CLOSING,
    },
)
