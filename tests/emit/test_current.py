"""The request's span: the SDK's for whoever touches it, next to nothing for everybody else."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tcpwatch.emit.current import Carried, Ids, RequestSpan

IDS = Ids(0xA, 0xB, 0xC, False, 1, (("k", "v"),))


class Starts:
    """Starts SDK spans, and counts them."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.count = 0

    def __call__(self) -> trace.Span:
        self.count += 1
        tracer = self.provider.get_tracer("test")
        return tracer.start_span("GET", kind=SpanKind.SERVER, attributes={"url.path": "/"})


@pytest.fixture
def starts() -> Starts:
    """Return a starter that has started nothing."""
    return Starts()


def test_who_only_takes_its_context_along_makes_no_span(starts: Starts) -> None:
    """Ids, flags and tracestate, as often as somebody asks; it is recording all the while."""
    span = RequestSpan(IDS, starts)
    context = span.get_span_context()

    assert (context.trace_id, context.span_id, context.trace_flags) == (0xA, 0xB, 1)
    assert context.trace_state.get("k") == "v"
    assert span.is_recording()
    assert (starts.count, span.touched) == (0, False)


TOUCHES: dict[str, Any] = {
    "set_attribute": lambda span: span.set_attribute("a", 1),
    "set_attributes": lambda span: span.set_attributes({"a": 1}),
    "add_event": lambda span: span.add_event("happened"),
    "add_link": lambda span: span.add_link(IDS.context),
    "record_exception": lambda span: span.record_exception(ValueError("x")),
    "set_status": lambda span: span.set_status(StatusCode.ERROR),
    "update_name": lambda span: span.update_name("other"),
    "name": lambda span: span.name,
    "attributes": lambda span: span.attributes,
    "to_json": lambda span: span.to_json(),
}


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES.keys())
def test_whatever_user_code_does_happens_to_one_sdk_span(starts: Starts, touch: Any) -> None:
    """The first touch makes it, once, and it ends like any other."""
    span = RequestSpan(IDS, starts)
    touch(span)
    touch(span)

    assert not span.ended_untouched(5)
    span.end()
    assert starts.count == 1
    (ended,) = starts.exporter.get_finished_spans()
    assert isinstance(ended, ReadableSpan)
    assert (ended.attributes or {})["url.path"] == "/"


def test_a_touch_after_the_end_finds_it_ended(
    starts: Starts, caplog: pytest.LogCaptureFixture
) -> None:
    """A thread that outlives its request is told so by the SDK, and nothing is exported twice."""
    span = RequestSpan(IDS, starts)
    assert span.ended_untouched(5)

    assert not span.is_recording()
    span.set_attribute("late", 1)
    assert "ended span" in caplog.text
    assert not starts.exporter.get_finished_spans()


def test_a_carried_span_is_a_context_and_nothing_else() -> None:
    """Not recorded here; children have it as their parent."""
    span = Carried(IDS)

    assert not span.is_recording()
    assert span.get_span_context() == IDS.context
    child = trace.set_span_in_context(span)
    assert trace.get_current_span(child).get_span_context().span_id == 0xB


def test_a_missing_attribute_is_missing(starts: Starts) -> None:
    """Duck typing goes on as with the SDK's spans."""
    with pytest.raises(AttributeError):
        _ = RequestSpan(IDS, starts).nothing_of_the_kind
    assert not hasattr(Carried(IDS), "_nothing")
