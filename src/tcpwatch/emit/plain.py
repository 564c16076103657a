"""Finished spans as plain values and back, for the way from a forked child to the helper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from tcpwatch.emit.contexts import span_context

Plain = tuple[Any, ...]


def plain_span(span: ReadableSpan) -> Plain:
    """Return everything of a finished span but its resource, as values that marshal takes."""
    scope = span.instrumentation_scope
    return (
        span.name,
        _plain_context(span.context),
        _plain_context(span.parent),
        _plain(span.attributes),
        [(event.name, event.timestamp, _plain(event.attributes)) for event in span.events],
        [(_plain_context(link.context), _plain(link.attributes)) for link in span.links],
        span.kind.value,
        (scope.name, scope.version, scope.schema_url, _plain(scope.attributes)) if scope else None,
        (span.status.status_code.value, span.status.description),
        span.start_time,
        span.end_time,
    )


def real_span(plain: Plain) -> ReadableSpan:
    """Return the span that `plain_span` took apart."""
    name, context, parent, attributes, events, links, kind, scope, status, start, end = plain
    return ReadableSpan(
        name=name,
        context=_context(context),
        parent=_context(parent),
        attributes=attributes,
        events=[Event(event, values, when) for event, when, values in events],
        links=[Link(_context(target), values) for target, values in links],  # type: ignore[arg-type]
        kind=SpanKind(kind),
        instrumentation_scope=InstrumentationScope(*scope) if scope else None,
        status=Status(StatusCode(status[0]), status[1]),
        start_time=start,
        end_time=end,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return tuple(_plain(item) for item in value)
    if isinstance(value, (bool, bytes)):
        return value
    # marshal refuses subclasses: a str that is an Enum's, an int that is a Flag's.
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return None


def _plain_context(context: SpanContext | None) -> Plain | None:
    if context is None:
        return None
    state = tuple(context.trace_state.items())
    return context.trace_id, context.span_id, int(context.trace_flags), state, context.is_remote


def _context(plain: Plain | None) -> SpanContext | None:
    return None if plain is None else span_context(*plain)
