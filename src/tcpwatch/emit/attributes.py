"""Records in the words of the contract: attribute dictionaries, and nothing that exports them.

What is unknown is left out, never 0.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any, Final

from tcpwatch import names
from tcpwatch.core.marks import Accepted, Closing
from tcpwatch.core.record import ConnectionRecord
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


def connection_attributes(record: ConnectionRecord, listener: Listener) -> Attributes:
    """Return the attributes of a connection span, all but those on its blocker."""
    accepted = record.accepted
    found = dict(_of_listener(listener))
    _put_address(found, names.NETWORK_PEER_ADDRESS, names.NETWORK_PEER_PORT, accepted.peer)
    _put_address(found, names.NETWORK_LOCAL_ADDRESS, names.NETWORK_LOCAL_PORT, accepted.local)
    found[names.CONNECTION_OUTCOME] = record.outcome
    found[names.CONNECTION_REQUESTS] = record.requests
    found[names.CONNECTION_ID] = accepted.cookie
    found[names.DISPATCH_KIND] = record.dispatch
    found[names.ACCEPT_QUEUE_DEPTH] = accepted.depth
    found[names.ACCEPT_QUEUE_LIMIT] = accepted.limit
    found[names.ERROR_TYPE] = record.error
    if record.intervals_dropped:
        found[names.PHASE_DROPPED] = record.intervals_dropped
    found.update(phase_attributes(record.phases))
    _put_tcp(found, accepted, record.closing)
    if record.tls is not None and record.tls.version is not None:
        protocol, _, version = record.tls.version.partition("v")
        found[names.TLS_PROTOCOL_NAME] = protocol.lower()
        found[names.TLS_PROTOCOL_VERSION] = version
        found[names.TLS_CIPHER] = record.tls.cipher
        found[names.TLS_RESUMED] = record.tls.resumed
    return {name: value for name, value in found.items() if value is not None}


@functools.lru_cache(64)
def _of_listener(listener: Listener) -> Attributes:
    return {**listener_attributes(listener), names.SERVER_CLASS: listener.server_class}


def phase_attributes(phases: Mapping[str, int]) -> Attributes:
    """Return nanoseconds by phase as `tcpwatch.phase.<phase>` in seconds."""
    return {_PHASES[phase]: spent / 1e9 for phase, spent in phases.items()}


_PHASES: Final = {phase: names.PHASE_PREFIX + phase for phase in names.PHASES}


def _put_tcp(found: Attributes, accepted: Accepted, closing: Closing) -> None:
    found[names.TCP_SYNACK_RETRANSMITS] = accepted.synack_retransmits
    if accepted.handshake_rtt_us is not None:
        found[names.TCP_HANDSHAKE_RTT] = accepted.handshake_rtt_us / 1e6
    found.update(zip(_COUNTED, _counts(closing), strict=True))
    for name, micros in zip(_TIMED, _micros(closing), strict=True):
        if micros is not None:
            found[name] = micros / 1e6


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
_TIMED, _COUNTED = [name for _, name in _TIMES], [name for _, name in _COUNTS]
_micros: Final = itemgetter(*(Closing._fields.index(field) for field, _ in _TIMES))
_counts: Final = itemgetter(*(Closing._fields.index(field) for field, _ in _COUNTS))


def request_attributes(request: Any, accepted: Accepted, settings: Settings) -> Attributes:
    """Return what is known when a request's head was read; `request` is Exchange or Exchanged.

    A refused request has no headers, so it has neither host nor user agent here.
    """
    found: Attributes = {
        names.HTTP_REQUEST_METHOD: known_method(request.method),
        names.URL_SCHEME: request.scheme,
    }
    if request.method is not None and request.method not in METHODS:
        found[names.HTTP_REQUEST_METHOD_ORIGINAL] = request.method[:LONGEST]
    if request.target is not None:
        path, query = split_target(request.target)
        _put(found, names.URL_PATH, path)
        if query and settings.url_query:
            found[names.URL_QUERY] = query
    if request.version and request.version.startswith("HTTP/"):
        found[names.NETWORK_PROTOCOL_VERSION] = request.version[5:LONGEST]
    _put_address(found, names.NETWORK_PEER_ADDRESS, names.NETWORK_PEER_PORT, accepted.peer)
    if settings.peer_address:
        forwarded = _first(request.forwarded_for)
        _put(found, names.CLIENT_ADDRESS, forwarded or (accepted.peer and accepted.peer[0]))
    host, port = split_host(_first(request.forwarded_host) or _first(request.host))
    _put(found, names.SERVER_ADDRESS, host)
    if host is not None:
        _put(found, names.SERVER_PORT, port or (443 if request.scheme == "https" else 80))
    _put(found, names.USER_AGENT_ORIGINAL, request.user_agent and request.user_agent[:LONGEST])
    _put(found, names.CONNECTION_ID, accepted.cookie)
    return found


def response_attributes(request: Any) -> Attributes:
    """Return what is known when the response is out; `request` is Exchange or Exchanged."""
    found: Attributes = {}
    _put(found, names.HTTP_RESPONSE_STATUS_CODE, request.status)
    _put(found, names.HTTP_ROUTE, request.route)
    if request.view is not None:
        found.update(zip(_VIEW, request.view, strict=True))
    _put(found, names.ERROR_TYPE, error_type(request))
    if request.body_wait_ns:
        found[names.REQUEST_BODY_WAIT] = request.body_wait_ns / 1e9
    return found


_VIEW: Final = (names.CODE_FUNCTION_NAME, names.CODE_FILE_PATH, names.CODE_LINE_NUMBER)


def error_type(request: Any) -> str | None:
    """Return `error.type` of a request: the exception, else the status if it is a 5xx."""
    if request.error is not None:
        return str(request.error)
    return str(request.status) if (request.status or 0) >= 500 else None


def request_metric_attributes(request: Any) -> Attributes:
    """Return the semantic convention's set for http.server.request.duration."""
    found: Attributes = {
        names.HTTP_REQUEST_METHOD: known_method(request.method),
        names.URL_SCHEME: request.scheme,
    }
    _put(found, names.HTTP_ROUTE, request.route)
    _put(found, names.HTTP_RESPONSE_STATUS_CODE, request.status)
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


def _put_address(
    found: Attributes, name: str, port_name: str, address: Iterable[Any] | None
) -> None:
    if address is not None:
        host, port = address
        found[name] = host
        _put(found, port_name, port)
