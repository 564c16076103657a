"""The door for gRPC: the SDK's own exporters as clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tcpwatch.view.store import Store, StoreError

grpc = pytest.importorskip("grpc", reason="the extra grpc is not installed")

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: E402
    OTLPMetricExporter,
)
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: E402
from opentelemetry.proto.collector.trace.v1 import (  # noqa: E402
    trace_service_pb2,
    trace_service_pb2_grpc,
)

from tcpwatch.view.web.grpc_door import GrpcDoor  # noqa: E402


@pytest.fixture
def door(store: Store) -> Iterator[GrpcDoor]:
    listening = GrpcDoor(store, "127.0.0.1", 0)
    yield listening
    listening.close()


def test_the_sdk_s_exporters_are_understood(store: Store, door: GrpcDoor) -> None:
    """Spans and metrics arrive as over HTTP."""
    place = f"127.0.0.1:{door.port}"
    traces = TracerProvider(resource=Resource({"service.name": "shop"}))
    traces.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(place, insecure=True)))
    with traces.get_tracer("scope").start_as_current_span("one"):
        pass
    traces.shutdown()
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(place, insecure=True), export_interval_millis=600_000
    )
    metrics = MeterProvider([reader])
    metrics.get_meter("scope").create_counter("c").add(2)
    metrics.shutdown()
    assert store.read("SELECT o.service, o.scope_name FROM spans JOIN origins o ON o.id = origin")
    assert store.read("SELECT value FROM points") == [(2.0,)]


def test_a_store_that_cannot_write_is_unavailable_for_now(
    store: Store, door: GrpcDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exporter's word for: try again later."""

    def full(_: object) -> int:
        raise StoreError("no space")

    monkeypatch.setattr(store, "add_traces", full)
    with grpc.insecure_channel(f"127.0.0.1:{door.port}") as channel:
        make: Any = trace_service_pb2_grpc.TraceServiceStub
        stub = make(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.Export(trace_service_pb2.ExportTraceServiceRequest(), timeout=20)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert refused.value.details() == "no space"


def test_a_taken_port_is_an_error_at_once(store: Store, door: GrpcDoor) -> None:
    """Two doors on one port would share what arrives between them."""
    with pytest.raises(OSError, match="cannot listen"):
        GrpcDoor(store, "127.0.0.1", door.port)
