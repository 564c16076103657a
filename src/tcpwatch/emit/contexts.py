"""Span contexts of plain values, and making a span current, at the least cost the API allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, TraceFlags, TraceState

State = tuple[tuple[str, str], ...]
"""A tracestate as pairs."""

SAMPLED: Final = int(TraceFlags.SAMPLED)
RANDOM: Final = int(getattr(TraceFlags, "RANDOM_TRACE_ID", 0))
"""The flag of a trace id that is random; it is given to root spans and inherited."""

_FLAGS: Final = tuple(TraceFlags(flags) for flags in range(4))


def span_context(
    trace_id: int,
    span_id: int,
    flags: int,
    trace_state: Sequence[tuple[str, str]] = (),
    is_remote: bool = False,
) -> SpanContext:
    """Make a SpanContext of plain values."""
    state = TraceState(list(trace_state)) if trace_state else None
    known = _FLAGS[flags] if flags < len(_FLAGS) else TraceFlags(flags)
    return SpanContext(trace_id, span_id, is_remote, known, state)


KEY_OF_SPAN: Final = next(iter(trace.set_span_in_context(trace.INVALID_SPAN, Context())))
"""Under which a context has its span."""


def with_span(span: trace.Span, context: Context) -> Context:
    """Return `context` with this span, as `trace.set_span_in_context` does."""
    return Context({**context, KEY_OF_SPAN: span}) if context else Context({KEY_OF_SPAN: span})
