"""Made-up telemetry of a busy server: batches of spans as an SDK would export them."""

from __future__ import annotations

import gzip
import itertools
import random
from collections.abc import Iterator

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from tcpwatch import names

SPANS = 5
"""Spans of one connection: itself, three phases, a request."""
_SENT = b"\xf1\xe2\xd3\xc4"
"""What every id begins with until it is sent: then it is the number of the export."""
_PATHS = ("/", "/slow", "/api/orders", "/api/items", "/static/app.js", "/login")
Values = dict[str, str | int | float]
_CODE: Values = {
    "code.function.name": "werkzeug.serving.WSGIRequestHandler.run_wsgi",
    "code.file.path": "/usr/lib/python3/site-packages/werkzeug/serving.py",
    "code.line.number": 252,
}


def batch(connections: int, begin: float, step: float, seed: int) -> bytes:
    """Return an export of so many connections, for `sent` to number.

    Args:
        connections: how many; each has `SPANS` spans.
        begin: when the first came, in seconds since the epoch.
        step: seconds from one to the next.
        seed: makes different batches differ.
    """
    dice = random.Random(seed)  # noqa: S311 - no secret
    request = ExportTraceServiceRequest()
    of_resource = request.resource_spans.add()
    _set(of_resource.resource, {"service.name": "busy", "service.instance.id": "1"})
    scope = of_resource.scope_spans.add()
    scope.scope.name = names.SCOPE
    for number in range(connections):
        _connection(scope, begin + number * step, dice, itertools.count(number * SPANS))
    return request.SerializeToString()


def sent(export: bytes, number: int) -> bytes:
    """Return an export of `batch`, gzipped, with ids that no export of another number has.

    The viewer stores no span twice: to send the same bytes again would measure how it drops them.
    """
    mark = number.to_bytes(len(_SENT), "big")
    numbered = export.replace(_SENT, mark).replace(_SENT.hex().encode(), mark.hex().encode())
    return gzip.compress(numbered, 1)


def metrics(at: float) -> bytes:
    """Return a gzipped export of one server's metrics, made `at` (seconds since the epoch)."""
    request = ExportMetricsServiceRequest()
    of_resource = request.resource_metrics.add()
    _set(of_resource.resource, {"service.name": "busy", "service.instance.id": "1"})
    scope = of_resource.scope_metrics.add()
    scope.scope.name = names.SCOPE
    for name, attribute, kinds in (
        (names.M_LOOP_TIME, names.LOOP_STATE, names.LOOP_STATES),
        (names.M_CONNECTION_ACTIVE, names.PHASE_NAME, names.PHASES),
        (names.M_CONNECTION_OLDEST, names.PHASE_NAME, names.PHASES),
        (names.M_QUEUE_DEPTH, "", ("",)),
        (names.M_QUEUE_LIMIT, "", ("",)),
        (names.M_LOOP_BUSY, "", ("",)),
        (names.M_CONNECTION_ACCEPTED, "", ("",)),
    ):
        data = scope.metrics.add(name=name).sum
        data.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        for kind in kinds:
            point = data.data_points.add(
                start_time_unix_nano=1, time_unix_nano=int(at * 1e9), as_double=at
            )
            place: Values = {names.SERVER_ADDRESS: "127.0.0.1", names.SERVER_PORT: 5000}
            _set(point, {**place, **({attribute: kind} if attribute else {})})
    return gzip.compress(request.SerializeToString(), 1)


def _connection(
    scope: ScopeSpans, start: float, dice: random.Random, numbers: Iterator[int]
) -> None:
    ids = (_SENT + number.to_bytes(4, "big") for number in numbers)
    span = next(ids)
    trace = span + bytes(8)
    wait, app, drain = dice.expovariate(20), dice.expovariate(50), 0.01
    path = dice.choice(_PATHS)
    at = int(start * 1e9)
    phases = ((names.ACCEPT_QUEUE, wait), (names.APP, app), (names.DRAIN, drain))
    cookie = span.hex()
    one = _add(scope, trace, span, names.SPAN_TCP, at, wait + app + drain)
    blocked: Values = {names.BLOCKED_BY_ACTIVITY: names.BLAME_CONVOY, names.BLOCKED_BY_COUNT: 9}
    _set(
        one,
        {
            names.NETWORK_TRANSPORT: "tcp",
            names.NETWORK_TYPE: "ipv4",
            names.NETWORK_PEER_ADDRESS: f"10.0.{dice.randrange(256)}.{dice.randrange(256)}",
            names.NETWORK_PEER_PORT: dice.randrange(32768, 61000),
            names.SERVER_ADDRESS: "127.0.0.1",
            names.SERVER_PORT: 5000,
            names.CONNECTION_ID: cookie,
            names.CONNECTION_OUTCOME: names.COMPLETED,
            names.CONNECTION_REQUESTS: 1,
            names.SERVER_CLASS: "werkzeug.serving.ThreadedWSGIServer",
            names.DISPATCH_KIND: names.INLINE if dice.random() < 0.5 else names.THREAD,
            names.ACCEPT_QUEUE_DEPTH: dice.randrange(20),
            names.ACCEPT_QUEUE_LIMIT: 128,
            names.TCP_HANDSHAKE_RTT: 0.0001,
            names.TCP_RTT: 0.0002,
            names.TCP_BYTES_RECEIVED: 312,
            names.TCP_BYTES_SENT: 5120,
            **{names.PHASE_PREFIX + phase: seconds for phase, seconds in phases},
            **(blocked if wait > 0.05 else {}),
        },
    )
    for phase, seconds in phases:
        _set(_add(scope, trace, next(ids), phase, at, seconds, span), _CODE)
        at += int(seconds * 1e9)
    served = _add(scope, trace, next(ids), f"GET {path}", int(start * 1e9), wait + app, span)
    served.kind = Span.SPAN_KIND_SERVER
    _set(
        served,
        {
            names.HTTP_REQUEST_METHOD: "GET",
            names.URL_PATH: path,
            names.HTTP_ROUTE: path,
            names.URL_SCHEME: "http",
            names.HTTP_RESPONSE_STATUS_CODE: 200,
            names.CONNECTION_ID: cookie,
            names.USER_AGENT_ORIGINAL: "Mozilla/5.0 (X11; Linux x86_64)",
        },
    )


def _add(
    scope: ScopeSpans,
    trace: bytes,
    span: bytes,
    name: str,
    at: int,
    seconds: float,
    parent: bytes = b"",
) -> Span:
    return scope.spans.add(
        trace_id=trace,
        span_id=span,
        parent_span_id=parent,
        name=name,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=at,
        end_time_unix_nano=at + int(seconds * 1e9),
    )


def _set(message: object, values: Values) -> None:
    for key, value in values.items():
        pair: KeyValue = message.attributes.add(key=key)  # type: ignore[attr-defined]
        if isinstance(value, str):
            pair.value.string_value = value
        elif isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.double_value = value
