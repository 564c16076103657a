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
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, Tracer
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanContext, SpanKind, TraceState

from tcpwatch import names
from tcpwatch.emit import prepared
from tcpwatch.emit.contexts import RANDOM, with_span
from tcpwatch.emit.delivery import Heard
from tcpwatch.emit.late import FinishedSpan, Home, LateSpan
from tcpwatch.emit.sampling import ROOT, Foreseen
from tcpwatch.emit.version import VERSION

_SILENT_STARTERS = (BatchSpanProcessor, SimpleSpanProcessor)


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
            self.foreseen = Foreseen(inner.inner if isinstance(inner, _ScriptedSampler) else inner)
            ids = self.sdk.id_generator
            self.root_flags = RANDOM if ids.is_trace_id_random() else 0
            given = ids.inner if isinstance(ids, _ScriptedIds) else ids
            # The SDK's own does just this.
            self._random_ids = type(given) is RandomIdGenerator
            self._home = Home(self.sdk.resource, self.sdk._span_limits)
        self.foreign: dict[int, trace.Span] = {}
        """With a foreign provider: the open connection spans by connection key."""
        self._looked_at: tuple[Any, ...] | None = None
        self._straight = self._encodes = False
        self._queue: Callable[[Sequence[LateSpan]], None] | None = None

    @property
    def root_bound(self) -> int | None:
        """Below which number the low half of a sampled root's trace id is; None if unknown.

        Neither is it said where others make the ids, or the spans.
        """
        known = self.sdk is not None and self.enabled and self._random_ids
        return self.foreseen.bound(ROOT) if known else None

    def allocate(self) -> tuple[int, int]:
        """Return a new trace id and span id."""
        if self.sdk is None or self._random_ids:
            return random.getrandbits(128) or 1, random.getrandbits(64) or 1
        ids = self.sdk.id_generator
        return ids.generate_trace_id(), ids.generate_span_id()

    def new_span_id(self) -> int:
        """Return a new span id."""
        if self.sdk is None or self._random_ids:
            return random.getrandbits(64) or 1
        return self.sdk.id_generator.generate_span_id()

    def decide(self, trace_id: int, name: str, kind: SpanKind, attributes: Any) -> SamplingResult:
        """Ask the sampler as for a root span."""
        assert self.sdk is not None
        return self.sdk.sampler.should_sample(Context(), trace_id, name, kind, attributes, ())

    def ask(
        self, parent: SpanContext | None, trace_id: int, name: str, attributes: Any
    ) -> SamplingResult:
        """Ask the sampler as for a SERVER span with this parent."""
        assert self.sdk is not None
        context = Context()
        if parent is not None:
            context = with_span(trace.NonRecordingSpan(parent), context)
        return self.sdk.sampler.should_sample(
            context, trace_id, name, SpanKind.SERVER, attributes, ()
        )

    @property
    def is_straight(self) -> bool:
        """Whether nobody wants to see a span of ours before it has ended."""
        self._look()
        return self._straight and self.sdk is not None and self.sdk._is_enabled()

    def _look(self) -> None:
        """Look at the processors and at the resource, if they are not those of the last look."""
        tracer = self.sdk
        assert tracer is not None
        if self._home.resource is not tracer.resource:  # a fork may change it
            self._home = Home(tracer.resource, tracer._span_limits)
        processors = getattr(tracer.span_processor, "_span_processors", None)
        if processors is self._looked_at:
            return
        self._straight = processors is not None and not any(map(_wants_live_spans, processors))
        self._encodes = any(map(prepared.takes, processors or ()))
        self._queue = self._only_queue(processors or ())
        # The SDK keeps them in a tuple, so other ones are another object.
        self._looked_at = processors if isinstance(processors, tuple) else None

    def _only_queue(self, processors: Iterable[Any]) -> Callable[[Sequence[LateSpan]], None] | None:
        """Return what takes finished spans, if that is one exporter of ours and nobody else.

        On its way a span is looked at for its context, which otherwise nobody needs.
        """
        others = [one for one in processors if not getattr(type(one), "ignores_late_spans", False)]
        if len(others) != 1 or not prepared.takes(others[0]):
            return None
        emit = getattr(getattr(others[0], "_batch_processor", None), "emit", None)
        return emit.each if isinstance(emit, Heard) else None

    def open_foreign(self, key: int, name: str, start_ns: int) -> trace.Span:
        """Start a connection span by the API, at its first request; later calls return the same."""
        span = self.foreign.get(key)
        if span is None:
            span = self.tracer.start_span(name, Context(), SpanKind.INTERNAL, start_time=start_ns)
            self.foreign[key] = span
        return span

    def emit(self, *spans: FinishedSpan) -> None:
        """Hand finished spans to the processors."""
        if self.sdk is None:
            for span in spans:
                self._start(span).end(span.times[1])
            return
        self._look()
        if not self._straight:
            for span in spans:
                self._scripted(span)
            return
        home, encodes, queue = self._home, self._encodes, self._queue
        if queue is not None:
            lates = home.packed(spans)
            if lates is not None:
                queue(lates)
                return
        for span in spans:
            late = LateSpan(span, home, encodes, queue is not None)
            if queue is not None and late.encoded is not None:
                queue((late,))
            else:
                self.sdk.span_processor.on_end(late)

    def pass_on(self, span: ReadableSpan) -> None:
        """Hand on a span that ended in another process, as one of this process's resource."""
        if self.sdk is not None:
            span._resource = self.sdk.resource
            self.sdk.span_processor.on_end(span)

    def _scripted(self, span: FinishedSpan) -> None:
        script = self.script
        script.trace_id, script.span_id = span.ids
        state = TraceState(list(span.trace_state)) if span.trace_state else None
        script.decision = SamplingResult(Decision.RECORD_AND_SAMPLE, span.attributes, state)
        try:
            started = self._start(span)
        finally:
            script.trace_id = script.span_id = 0
            script.decision = None
        started.set_status(span.status)
        started.end(span.times[1])

    def _start(self, span: FinishedSpan) -> trace.Span:
        parent, context = span.parent_context, Context()
        if parent is not None:
            context = with_span(trace.NonRecordingSpan(parent), context)
        return self.tracer.start_span(
            span.name,
            context,
            span.kind,
            span.attributes,
            span.real_links,
            span.times[0],
        )


def _wants_live_spans(processor: Any) -> bool:
    cls = type(processor)
    if isinstance(processor, _SILENT_STARTERS) or getattr(cls, "ignores_late_spans", False):
        return False
    return any(
        getattr(cls, method, None) is not getattr(SpanProcessor, method, None)
        for method in ("on_start", "_on_ending")
    )
