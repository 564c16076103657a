"""Every transition of a connection, in one table and nowhere else.

A connection is in exactly one phase. It begins in the kernel's accept queue, marks move it along,
and `OVER` ends it. A mark that the table does not expect changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tcpwatch import names
from tcpwatch.core.marks import Kind, Mark

OVER: Final = "over"
BEFORE_TLS: Final = "before tls"

_OPEN = tuple(phase for phase in names.PHASES if phase != names.ACCEPT_QUEUE)

TRANSITIONS: Final[dict[tuple[str, int], str]] = {
    (names.ACCEPT_QUEUE, Kind.ACCEPTED): names.DISPATCH,
    # werkzeug shakes hands inside accept(), other handlers do it themselves.
    (names.DISPATCH, Kind.TLS_BEGAN): names.TLS_HANDSHAKE,
    (names.HANDLE, Kind.TLS_BEGAN): names.TLS_HANDSHAKE,
    (names.IDLE, Kind.TLS_BEGAN): names.TLS_HANDSHAKE,
    (names.TLS_HANDSHAKE, Kind.TLS_ENDED): BEFORE_TLS,
    (names.DISPATCH, Kind.HANDLER_BEGAN): names.HANDLE,
    # Until a handler proves to speak HTTP it is a raw one; then that stretch was `idle` all along.
    (names.HANDLE, Kind.HTTP_READY): names.IDLE,
    (names.IDLE, Kind.FIRST_BYTE): names.READ_HEAD,
    (names.READ_HEAD, Kind.HEAD_PARSED): names.APP,
    (names.APP, Kind.FIRST_WRITE): names.RESPOND,
    # http.server answers what it refuses without having a head.
    (names.READ_HEAD, Kind.FIRST_WRITE): names.RESPOND,
    (names.RESPOND, Kind.LAST_WRITE): names.DRAIN,
    **{
        (phase, kind): names.IDLE
        for phase in (names.READ_HEAD, names.APP, names.RESPOND, names.DRAIN)
        for kind in (Kind.EXCHANGE_ENDED, Kind.NO_REQUEST)
    },
    **{
        (phase, Kind.HANDLER_ENDED): names.CLOSE
        for phase in _OPEN
        if phase not in (names.TLS_HANDSHAKE, names.CLOSE)
    },
    **{(phase, Kind.CLOSED): OVER for phase in _OPEN},
    **{(phase, Kind.ABANDONED): OVER for phase in _OPEN},
}

# Marks that say something but begin no phase.
NOTES: Final = frozenset({Kind.REJECTED, Kind.READ_FAILED, Kind.BLOCKING, Kind.SAMPLED})


def phase_after(phase: str, since_ns: int, marks: Iterable[Mark]) -> tuple[str, int]:
    """Return the phase that `marks` lead to from `phase`, and since when (monotonic ns).

    For a look at an open connection, without making its timeline take the marks.
    """
    before_tls = phase
    for mark in marks:
        target = TRANSITIONS.get((phase, mark[0]))
        if target is None:
            continue
        if target == names.TLS_HANDSHAKE:
            before_tls = phase
        keeps_start = mark[0] == Kind.HTTP_READY
        phase = before_tls if target == BEFORE_TLS else target
        since_ns = since_ns if keeps_start else mark[1]
    return phase, since_ns
