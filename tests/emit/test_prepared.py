"""Spans that are encoded beforehand go through the stock exporter, together with all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExportResult

from tcpwatch.emit import prepared
from tcpwatch.emit.late import FinishedSpan, Home, LateSpan
from tcpwatch.emit.tracing import Tracing

FINISHED = FinishedSpan("tcp.connection", (0xA, 0xC), (0, False), (1, 2), {"a": "text"})


class Sent:
    """What an exporter's client was given to send, in place of a network."""

    def __init__(self, exporter: Any) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.answer = exporter._client.export
        exporter._client.export = self._take

    def _take(self, data: bytes) -> Any:
        self.requests.append(ExportTraceServiceRequest.FromString(data))

        class Answer:
            success = True

        return Answer()

    @property
    def names(self) -> list[list[str]]:
        """The names of the spans of each request."""
        return [
            sorted(
                span.name
                for resource in request.resource_spans
                for scope in resource.scope_spans
                for span in scope.spans
            )
            for request in self.requests
        ]


@pytest.fixture
def exporter() -> Iterator[OTLPSpanExporter]:
    """Return an OTLP exporter that has nobody to send to."""
    exporter = OTLPSpanExporter(endpoint="http://127.0.0.1:9/v1/traces")
    yield exporter
    exporter.shutdown()  # type: ignore[no-untyped-call]


def test_prepared_and_other_spans_leave_in_one_request(exporter: OTLPSpanExporter) -> None:
    """The application's own are encoded by the exporter, ours were before."""
    sent = Sent(exporter)
    assert prepared.join(exporter)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    Tracing(provider).emit(FINISHED)
    provider.get_tracer("app").start_span("work").end()
    provider.force_flush()

    assert sent.names == [["tcp.connection", "work"]]
    provider.shutdown()


def test_a_batch_of_only_ours_is_a_request(exporter: OTLPSpanExporter) -> None:
    """Nothing is left for the exporter to encode, and it sends all the same."""
    sent = Sent(exporter)
    assert prepared.join(exporter)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    for _ in range(3):
        Tracing(provider).emit(FINISHED)
    provider.force_flush()

    assert sent.names == [["tcp.connection"] * 3]
    provider.shutdown()


def test_too_much_is_the_exporters_to_refuse(exporter: OTLPSpanExporter) -> None:
    """Its limit of a request's size holds for what was encoded beforehand too."""
    sent = Sent(exporter)
    assert prepared.join(exporter)
    exporter._max_request_size = 20
    late = LateSpan(FINISHED, Home(Resource({}), SpanLimits()), encode=True)

    assert exporter.export([late]) is SpanExportResult.FAILURE
    assert not sent.requests


def test_what_is_too_much_together_leaves_in_two_requests(exporter: OTLPSpanExporter) -> None:
    """Ours and the application's each keep within the exporter's limit."""
    sent = Sent(exporter)
    assert prepared.join(exporter)
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))

    def both() -> None:
        Tracing(provider).emit(FINISHED)
        provider.get_tracer("app").start_span("work").end()
        provider.force_flush()

    both()
    exporter._max_request_size = sent.requests[0].ByteSize() - 1
    both()

    assert sent.names == [["tcp.connection", "work"], ["tcp.connection"], ["work"]]
    provider.shutdown()


def test_an_exporter_that_looks_different_is_left_as_it_is() -> None:
    """Console, gRPC or another version: everything goes the stock way."""
    exporter = ConsoleSpanExporter()
    before = dict(vars(exporter))

    assert not prepared.join(exporter)
    assert vars(exporter) == before
