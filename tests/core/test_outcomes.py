"""How connections end: each has one outcome, the first that applies."""

from __future__ import annotations

import pytest

from tcpwatch.core import kinds
from tcpwatch.core.marks import Closing
from tests.core.lives import HANDLER, Mark, accepted, ending, exchange, record

RESET = Closing(state=7)

OUTCOMES: dict[str, tuple[list[Mark], str, str | None]] = {
    "reset before accept": ([accepted(state=7), *ending(120)], "client_gone_in_queue", None),
    "half-closed before accept may still read": (
        [accepted(state=8), *HANDLER, *exchange(130), *ending(175)],
        "completed",
        None,
    ),
    "a handler that speaks no HTTP returned": (
        [accepted(), (kinds.HANDLER_BEGAN, 110, "inline"), *ending(140)],
        "completed",
        None,
    ),
    "verify_request said no": (
        [accepted(), (kinds.REJECTED, 105, True), (kinds.CLOSED, 110, None)],
        "rejected",
        None,
    ),
    "handshake failed": (
        [
            accepted(),
            (kinds.TLS_BEGAN, 101, None),
            (kinds.TLS_ENDED, 104, ("SSLError", None)),
            (kinds.CLOSED, 110, None),
        ],
        "tls_failed",
        "SSLError",
    ),
    "handler raised": (
        [
            accepted(),
            *HANDLER,
            (kinds.HANDLER_ENDED, 120, ("KeyError", False)),
            (kinds.CLOSED, 125, None),
        ],
        "handler_error",
        "KeyError",
    ),
    "the client left the handler": (
        [
            accepted(),
            *HANDLER,
            (kinds.HANDLER_ENDED, 120, ("BrokenPipeError", True)),
            (kinds.CLOSED, 125, None),
        ],
        "client_disconnected",
        None,
    ),
    "reset seen at close": (
        [accepted(), *HANDLER, *exchange(130), *ending(175, RESET)],
        "client_disconnected",
        None,
    ),
    "EOF inside a head": (
        [
            accepted(),
            *HANDLER,
            (kinds.FIRST_BYTE, 120, 1),
            (kinds.READ_FAILED, 121, "EOF"),
            (kinds.NO_REQUEST, 125, True),
            *ending(130),
        ],
        "client_disconnected",
        None,
    ),
    "timeout inside a head": (
        [
            accepted(),
            *HANDLER,
            (kinds.FIRST_BYTE, 120, 1),
            (kinds.READ_FAILED, 160, "TimeoutError"),
            (kinds.NO_REQUEST, 165, True),
            *ending(170),
        ],
        "timeout",
        "TimeoutError",
    ),
    "timeout while idle is no timeout": (
        [accepted(), *HANDLER, (kinds.READ_FAILED, 160, "TimeoutError"), *ending(170)],
        "no_request",
        None,
    ),
    "refused by http.server": (
        [accepted(), *HANDLER, *exchange(130, status=400, refused=True), *ending(175)],
        "bad_request",
        "400",
    ),
    "a blank line": (
        [
            accepted(),
            *HANDLER,
            (kinds.FIRST_BYTE, 120, 1),
            (kinds.NO_REQUEST, 125, True),
            *ending(130),
        ],
        "bad_request",
        "bad_request",
    ),
    "server stopped": (
        [accepted(), *HANDLER, (kinds.ABANDONED, 150, "server_shutdown")],
        "server_shutdown",
        None,
    ),
    "child died": (
        [accepted(), (kinds.ABANDONED, 150, "child_died")],
        "child_died",
        "child_died",
    ),
    "uninstalled": ([accepted(), (kinds.ABANDONED, 150, "uninstalled")], "uninstalled", None),
    "sent nothing": (
        [accepted(), *HANDLER, *ending(130, Closing(state=8, bytes_received=0))],
        "no_request",
        None,
    ),
    "a 500 is still an answer": (
        [accepted(), *HANDLER, *exchange(130, status=500, error="ValueError"), *ending(175)],
        "completed",
        None,
    ),
}


@pytest.mark.parametrize("case", OUTCOMES.values(), ids=OUTCOMES.keys())
def test_the_outcome_is_the_first_that_applies(
    case: tuple[list[Mark], str, str | None],
) -> None:
    """Each end of a connection has its word and, if it is an error, its error.type."""
    marks, outcome, error = case

    done = record(*marks)

    assert (done.outcome, done.error) == (outcome, error)
