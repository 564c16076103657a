"""The door: the SDK's own exporters as clients, and every answer the specification asks for."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import zlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanKind, StatusCode

from tcpwatch.view.receiver import Receiver
from tcpwatch.view.recording import Recording
from tcpwatch.view.web import otlp

PROTOBUF = "application/x-protobuf"
ONE_SPAN = {
    "resourceSpans": [
        {
            "scopeSpans": [
                {
                    "spans": [
                        {
                            "traceId": "5B8EFFF798038103D269B633813FC60C",
                            "spanId": "eee19b7ec3c1b174",
                            "parentSpanId": "eee19b7ec3c1b173",
                            "name": "from JSON",
                            "kind": 2,
                            "startTimeUnixNano": "1544712660000000000",
                            "endTimeUnixNano": "1544712661000000000",
                            "fromTheFuture": {"ignored": True},
                        }
                    ]
                }
            ]
        }
    ]
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(Recording()) as listening:
        yield listening


def ask(
    receiver: Receiver,
    body: bytes = b"",
    *,
    method: str = "POST",
    path: str = "/v1/traces",
    content_type: str = PROTOBUF,
    coding: str = "",
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(urlsplit(receiver.endpoint).netloc, timeout=30)
    headers = {"Content-Type": content_type}
    if coding:
        headers["Content-Encoding"] = coding
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response, answer


@pytest.mark.parametrize("compression", list(Compression))
def test_the_sdk_s_span_exporter_is_understood(
    receiver: Receiver, compression: Compression
) -> None:
    """Whatever it compresses with, the span arrives whole."""
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    exporter = OTLPSpanExporter(f"{receiver.endpoint}/v1/traces", compression=compression)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("scope", schema_url="https://example.org/schema")
    with tracer.start_as_current_span("parent") as parent:
        target = parent.get_span_context()
        child = tracer.start_span(
            "child", kind=SpanKind.SERVER, attributes={"n": 1}, links=[Link(target, {"why": "x"})]
        )
        child.add_event("seen", {"k": "v"})
        child.set_status(StatusCode.ERROR, "broken")
        child.end()
    provider.shutdown()

    got = {span.name: span for span in receiver.recording.spans}
    child_span, parent_span = got["child"], got["parent"]
    assert child_span.parent_span_id == parent_span.span_id == f"{target.span_id:016x}"
    assert child_span.trace_id == f"{target.trace_id:032x}"
    assert (child_span.kind, child_span.status) == ("SERVER", "ERROR")
    assert child_span.status_message == "broken"
    assert child_span.links[0].span_id == parent_span.span_id
    assert child_span.links[0].attributes == {"why": "x"}
    assert child_span.events[0].name == "seen"
    assert child_span.resource["service.name"] == "shop"
    assert (child_span.scope, child_span.scope_schema_url) == (
        "scope",
        "https://example.org/schema",
    )


def test_the_sdk_s_metric_exporter_is_understood(receiver: Receiver) -> None:
    """Counters, up-down counters, gauges and histograms arrive with their kinds."""
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(f"{receiver.endpoint}/v1/metrics"), export_interval_millis=600_000
    )
    provider = MeterProvider([reader])
    meter = provider.get_meter("scope")
    meter.create_counter("c", unit="s").add(2.5, {"state": "idle"})
    meter.create_up_down_counter("u").add(-1)
    meter.create_gauge("g").set(7)
    meter.create_histogram("h", explicit_bucket_boundaries_advisory=[1, 2]).record(1.5)
    provider.shutdown()

    got = {point.name: point for point in receiver.recording.points()}
    assert (got["c"].kind, got["c"].monotonic, got["c"].value) == ("sum", True, 2.5)
    assert (got["c"].unit, got["c"].attributes) == ("s", {"state": "idle"})
    assert got["c"].temporality == "CUMULATIVE"
    assert (got["u"].kind, got["u"].monotonic, got["u"].value) == ("sum", False, -1)
    assert (got["g"].kind, got["g"].value) == ("gauge", 7)
    assert (got["h"].bounds, got["h"].bucket_counts) == ((1, 2), (0, 1, 0))


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_json_is_understood_with_ids_in_hex(receiver: Receiver, content_type: str) -> None:
    """OTLP writes ids in hex where protobuf's JSON would have base64; the answer is JSON too."""
    response, answer = ask(receiver, json.dumps(ONE_SPAN).encode(), content_type=content_type)
    assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
    assert json.loads(answer) == {}
    (span,) = receiver.recording.spans
    assert span.trace_id == "5b8efff798038103d269b633813fc60c"
    assert (span.span_id, span.parent_span_id) == ("eee19b7ec3c1b174", "eee19b7ec3c1b173")
    assert (span.kind, span.duration) == ("SERVER", 1.0)


def test_success_is_an_empty_response_message_in_the_request_s_content_type(
    receiver: Receiver,
) -> None:
    """An empty request is a valid one."""
    response, answer = ask(receiver)
    assert (response.status, response.headers["Content-Type"]) == (200, PROTOBUF)
    assert ExportTraceServiceResponse.FromString(answer) == ExportTraceServiceResponse()


def test_refused_spans_are_reported_as_a_partial_success(receiver: Receiver) -> None:
    """A sender learns that its ids are wrong, and does not send them again."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name="no ids")
    response, answer = ask(receiver, request.SerializeToString())
    assert response.status == 200
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert partial.rejected_spans == 1
    assert "ids" in partial.error_message


def test_logs_are_accepted_and_ignored(receiver: Receiver) -> None:
    """So an exporter of all three signals has nothing to retry."""
    assert ask(receiver, path="/v1/logs")[0].status == 200


@pytest.mark.parametrize(
    ("body", "content_type", "coding"),
    [
        (b"\xff\xff\xff", PROTOBUF, ""),
        (b"not gzip", PROTOBUF, "gzip"),
        (gzip.compress(b"x" * 1000)[:-9], PROTOBUF, "gzip"),
        (zlib.compress(b"\xff\xff"), PROTOBUF, "deflate"),
        (b"{", "application/json", ""),
        (b"[]", "application/json", ""),
        (b"3", "application/json", ""),
        (b"\xff", "application/json", ""),
        (b"[" * 100_000, "application/json", ""),
        (b'{"resourceSpans": 7}', "application/json", ""),
        (b'{"resourceSpans": [7]}', "application/json", ""),
        (b'{"resourceSpans": [{"scopeSpans": {"spans": [null]}}]}', "application/json", ""),
        (
            b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}',
            "application/json",
            "",
        ),
    ],
)
def test_garbage_is_answered_with_400_and_a_status_and_loses_nothing(
    receiver: Receiver, body: bytes, content_type: str, coding: str
) -> None:
    """What was stored before stays, and the door stays open."""
    ask(receiver, json.dumps(ONE_SPAN).encode(), content_type="application/json")
    response, answer = ask(receiver, body, content_type=content_type, coding=coding)
    assert (response.status, response.headers["Content-Type"]) == (400, content_type)
    if content_type == PROTOBUF:
        assert Status.FromString(answer).message
    else:
        assert json.loads(answer)["message"]
    assert len(receiver.recording.spans) == 1
    assert ask(receiver)[0].status == 200


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"path": "/"}, 404),
        ({"path": "/v1/traces/"}, 404),
        ({"method": "GET"}, 405),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": ""}, 415),
        ({"coding": "br"}, 415),
    ],
)
def test_what_is_not_an_export_is_refused_with_its_reason(
    receiver: Receiver, asked: dict[str, str], status: int
) -> None:
    """Wrong path, wrong method, wrong content type or coding."""
    response, answer = ask(receiver, **asked)  # type: ignore[arg-type]
    assert response.status == status
    assert Status.FromString(answer).message
    assert (response.headers["Allow"] == "POST") == (status == 405)


@pytest.mark.parametrize(
    "body", [gzip.compress(bytes(5000)), gzip.compress(bytes(1000)) * 5], ids=["one", "members"]
)
def test_a_body_that_grows_over_the_limit_is_refused_with_413(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """A small gzip bomb is not unpacked to its end."""
    monkeypatch.setattr(otlp, "MAX_BODY", 4096)
    assert ask(receiver, body, coding="gzip")[0].status == 413


def test_a_receiver_of_ipv6_gives_an_endpoint_with_brackets() -> None:
    """Its address can be used as it is."""
    try:
        listening = Receiver(Recording(), host="::1")
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with listening:
        assert listening.endpoint.startswith("http://[::1]:")
        assert ask(listening)[0].status == 200


def test_a_taken_port_is_an_error_at_once() -> None:
    """Not a thread that dies in silence."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Receiver(Recording(), port=taken.getsockname()[1])


def test_closing_stops_listening_and_may_be_repeated() -> None:
    """The port is free afterwards."""
    receiver = Receiver(Recording())
    port = urlsplit(receiver.endpoint).port
    receiver.close()
    receiver.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port or 0))
