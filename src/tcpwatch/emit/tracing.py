"""The tracer, and the three ways of getting a span that is already over out of it.

Connection and phase spans are built when the connection has ended, with ids that were given out at
its accept. Which way fits is decided once, from the provider (docs/telemetry.md § 2):

- straight: the provider is the SDK's and no processor cares for `on_start`; finished spans go to
  the processors' `on_end`, past the SDK's cost per span;
- scripted: a processor cares; real spans, whose ids and decision are given to the tracer;
- foreign: not the SDK's provider; API calls only, ids are its own.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, Tracer
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, TraceFlags, TraceState

from tcpwatch import names
from tcpwatch.emit.version import VERSION

_SILENT_STARTERS = (BatchSpanProcessor, SimpleSpanProcessor)


@dataclass(slots=True)
class FinishedSpan:
    """A span that is over; times are wall-clock nanoseconds."""

    name: str
    context: SpanContext
    parent: SpanContext | None
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    kind: SpanKind = SpanKind.INTERNAL
    links: Sequence[Link] = ()
    status: Status = field(default_factory=Status)


class _Script(threading.local):
    """What the next span that this thread starts with our tracer shall get."""

    decision: SamplingResult | None = None
    trace_id: int = 0
    span_id: int = 0


class _ScriptedSampler(Sampler):
    def __init__(self, inner: Sampler, script: _Script) -> None:
        self.inner, self._script = inner, script

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        decision = self._script.decision
        return self.inner.should_sample(*args, **kwargs) if decision is None else decision

    def get_description(self) -> str:
        return self.inner.get_description()


class _ScriptedIds(IdGenerator):
    def __init__(self, inner: IdGenerator, script: _Script) -> None:
        self.inner, self._script = inner, script

    def generate_trace_id(self) -> int:
        return self._script.trace_id or self.inner.generate_trace_id()

    def generate_span_id(self) -> int:
        return self._script.span_id or self.inner.generate_span_id()

    def is_trace_id_random(self) -> bool:
        return bool(self.inner.is_trace_id_random())


class Tracing:
    """Our tracer of a provider, with its sampler and ids within reach."""

    def __init__(self, provider: trace.TracerProvider) -> None:
        self.provider = provider
        self.tracer = provider.get_tracer(names.SCOPE, VERSION, names.SCHEMA_URL)
        self.script = _Script()
        self.sdk: Tracer | None = self.tracer if isinstance(self.tracer, Tracer) else None
        self.enabled = not isinstance(self.tracer, trace.NoOpTracer)
        if self.sdk is not None:
            inner = self.sdk.sampler
            if isinstance(inner, _ScriptedSampler):
                # The provider returns one tracer per scope: a former install() has prepared it.
                self.script = inner._script
            else:
                self.sdk.sampler = _ScriptedSampler(inner, self.script)
                self.sdk.id_generator = _ScriptedIds(self.sdk.id_generator, self.script)
        self.foreign: dict[int, trace.Span] = {}
        """With a foreign provider: the open connection spans by connection key."""
        self._scope = InstrumentationScope(names.SCOPE, VERSION, names.SCHEMA_URL)

    def allocate(self) -> tuple[int, int]:
        """Return a new trace id and span id."""
        if self.sdk is None:
            return random.getrandbits(128) or 1, random.getrandbits(64) or 1
        ids = self.sdk.id_generator
        return ids.generate_trace_id(), ids.generate_span_id()

    def decide(self, trace_id: int, name: str, kind: SpanKind, attributes: Any) -> SamplingResult:
        """Ask the sampler as for a root span."""
        assert self.sdk is not None
        return self.sdk.sampler.should_sample(Context(), trace_id, name, kind, attributes, ())

    @property
    def _wants_on_start(self) -> bool:
        assert self.sdk is not None
        processors = getattr(self.sdk.span_processor, "_span_processors", None)
        if processors is None:
            return True
        return any(_wants_on_start(processor) for processor in processors)

    def open_foreign(self, key: int, name: str, start_ns: int) -> trace.Span:
        """Start a connection span by the API, at its first request; later calls return the same."""
        span = self.foreign.get(key)
        if span is None:
            span = self.tracer.start_span(name, Context(), SpanKind.INTERNAL, start_time=start_ns)
            self.foreign[key] = span
        return span

    def emit(self, span: FinishedSpan) -> None:
        """Hand a finished span to the processors."""
        if self.sdk is None:
            self._start(span).end(span.end_ns)
        elif self._wants_on_start:
            self._scripted(span)
        else:
            self._straight(self.sdk, span)

    def pass_on(self, span: ReadableSpan) -> None:
        """Hand on a span that ended in another process, as one of this process's resource."""
        if self.sdk is not None:
            span._resource = self.sdk.resource
            self.sdk.span_processor.on_end(span)

    def _straight(self, tracer: Tracer, span: FinishedSpan) -> None:
        limits = tracer._span_limits
        tracer.span_processor.on_end(
            ReadableSpan(
                name=span.name,
                context=span.context,
                parent=span.parent,
                resource=tracer.resource,
                attributes=BoundedAttributes(
                    limits.max_span_attributes,
                    dict(span.attributes),
                    immutable=True,
                    max_value_len=limits.max_span_attribute_length,
                ),
                links=tuple(span.links)[: limits.max_links],
                kind=span.kind,
                status=span.status,
                start_time=span.start_ns,
                end_time=span.end_ns,
                instrumentation_scope=self._scope,
            )
        )

    def _scripted(self, span: FinishedSpan) -> None:
        script = self.script
        script.trace_id, script.span_id = span.context.trace_id, span.context.span_id
        script.decision = SamplingResult(
            Decision.RECORD_AND_SAMPLE, span.attributes, span.context.trace_state
        )
        try:
            started = self._start(span)
        finally:
            script.trace_id = script.span_id = 0
            script.decision = None
        started.set_status(span.status)
        started.end(span.end_ns)

    def _start(self, span: FinishedSpan) -> trace.Span:
        parent = Context()
        if span.parent is not None:
            parent = trace.set_span_in_context(trace.NonRecordingSpan(span.parent), parent)
        return self.tracer.start_span(
            span.name,
            parent,
            span.kind,
            span.attributes,
            span.links,
            span.start_ns,
        )


def _wants_on_start(processor: Any) -> bool:
    cls = type(processor)
    if isinstance(processor, _SILENT_STARTERS) or getattr(cls, "ignores_late_spans", False):
        return False
    return getattr(cls, "on_start", None) is not SpanProcessor.on_start


def span_context(
    trace_id: int,
    span_id: int,
    flags: int,
    trace_state: Sequence[tuple[str, str]] = (),
    is_remote: bool = False,
) -> SpanContext:
    """Make a SpanContext of plain values."""
    state = TraceState(list(trace_state)) if trace_state else None
    return SpanContext(trace_id, span_id, is_remote, TraceFlags(flags), state)
