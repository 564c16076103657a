"""The store: everything received, bounded, readable from any thread, and possible to wait for."""

from __future__ import annotations

import threading

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from tcpwatch.view.recording import Recording


def traces(*names: str) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number, name in enumerate(names, start=1):
        scope.spans.add(
            name=name,
            trace_id=number.to_bytes(16, "big"),
            span_id=number.to_bytes(8, "big"),
            start_time_unix_nano=1_000_000_000,
            end_time_unix_nano=3_500_000_000,
        )
    return request


def gauge(
    name: str, value: float, *, pid: int = 1, **attributes: str
) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    of_resource = request.resource_metrics.add()
    of_resource.resource.attributes.append(
        KeyValue(key="process.pid", value=AnyValue(int_value=pid))
    )
    metric = of_resource.scope_metrics.add().metrics.add(name=name, unit="s")
    point = metric.gauge.data_points.add(as_double=value)
    for key, text in attributes.items():
        point.attributes.append(KeyValue(key=key, value=AnyValue(string_value=text)))
    return request


def test_a_span_has_hex_ids_plain_values_and_seconds() -> None:
    """Ids are lower-case hex, a root's parent is empty, the duration is in seconds."""
    recording = Recording()
    recording.add_traces(traces("one"))
    (span,) = recording.spans
    assert span.trace_id == "0" * 31 + "1"
    assert span.span_id == "0" * 15 + "1"
    assert span.parent_span_id == ""
    assert span.duration == 2.5
    assert (span.kind, span.status) == ("UNSPECIFIED", "UNSET")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (AnyValue(string_value="x"), "x"),
        (AnyValue(int_value=-3), -3),
        (AnyValue(bool_value=False), False),
        (AnyValue(double_value=0.25), 0.25),
        (AnyValue(bytes_value=b"\xff"), b"\xff"),
        (AnyValue(), None),
    ],
)
def test_every_kind_of_attribute_value_becomes_the_plain_python_value(
    sent: AnyValue, kept: object
) -> None:
    """Also inside arrays and maps."""
    request = traces("one")
    attributes = request.resource_spans[0].scope_spans[0].spans[0].attributes
    attributes.add(key="plain", value=sent)
    attributes.add(key="list").value.array_value.values.append(sent)
    attributes.add(key="map").value.kvlist_value.values.add(key="k", value=sent)
    recording = Recording()
    recording.add_traces(request)
    assert recording.spans[0].attributes == {"plain": kept, "list": (kept,), "map": {"k": kept}}


def test_a_span_without_a_valid_id_is_refused_and_the_others_stay() -> None:
    """The specification calls ids of zeros or of a wrong length invalid."""
    request = traces("good", "zero", "short")
    spans = request.resource_spans[0].scope_spans[0].spans
    spans[1].trace_id = bytes(16)
    spans[2].span_id = b"\x01"
    recording = Recording()
    assert recording.add_traces(request) == 2
    assert [span.name for span in recording.spans] == ["good"]


def test_the_oldest_spans_leave_first_and_are_counted() -> None:
    """The store never holds more than its maximum."""
    recording = Recording(max_spans=3)
    recording.add_traces(traces("a", "b"))
    recording.add_traces(traces("c", "d", "e"))
    assert [span.name for span in recording.spans] == ["c", "d", "e"]
    assert recording.evicted == 2


def test_points_holds_the_latest_of_each_series_and_history_all() -> None:
    """A series is a resource, a metric and a set of attributes."""
    recording = Recording()
    for request in (
        gauge("depth", 1, port="80"),
        gauge("depth", 2, port="80"),
        gauge("depth", 3, port="81"),
        gauge("depth", 4, port="80", pid=2),
        gauge("other", 5),
    ):
        recording.add_metrics(request)
    assert [point.value for point in recording.points()] == [2, 3, 4, 5]
    assert [point.value for point in recording.history("depth")] == [1, 2, 3, 4]


def test_the_number_of_series_is_bounded() -> None:
    """A sender with endless attribute values cannot fill the memory."""
    recording = Recording(max_points=5)
    for number in range(50):
        recording.add_metrics(gauge("depth", number, port=str(number)))
    assert [point.value for point in recording.points()] == [45, 46, 47, 48, 49]
    assert len(recording.history("depth")) == 5


def test_a_histogram_keeps_its_buckets_and_its_exemplars() -> None:
    """And says nothing of a minimum that was not sent."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="wait", unit="s")
    metric.histogram.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    point = metric.histogram.data_points.add(
        count=3, sum=1.5, max=1, explicit_bounds=[0.1, 1], bucket_counts=[1, 2, 0]
    )
    point.exemplars.add(as_double=0.5, trace_id=b"\x01" * 16, span_id=b"\x02" * 8)
    recording = Recording()
    recording.add_metrics(request)
    (kept,) = recording.points()
    assert (kept.kind, kept.temporality) == ("histogram", "CUMULATIVE")
    assert (kept.count, kept.sum, kept.min, kept.max) == (3, 1.5, None, 1)
    assert (kept.bounds, kept.bucket_counts) == ((0.1, 1), (1, 2, 0))
    assert kept.exemplars[0].trace_id == "01" * 16


def test_waiting_ends_as_soon_as_what_was_waited_for_arrives() -> None:
    """The predicate is asked again on each arrival, whoever brings it."""
    recording = Recording()
    sender = threading.Thread(target=lambda: recording.add_traces(traces("late")))
    asked = threading.Event()

    def arrived(seen: Recording) -> bool:
        if not asked.is_set():
            asked.set()
            sender.start()
        return any(span.name == "late" for span in seen.spans)

    assert recording.wait_until(arrived, timeout=30)
    sender.join()


def test_waiting_for_something_that_never_comes_says_so() -> None:
    """At the latest when the time is over."""
    assert not Recording().wait_until(lambda seen: bool(seen.spans), timeout=0.01)
