"""From OTLP spans to rows, tolerant of whatever a sender puts into them; no database here."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from tcpwatch import names
from tcpwatch.view import decode
from tcpwatch.view.connections import number, peer, text
from tcpwatch.view.signals import Attributes

Rows = dict[str, list[tuple[object, ...]]]
"""Table to its new rows, each with the values in the order of the table's columns."""

NumberOrigin = Callable[[ResourceSpans, ScopeSpans, str], "int | None"]
NumberServer = Callable[[str, Attributes], "int | None"]

INT32 = 2**31 - 1
INT64 = 2**63 - 1
DAY_NS = 86_400 * 10**9
_LONGEST_TEXT = 512
_CONNECTIONS = (names.SPAN_TCP, names.SPAN_UNIX)


def of_traces(
    request: ExportTraceServiceRequest,
    seq: int,
    number_origin: NumberOrigin,
    number_server: NumberServer,
    known: Collection[tuple[str, int]] = frozenset(),
) -> tuple[Rows, int]:
    """Return the rows of a request's spans, and how many spans were refused.

    Refused are spans without valid ids, spans from later than tomorrow (they would pull every time
    axis with them), and those of one resource too many.

    Args:
        request: what was sent.
        seq: the first span's; the following count up from it.
        number_origin: gives a resource and a scope their number, None when there are too many.
        number_server: gives a service's listener its number, None when there are too many.
        known: trace and id of spans that have their rows already, and get none.
    """
    rows: Rows = defaultdict(list)
    refused, latest = 0, time.time_ns() + DAY_NS
    for of_resource in request.resource_spans:
        service = service_of(of_resource.resource)
        for of_scope in of_resource.scope_spans:
            origin = number_origin(of_resource, of_scope, service)
            ours = of_scope.scope.name == names.SCOPE
            for span in of_scope.spans:
                in_time = max(span.start_time_unix_nano, span.end_time_unix_nano) <= latest
                if origin is None or not in_time or not decode.has_ids(span):
                    refused += 1
                    continue
                span_id = int.from_bytes(span.span_id, "big")
                trace = span.trace_id.hex()
                if (trace, span_id) in known:
                    continue
                rows["spans"].append((seq, span_id, trace, origin, span.SerializeToString()))
                if ours and span.name in _CONNECTIONS:
                    found = decode.attributes(span.attributes)
                    server = number_server(service, found)
                    rows["connections"].append(_connection(seq, span_id, server, span, found))
                elif ours and span.name in names.PHASES:
                    owner = int.from_bytes(span.parent_span_id, "big")
                    rows["phases"].append((seq, owner, span.name, *_times(span)))
                elif span.kind == Span.SPAN_KIND_SERVER:
                    rows["requests"].append(_request(seq, span_id, span, ours))
                seq += 1
    return rows, refused


def service_of(resource: Resource) -> str:
    """Return a resource's `service.name`, safe to print and cut, "" if it has none."""
    return text(decode.attributes(resource.attributes), "service.name")[:_LONGEST_TEXT]


def whole(attributes: Attributes, name: str) -> int | None:
    """Return an attribute as a whole number that a column can hold, None if it is none."""
    value = number(attributes, name)
    if value is None or not math.isfinite(value) or abs(value) > INT32:
        return None
    return int(value)


def _connection(
    seq: int, span_id: int, server: int | None, span: Span, found: Attributes
) -> tuple[object, ...]:
    cause = _short(found, names.BLOCKED_BY_ACTIVITY)
    linked = span.links[0].span_id if cause and span.links else b""
    return (
        seq,
        span_id,
        server,
        *_times(span),
        peer(found) or None,
        _short(found, names.CONNECTION_ID),
        _short(found, names.CONNECTION_OUTCOME),
        _short(found, names.ERROR_TYPE),
        _short(found, names.DISPATCH_KIND),
        whole(found, names.ACCEPT_QUEUE_DEPTH),
        whole(found, names.ACCEPT_QUEUE_LIMIT),
        cause,
        int.from_bytes(linked, "big") if linked else None,
        _short(found, names.BLOCKED_BY_CONNECTION_ID),
        *(_seconds(found, names.PHASE_PREFIX + phase) for phase in names.PHASES),
    )


def _request(seq: int, span_id: int, span: Span, ours: bool) -> tuple[object, ...]:
    found = decode.attributes(span.attributes)
    cookie = _short(found, names.CONNECTION_ID)
    # A request of a remote trace links to its connection; so does another instrumentation's span,
    # where ours is the last link. All others are the connection's children.
    links = span.links if ours or cookie else ()
    owner = links[-1].span_id if links else span.parent_span_id
    return (
        seq,
        span_id,
        int.from_bytes(owner, "big") if owner else None,
        cookie,
        *_times(span),
        _short(found, names.HTTP_REQUEST_METHOD) or span.name[:_LONGEST_TEXT],
        _short(found, names.URL_PATH),
        _short(found, names.HTTP_ROUTE),
        _short(found, names.USER_AGENT_ORIGINAL),
        whole(found, names.HTTP_RESPONSE_STATUS_CODE),
        _short(found, names.ERROR_TYPE),
    )


def _times(span: Span) -> tuple[int, int]:
    start = min(span.start_time_unix_nano, INT64)
    return start, max(start, min(span.end_time_unix_nano, INT64))


def _short(attributes: Attributes, name: str) -> str | None:
    return text(attributes, name)[:_LONGEST_TEXT] or None


def _seconds(attributes: Attributes, name: str) -> float | None:
    value = number(attributes, name)
    return float(value) if value is not None and 0 <= value < INT32 else None
