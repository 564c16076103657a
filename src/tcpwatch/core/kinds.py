"""Kinds of marks; each line says what a mark of the kind holds beside kind and time.

Plain integers, because marshal refuses an Enum's.
"""

from __future__ import annotations

from typing import Final

ACCEPTED: Final = 0  # the fields of `Accepted`
TLS_BEGAN: Final = 1
TLS_ENDED: Final = 2  # error type | None, the fields of `Tls` | None
REJECTED: Final = 3  # True
HANDLER_BEGAN: Final = 4  # dispatch: inline, thread or process
HTTP_READY: Final = 5
FIRST_BYTE: Final = 6  # wall clock (ns)
HEAD_PARSED: Final = 7  # method, scheme; None if another instrumentation reports the request
FIRST_WRITE: Final = 8
LAST_WRITE: Final = 9
EXCHANGE_ENDED: Final = 10  # the fields of `Exchanged`, or what freezes to them
READ_FAILED: Final = 11  # error type; EOF inside a request is "EOF"
HANDLER_ENDED: Final = 12  # None, or error type and whether it is the client's leaving
BLOCKING: Final = 13  # activity, seconds, connections queued when it ended
CLOSED: Final = 14  # the kernel's facts before the shutdown (`Ending`) | None
ABANDONED: Final = 15  # outcome: server_shutdown, child_died or uninstalled
SAMPLED: Final = 16  # flags, tracestate (list of pairs): the head decision
NO_REQUEST: Final = 17  # True; ends what FIRST_BYTE began: bytes that were no request

ALL: Final = range(18)
