"""How a connection ended: one word, decided from its signs (docs/telemetry.md § 4)."""

from __future__ import annotations

from tcpwatch import names

TCP_CLOSE = 7
"""TCP_CLOSE of linux/tcp_states.h: what a socket is in after a reset came in."""


class Signs:
    """What a timeline noticed that bears on the outcome; nothing yet is what the class says."""

    state_at_accept: int | None = None
    state_at_close: int | None = None
    bytes_received: int | None = None
    speaks_http: bool = False
    rejected: bool = False
    tls_error: str | None = None
    handler_error: str | None = None
    client_left: bool = False
    read_error: str | None = None
    read_error_in_request: bool = False
    unfinished: bool = False
    bad_request: bool = False
    refused_status: int | None = None
    abandoned: str | None = None


def is_ordinary(state_at_accept: int | None, state_at_close: int | None) -> bool:
    """Say whether the socket's states are no sign of anything."""
    return TCP_CLOSE not in (state_at_accept, state_at_close)


def outcome_of(signs: Signs, requests: int) -> tuple[str, str | None]:
    """Return the outcome and the error.type of a connection on which `requests` were finished."""
    timed_out = signs.read_error in ("TimeoutError", "timeout")
    if signs.state_at_accept == TCP_CLOSE:
        return names.CLIENT_GONE_IN_QUEUE, None
    if signs.rejected:
        return names.REJECTED, None
    if signs.tls_error is not None:
        return names.TLS_FAILED, signs.tls_error
    if signs.handler_error is not None and not signs.client_left and not timed_out:
        return names.HANDLER_ERROR, signs.handler_error
    if signs.client_left or signs.state_at_close == TCP_CLOSE:
        return names.CLIENT_DISCONNECTED, None
    cut_off = signs.read_error is not None and not timed_out
    if cut_off and (signs.read_error != "EOF" or signs.read_error_in_request):
        return names.CLIENT_DISCONNECTED, None
    if timed_out and signs.read_error_in_request:
        return names.TIMEOUT, signs.read_error
    if signs.bad_request:
        status = signs.refused_status
        return names.BAD_REQUEST, str(status) if status is not None else names.BAD_REQUEST
    if signs.abandoned is not None:
        error = signs.abandoned if signs.abandoned == names.CHILD_DIED else None
        return signs.abandoned, error
    if requests == 0 and not signs.unfinished and _sent_nothing(signs):
        return names.NO_REQUEST, None
    return names.COMPLETED, None


def _sent_nothing(signs: Signs) -> bool:
    """Say whether the client sent nothing; where the kernel has no count, by its requests."""
    if signs.bytes_received is None:
        return signs.speaks_http
    return signs.bytes_received == 0
