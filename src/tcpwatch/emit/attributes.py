"""Records in the words of the contract: attribute dictionaries, and nothing that exports them.

What is unknown is left out, never 0.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from operator import attrgetter, itemgetter
from typing import Any, Final

from tcpwatch import names
from tcpwatch.core.marks import Accepted, Closing
from tcpwatch.core.record import ConnectionRecord
from tcpwatch.emit.groups import SHORT, Group, Grouped, floats, fresh, repeated, texts
from tcpwatch.emit.redaction import LONGEST, split_target
from tcpwatch.hub.loop import Listener
from tcpwatch.settings import Settings

Attributes = dict[str, Any]

METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)
"""RFC 9110, RFC 5789 and the QUERY method: what http.request.method may be besides _OTHER."""

OTHER: Final = "_OTHER"

VERSIONS: Final = frozenset({"HTTP/0.9", "HTTP/1.0", "HTTP/1.1"})
"""What a metric may carry: http.server takes HTTP/1.<any number> from a client."""


def known_method(method: str | None) -> str:
    """Return the method if it is a known one, else `_OTHER`: methods are the client's to invent."""
    return method if method in METHODS else OTHER


def listener_attributes(listener: Listener) -> Attributes:
    """Return what our own metrics carry: the listener, never the peer."""
    found: Attributes = {
        names.SERVER_ADDRESS: listener.address,
        names.NETWORK_TRANSPORT: listener.transport,
    }
    _put(found, names.SERVER_PORT, listener.port)
    _put(found, names.NETWORK_TYPE, listener.network_type)
    return found


def connection_name(listener: Listener) -> str:
    """Return the name of a connection span of this listener."""
    return names.SPAN_UNIX if listener.transport == "unix" else names.SPAN_TCP


def connection_attributes(record: ConnectionRecord, listener: Listener) -> Grouped:
    """Return the attributes of a connection span, all but those on its blocker."""
    accepted = record.accepted
    peer, peer_port = accepted.peer or _NOWHERE
    local, local_port = accepted.local or _NOWHERE
    found = Grouped(
        [
            _of_listener(listener),
            (_ENDS, (peer, local, local_port)),
            (_ONLY_ONCE, (peer_port, accepted.cookie)),
            (
                _STORY,
                (
                    *(record.outcome, record.error, record.dispatch, record.requests),
                    *(record.intervals_dropped or None, accepted.depth, accepted.limit),
                ),
            ),
        ]
    )
    found.extend(phase_attributes(record.phases))
    _put_tcp(found, accepted, record.closing)
    if record.tls is not None and record.tls.version is not None:
        protocol, _, version = record.tls.version.partition("v")
        found.add(_TLS, protocol.lower(), version, record.tls.cipher, record.tls.resumed)
    return found


_NOWHERE: Final = (None, None)
_ENDS: Final = repeated(
    names.NETWORK_PEER_ADDRESS, names.NETWORK_LOCAL_ADDRESS, names.NETWORK_LOCAL_PORT
)
_ONLY_ONCE: Final = fresh(names.NETWORK_PEER_PORT, names.CONNECTION_ID)
_STORY: Final = repeated(
    *(names.CONNECTION_OUTCOME, names.ERROR_TYPE, names.DISPATCH_KIND, names.CONNECTION_REQUESTS),
    *(names.PHASE_DROPPED, names.ACCEPT_QUEUE_DEPTH, names.ACCEPT_QUEUE_LIMIT),
)
_TLS: Final = repeated(
    *(names.TLS_PROTOCOL_NAME, names.TLS_PROTOCOL_VERSION, names.TLS_CIPHER, names.TLS_RESUMED)
)
KEPT: Final = repeated(names.KEPT_REASON)
"""Why a connection is exported that was not sampled."""

BLAMED: Final = fresh(
    *(names.BLOCKED_BY_ACTIVITY, names.BLOCKED_BY_DURATION, names.BLOCKED_BY_COUNT),
    names.BLOCKED_BY_CONNECTION_ID,
)
"""On a connection's blocker."""

PLACE: Final = repeated(names.CODE_FUNCTION_NAME, names.CODE_FILE_PATH, names.CODE_LINE_NUMBER)
"""Where in the code a phase is spent."""


@functools.lru_cache(64)
def _of_listener(listener: Listener) -> tuple[Group, tuple[Any, ...]]:
    found = {**listener_attributes(listener), names.SERVER_CLASS: listener.server_class}
    return repeated(*found), tuple(found.values())


def phase_attributes(phases: Mapping[str, int]) -> Grouped:
    """Return nanoseconds by phase as `tcpwatch.phase.<phase>` in seconds."""
    return Grouped([(_phases(*phases), tuple(map(_of_nanoseconds, phases.values())))])


_of_nanoseconds: Final = (1e9).__rtruediv__
_of_microseconds: Final = (1e6).__rtruediv__
"""Seconds of whole numbers, for which `map` runs no Python."""


@functools.lru_cache(256)
def _phases(*phases: str) -> Group:
    return floats(*(names.PHASE_PREFIX + phase for phase in phases))


def _put_tcp(found: Grouped, accepted: Accepted, closing: Closing) -> None:
    found.add(_TCP, accepted.synack_retransmits, *_counts(closing))
    micros = (accepted.handshake_rtt_us, *_micros(closing))
    timed = _TIMED
    if None in micros:
        timed = floats(
            *(name for name, each in zip(_TIMED.names, micros, strict=True) if each is not None)
        )
        micros = tuple(each for each in micros if each is not None)
    found.add(timed, *map(_of_microseconds, micros))


_TIMES: Final = (
    ("rtt_us", names.TCP_RTT),
    ("rtt_var_us", names.TCP_RTT_VAR),
    ("min_rtt_us", names.TCP_MIN_RTT),
    ("busy_us", names.TCP_BUSY),
    ("rwnd_limited_us", names.TCP_RWND_LIMITED),
    ("sndbuf_limited_us", names.TCP_SNDBUF_LIMITED),
)
_COUNTS: Final = (
    ("retransmits", names.TCP_RETRANSMITS),
    ("bytes_received", names.TCP_BYTES_RECEIVED),
    ("bytes_sent", names.TCP_BYTES_SENT),
    ("bytes_acked", names.TCP_BYTES_ACKED),
    ("bytes_unacked", names.TCP_BYTES_UNACKED),
)
_TCP: Final = repeated(names.TCP_SYNACK_RETRANSMITS, *(name for _, name in _COUNTS))
_TIMED: Final = floats(names.TCP_HANDSHAKE_RTT, *(name for _, name in _TIMES))
_micros: Final = itemgetter(*(Closing._fields.index(field) for field, _ in _TIMES))
_counts: Final = itemgetter(*(Closing._fields.index(field) for field, _ in _COUNTS))


def request_attributes(
    request: Any, accepted: Accepted, settings: Settings, sequence: int | None = None
) -> Grouped:
    """Return what is known when a request's head was read; `request` is Exchange or Exchanged.

    It is the connection's request of the number `sequence`. A refused request has no headers, so
    it has neither host nor user agent here.
    """
    path = query = None
    if request.target is not None:
        path, query = split_target(request.target)
        if not settings.url_query:
            query = None
    peer, peer_port = accepted.peer or _NOWHERE
    said = _said_of(request)
    short = sum(map(len, filter(None, said))) < SHORT
    asked = (_of_head if short else _of_head.__wrapped__)(said, peer, settings.peer_address)
    this_one = (path, query or None, peer_port, accepted.cookie, sequence)
    return Grouped([*asked, (_THIS_ONE, this_one)])


_said_of: Final = attrgetter(
    *("method", "scheme", "version", "host", "forwarded_host", "forwarded_for", "user_agent")
)


@functools.lru_cache(512)
def _of_head(
    said: tuple[str | None, ...], peer: str | None, tells_client: bool
) -> tuple[tuple[Group, tuple[Any, ...]], ...]:
    """Return what most requests say as an earlier one did."""
    method, scheme, version, host, forwarded_host, forwarded_for, agent = said
    original = method[:LONGEST] if method is not None and method not in METHODS else None
    version = version[5:LONGEST] if version and version.startswith("HTTP/") else None
    client = (_first(forwarded_for) or peer) if tells_client else None
    host, port = split_host(_first(forwarded_host) or _first(host))
    if host is not None and not port:
        port = 443 if scheme == "https" else 80
    return (
        (_ASKED, (known_method(method), scheme, port)),
        (_SAID, (original, version, peer, client, host, agent and agent[:LONGEST])),
    )


_ASKED: Final = repeated(names.HTTP_REQUEST_METHOD, names.URL_SCHEME, names.SERVER_PORT)
_SAID: Final = texts(
    *(names.HTTP_REQUEST_METHOD_ORIGINAL, names.NETWORK_PROTOCOL_VERSION),
    *(names.NETWORK_PEER_ADDRESS, names.CLIENT_ADDRESS, names.SERVER_ADDRESS),
    names.USER_AGENT_ORIGINAL,
)
_THIS_ONE: Final = fresh(
    *(names.URL_PATH, names.URL_QUERY, names.NETWORK_PEER_PORT, names.CONNECTION_ID),
    names.REQUEST_SEQUENCE,
)


def response_attributes(request: Any) -> Grouped:
    """Return what is known when the response is out; `request` is Exchange or Exchanged."""
    answered = (
        status_code(request),
        request.route,
        error_type(request),
        *(request.view or _NO_VIEW),
    )
    found = Grouped([(_ANSWERED, answered)])
    if request.body_wait_ns:
        found.add(_BODY_WAIT, request.body_wait_ns / 1e9)
    return found


_NO_VIEW: Final = (None, None, None)
_ANSWERED: Final = repeated(
    *(names.HTTP_RESPONSE_STATUS_CODE, names.HTTP_ROUTE, names.ERROR_TYPE),
    *(names.CODE_FUNCTION_NAME, names.CODE_FILE_PATH, names.CODE_LINE_NUMBER),
)
_BODY_WAIT: Final = floats(names.REQUEST_BODY_WAIT)


def error_type(request: Any) -> str | None:
    """Return `error.type` of a request: the exception, else the status if it is a 5xx.

    One of more than three digits a client takes for a 5xx (RFC 9110 § 15).
    """
    if request.error is not None:
        return str(request.error)
    if (request.status or 0) < 500:
        return None
    return str(request.status) if status_code(request) is not None else OTHER


def status_code(request: Any) -> int | None:
    """Return a request's status, if it is one of three digits: others may be anything's number."""
    status: int | None = request.status
    return status if status is not None and status < 1000 else None


def request_metric_attributes(request: Any) -> Attributes:
    """Return the semantic convention's set for http.server.request.duration."""
    found: Attributes = {
        names.HTTP_REQUEST_METHOD: known_method(request.method),
        names.URL_SCHEME: request.scheme,
    }
    _put(found, names.HTTP_ROUTE, request.route)
    _put(found, names.HTTP_RESPONSE_STATUS_CODE, status_code(request))
    _put(found, names.ERROR_TYPE, error_type(request))
    if request.version in VERSIONS:
        found[names.NETWORK_PROTOCOL_VERSION] = request.version[5:]
    return found


def span_name(request: Any) -> str:
    """Return the convention's span name: `{method} {route}`, `{method}`, or HTTP for `_OTHER`."""
    method = known_method(request.method)
    method = "HTTP" if method == OTHER else method
    return f"{method} {request.route}" if request.route else method


def split_host(host: str | None) -> tuple[str | None, int | None]:
    """Split a Host header into name and port; brackets of an IPv6 literal are taken off.

    RFC 9110 § 7.2 knows no user in it; who sends one has put credentials there.
    """
    if not host:
        return None, None
    # Mostly it is one of a few; what a client makes up is not remembered if it is long.
    return _split_known(host) if len(host) < 100 else _split(host)


def _split(host: str) -> tuple[str | None, int | None]:
    host = host.rpartition("@")[2]
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        name, _, port = host.rpartition(":") if ":" in host else (host, "", "")
    return name or None, int(port) if port.isdecimal() and len(port) < 6 else None


_split_known: Final = functools.lru_cache(256)(_split)


def _first(values: str | None) -> str | None:
    return values[:LONGEST].split(",", 1)[0].strip() or None if values else None


def _put(found: Attributes, name: str, value: object | None) -> None:
    if value is not None:
        found[name] = value
