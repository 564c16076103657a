"""The three ways of a finished span: straight, scripted, foreign."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from opentelemetry.trace import SpanKind, StatusCode

from tcpwatch.emit.contexts import span_context
from tcpwatch.emit.late import FinishedSpan
from tcpwatch.emit.plain import plain_span, real_span
from tcpwatch.emit.tracing import Tracing

PARENT = span_context(0xA, 0xB, 1)
FINISHED = FinishedSpan(
    name="tcp.connection",
    ids=(0xA, 0xC),
    parent=(0xB, False),
    times=(1_000, 2_000),
    attributes={"a": "text", "b": 2, "c": 0.5, "d": True},
    kind=SpanKind.SERVER,
    links=[(0xD, 0xE)],
    failed=True,
)


class Starter(SpanProcessor):
    """A processor that cares for on_start."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.started.append(span.name)


def provider(*processors: SpanProcessor, **kwargs: Any) -> tuple[TracerProvider, Any]:
    """Make a provider with an exporter in memory and these processors."""
    exporter = InMemorySpanExporter()
    made = TracerProvider(shutdown_on_exit=False, **kwargs)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    for processor in processors:
        made.add_span_processor(processor)
    return made, exporter


def told(span: ReadableSpan) -> tuple[Any, ...]:
    """Return everything of a span that its reader can see."""
    assert span.context is not None
    return (
        span.name,
        (span.context.trace_id, span.context.span_id, span.context.trace_flags & 1),
        span.parent.span_id if span.parent else None,
        (span.start_time, span.end_time),
        dict(span.attributes or {}),
        span.kind,
        [(link.context.trace_id, link.context.span_id) for link in span.links],
        span.status.status_code,
        span.instrumentation_scope and span.instrumentation_scope.name,
        span.instrumentation_scope and span.instrumentation_scope.schema_url,
    )


def test_both_ways_give_the_same_span() -> None:
    """A processor that wants on_start gets a real span; nobody can tell them apart."""
    straight, seen_straight = provider()
    starter = Starter()
    scripted, seen_scripted = provider(starter)

    Tracing(straight).emit(FINISHED)
    Tracing(scripted).emit(FINISHED)

    (one,), (other,) = seen_straight.get_finished_spans(), seen_scripted.get_finished_spans()
    assert told(one) == told(other)
    assert starter.started == ["tcp.connection"]
    assert told(one)[1:5] == ((0xA, 0xC, 1), 0xB, (1_000, 2_000), dict(FINISHED.attributes))


@pytest.mark.parametrize("sampler", [ALWAYS_OFF])
def test_what_was_decided_is_not_asked_again(sampler: Sampler) -> None:
    """A kept connection passes a sampler that says no."""
    made, seen = provider(Starter(), sampler=sampler)

    Tracing(made).emit(FINISHED)

    assert len(seen.get_finished_spans()) == 1


def test_the_script_ends_with_its_span() -> None:
    """The next span of our tracer has ids of its own and the provider's decision."""
    made, _ = provider(Starter())
    tracing = Tracing(made)
    tracing.emit(FINISHED)

    following = tracing.tracer.start_span("next").get_span_context()

    assert following.trace_id != 0xA
    assert following.span_id != 0xC


def test_the_providers_limits_hold() -> None:
    """Attribute number and length as the application has set them."""
    limits = SpanLimits(max_span_attributes=2, max_span_attribute_length=3, max_links=0)
    made, seen = provider(span_limits=limits)

    Tracing(made).emit(FINISHED)

    (span,) = seen.get_finished_spans()
    assert len(span.attributes) == 2
    assert span.dropped_attributes == 2
    assert not span.links


def test_a_second_tracing_of_a_provider_scripts_it_once() -> None:
    """Installing again finds the tracer that the provider keeps for us, and prepares it no more."""
    made, seen = provider(Starter())
    Tracing(made)

    Tracing(made).emit(FINISHED)

    assert told(seen.get_finished_spans()[0])[1] == (0xA, 0xC, 1)


class ForeignProvider(trace.TracerProvider):
    """Not the SDK's: it only notes the calls of the API."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        calls = self.calls

        class ForeignTracer(trace.NoOpTracer):
            def start_span(self, name: str, *args: Any, **kwargs: Any) -> trace.Span:
                calls.append((name, args))
                return trace.NonRecordingSpan(PARENT)

        tracer: Any = ForeignTracer()
        return tracer  # type: ignore[no-any-return]


def test_a_foreign_provider_gets_calls_of_the_api() -> None:
    """Nothing of the SDK is needed."""
    made = ForeignProvider()

    Tracing(made).emit(FINISHED)

    assert [name for name, _ in made.calls] == ["tcp.connection"]


def test_a_span_survives_the_way_to_the_helper() -> None:
    """Taken apart, marshalled and put together it is the same."""
    import marshal

    made, seen = provider()
    tracer = made.get_tracer("app", "1", attributes={"k": "v"})
    with tracer.start_as_current_span("work", attributes={"list": [1, 2]}) as span:
        span.add_event("happened", {"x": 1.5}, 77)
        span.add_link(PARENT, {"why": "because"})
        span.set_status(StatusCode.ERROR, "bad")
    (before,) = seen.get_finished_spans()

    after = real_span(marshal.loads(marshal.dumps(plain_span(before))))

    assert told(after) == told(before)
    assert [(e.name, e.timestamp, dict(e.attributes or {})) for e in after.events] == [
        ("happened", 77, {"x": 1.5})
    ]
    assert dict(after.links[0].attributes or {}) == {"why": "because"}
    assert after.status.description == "bad"
