"""OpenTelemetry's own Flask and WSGI instrumentation in the same process: one SERVER span, theirs.

Where the application is instrumented, our request span and `http.server.*` metrics step back and
their span gets our link and connection id as it starts.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

from opentelemetry import context as context_api
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, TraceFlags

from tcpwatch import names
from tcpwatch.emit.contexts import span_context
from tcpwatch.guard import guard
from tcpwatch.hub import hub

_SCOPES: Final = frozenset(
    {"opentelemetry.instrumentation.flask", "opentelemetry.instrumentation.wsgi"}
)
_MIDDLEWARE: Final = "OpenTelemetryMiddleware"
_WRAPS: Final = ("app", "wsgi_app", "application", "wsgi", "__wrapped__", "__self__")
_FLAG: Final = "_is_instrumented_by_opentelemetry"
_DEEPEST: Final = 16
_MOST: Final = 64


_known: WeakKeyDictionary[Any, Peers] = WeakKeyDictionary()
"""A processor cannot be taken off a provider again, so each gets one for good."""


class Peers(SpanProcessor):
    """Knows which applications are instrumented, and marks their spans as they start."""

    ignores_late_spans = True

    def __init__(self) -> None:
        self.learned: set[int] = set()
        self.on = True
        self._looked_at: dict[int, Look] = {}

    @classmethod
    def of(cls, provider: Any) -> Peers:
        """Return the one of this provider; if it is the SDK's, it sees the spans start."""
        known = _known.get(provider)
        if known is None:
            known = _known[provider] = cls()
            if isinstance(provider, TracerProvider):
                provider.add_span_processor(known)
        known.on = True
        return known

    def instrument(self, app: Any) -> bool:
        """Say whether a WSGI application, or one that it wraps, is instrumented."""
        known = self._looked_at.get(id(app))
        if known is None or not known.still():
            if len(self._looked_at) >= _MOST:
                self._looked_at.clear()
            known = self._looked_at[id(app)] = Look(app, self.learned)
        return known.instrumented

    def on_start(self, span: Span, parent_context: context_api.Context | None = None) -> None:
        """Mark a span of the other instrumentation; the SDK calls it."""
        if not self.on:
            return
        try:
            self._mark(span)
        except Exception as error:
            guard.caught("peers", error)

    def on_end(self, span: ReadableSpan) -> None:
        """Nothing to do; the SDK calls it."""

    def _mark(self, span: Span) -> None:
        scope = span.instrumentation_scope
        if scope is None or scope.name not in _SCOPES:
            return
        connection = hub.serving.connection
        exchange = connection.exchange if connection is not None else None
        if connection is None or exchange is None:
            return
        if not exchange.peer_instrumented:
            app = connection.application
            if app is not None and span.kind is not SpanKind.SERVER:
                self.learned.add(id(app))
                self._looked_at.clear()
            return
        accepted = connection.accepted
        flags = TraceFlags.SAMPLED
        span.add_link(span_context(accepted.trace_id, accepted.span_id, flags))
        if accepted.cookie is not None:
            span.set_attribute(names.CONNECTION_ID, accepted.cookie)
        if span.get_span_context().trace_flags & flags:
            connection.peer_sampled()


class Look:
    """What a look through the layers of an application has found, and what it depends on."""

    __slots__ = ("_app", "_layers", "_set", "_sizes", "instrumented")

    def __init__(self, app: Any, learned: set[int]) -> None:
        self._app = app  # so that no other object gets its id()
        self.instrumented = False
        self._layers: list[dict[str, Any]] = []
        self._set: list[tuple[dict[str, Any], str, Any]] = []
        found: list[Any] = []
        waiting = [app]
        while waiting and len(found) < _DEEPEST:
            candidate = waiting.pop()
            if candidate is None or any(candidate is seen for seen in found):
                continue
            found.append(candidate)
            self._note(candidate)
            flag = _ask(candidate, _FLAG)
            if id(candidate) in learned or flag is True or type(candidate).__name__ == _MIDDLEWARE:
                self.instrumented = True
            waiting += [_ask(candidate, name) for name in _WRAPS]
        self._sizes = list(map(len, self._layers))

    def _note(self, layer: Any) -> None:
        own = getattr(layer, "__dict__", None)
        if isinstance(own, dict):
            self._layers.append(own)
            self._set += [(own, name, own[name]) for name in (_FLAG, *_WRAPS) if name in own]

    def still(self) -> bool:
        """Say whether every layer leads where it led.

        Instrumentation gives one of them an attribute of its own, or another value for it. This is
        asked for each request.
        """
        if list(map(len, self._layers)) != self._sizes:
            return False
        for own, name, value in self._set:  # noqa: SIM110  # a generator costs as much again
            if own.get(name) is not value:
                return False
        return True


def _ask(layer: Any, name: str) -> Any:
    try:
        return getattr(layer, name, None)
    except Exception as error:  # a property of the host's may do anything
        guard.errors[f"peers.{type(error).__name__}"] += 1
        return None
