"""Every transition of a connection, in one table and nowhere else.

A connection is in exactly one phase. It begins in the kernel's accept queue, marks move it along,
and `OVER` ends it. A mark that the table does not expect changes nothing.
"""

from __future__ import annotations

from typing import Final

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.core.marks import MARK, Marks

OVER: Final = "over"
BEFORE_TLS: Final = "before tls"

_OPEN = tuple(phase for phase in names.PHASES if phase != names.ACCEPT_QUEUE)

TRANSITIONS: Final[dict[tuple[str, int], str]] = {
    (names.ACCEPT_QUEUE, kinds.ACCEPTED): names.DISPATCH,
    # werkzeug shakes hands inside accept(), other handlers do it themselves.
    (names.DISPATCH, kinds.TLS_BEGAN): names.TLS_HANDSHAKE,
    (names.HANDLE, kinds.TLS_BEGAN): names.TLS_HANDSHAKE,
    (names.IDLE, kinds.TLS_BEGAN): names.TLS_HANDSHAKE,
    (names.TLS_HANDSHAKE, kinds.TLS_ENDED): BEFORE_TLS,
    (names.DISPATCH, kinds.HANDLER_BEGAN): names.HANDLE,
    # Until a handler proves to speak HTTP it is a raw one; then that stretch was `idle` all along.
    (names.HANDLE, kinds.HTTP_READY): names.IDLE,
    (names.IDLE, kinds.FIRST_BYTE): names.READ_HEAD,
    (names.READ_HEAD, kinds.HEAD_PARSED): names.APP,
    (names.APP, kinds.FIRST_WRITE): names.RESPOND,
    # http.server answers what it refuses without having a head.
    (names.READ_HEAD, kinds.FIRST_WRITE): names.RESPOND,
    (names.RESPOND, kinds.LAST_WRITE): names.DRAIN,
    **{
        (phase, kind): names.IDLE
        for phase in (names.READ_HEAD, names.APP, names.RESPOND, names.DRAIN)
        for kind in (kinds.EXCHANGE_ENDED, kinds.NO_REQUEST)
    },
    **{
        (phase, kinds.HANDLER_ENDED): names.CLOSE
        for phase in _OPEN
        if phase not in (names.TLS_HANDSHAKE, names.CLOSE)
    },
    **{(phase, kinds.CLOSED): OVER for phase in _OPEN},
    **{(phase, kinds.ABANDONED): OVER for phase in _OPEN},
}

# Marks that say something but begin no phase.
NOTES: Final = frozenset({kinds.REJECTED, kinds.READ_FAILED, kinds.BLOCKING, kinds.SAMPLED})


def phase_after(phase: str, since_ns: int, marks: Marks) -> tuple[str, int]:
    """Return the phase that `marks` lead to from `phase`, and since when (monotonic ns).

    For a look at an open connection, without making its timeline take the marks.
    """
    before_tls = phase
    for kind, now in zip(marks[::MARK], marks[1::MARK], strict=False):  # one may just be written
        target = TRANSITIONS.get((phase, kind))
        if target is None:
            continue
        if target == names.TLS_HANDSHAKE:
            before_tls = phase
        phase = before_tls if target == BEFORE_TLS else target
        since_ns = since_ns if kind == kinds.HTTP_READY else now
    return phase, since_ns
