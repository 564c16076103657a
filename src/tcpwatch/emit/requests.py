"""Request spans: they start and end on the serving thread, because user code may touch them.

A sampled one is a real span of the provider. One that is not sampled, and each one in a forked
child, is carried: its context is current around the application, and the worker may still build it
from the record.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from email.message import Message
from operator import itemgetter
from typing import Any, Final, NamedTuple

from opentelemetry import context as context_api
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.trace.sampling import Decision, SamplingResult
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags

from tcpwatch import names
from tcpwatch.emit import attributes as words
from tcpwatch.emit.peers import Peers
from tcpwatch.emit.tracing import Tracing, span_context
from tcpwatch.hub import hub
from tcpwatch.hub.connection import Connection, Exchange
from tcpwatch.settings import Settings

CHILDREN_OF_CONNECTION: Final = 32
"""Requests of one connection that are children of its span; later ones are roots with a link."""


class Headers(Getter[Mapping[str, str]]):
    """Reads propagation headers out of a dictionary with lower-case names."""

    def get(self, carrier: Mapping[str, str], key: str) -> list[str] | None:
        """Return the values of a header."""
        value = carrier.get(key.lower())
        return None if value is None else [value]

    def keys(self, carrier: Mapping[str, str]) -> list[str]:
        """Return the names of all headers."""
        return list(carrier)


_HEADERS: Final = Headers()


_name_of, _value_of = itemgetter(0), itemgetter(1)


def _fields(head: Message) -> dict[str, str]:
    """Return the first value of each header by its lower-case name."""
    pairs = list(head.raw_items())
    pairs.reverse()
    return dict(zip(map(str.lower, map(_name_of, pairs)), map(_value_of, pairs), strict=True))


class Live(NamedTuple):
    """A request span under way, and what it needs to be put away again."""

    span: trace.Span
    context: SpanContext
    parent: SpanContext | None
    real: bool


class RequestSpans:
    """Begins and ends request spans with our tracer."""

    def __init__(self, tracing: Tracing, peers: Peers, settings: Settings) -> None:
        self._tracing, self._peers, self._settings = tracing, peers, settings
        patterns = [*settings.excluded_urls, *_words(os.environ.get("OTEL_PYTHON_EXCLUDED_URLS"))]
        self._excluded = re.compile("|".join(patterns)) if patterns else None
        self._propagator: Any = None
        self._fields: frozenset[str] = frozenset()

    def begin(self, connection: Connection, exchange: Exchange, head: Message, app: Any) -> None:
        """Start the span of a request whose head was read, and make it current."""
        if self._excluded is not None and self._excluded.search(exchange.target or ""):
            exchange.excluded = True
            return
        if app is not None and self._peers.instrument(app):
            exchange.peer_instrumented = True
            return
        if not self._tracing.enabled:
            return
        context = context_api.get_current()
        if context and not is_instrumentation_enabled():
            return
        headers = _fields(head)
        exchange.host, exchange.user_agent = headers.get("host"), headers.get("user-agent")
        exchange.forwarded_host = headers.get("x-forwarded-host")
        exchange.forwarded_for = headers.get("x-forwarded-for")
        parent = None
        if not self._propagated().isdisjoint(headers):
            context = propagate.extract(headers, context, getter=_HEADERS)
            remote = trace.get_current_span(context).get_span_context()
            parent = remote if remote.is_valid and remote.is_remote else None
        live = self._start(connection, exchange, context, parent)
        token = context_api.attach(trace.set_span_in_context(live.span, context))
        exchange.span = live
        exchange.release = lambda: context_api.detach(token)

    def _propagated(self) -> frozenset[str]:
        """Return the names of the headers that the propagators look at."""
        propagator = propagate.get_global_textmap()
        if propagator is not self._propagator:
            self._propagator = propagator
            self._fields = frozenset(name.lower() for name in propagator.fields)
        return self._fields

    def _start(
        self,
        connection: Connection,
        exchange: Exchange,
        context: context_api.Context,
        remote: SpanContext | None,
    ) -> Live:
        found = words.request_attributes(exchange, connection.accepted, self._settings)
        found[names.REQUEST_SEQUENCE] = exchange.sequence
        if self._tracing.sdk is None:
            return self._foreign(connection, exchange, context, remote, found)
        decision = None
        if remote is None:
            decision = self._decide(connection, exchange, found)
        parent = remote
        if remote is None and exchange.sequence <= CHILDREN_OF_CONNECTION:
            parent = self._connection_context(connection)
        linked = parent is None or parent is remote
        if hub.post.in_child and not hub.post.remote:
            return self._carry(connection, exchange, parent, found)
        if decision is not None and decision.decision is Decision.DROP:
            return self._carry(connection, exchange, parent, found)
        script = self._tracing.script
        script.decision = decision
        try:
            span = self._tracing.tracer.start_span(
                words.span_name(exchange),
                _with(context, parent),
                SpanKind.SERVER,
                found,
                [Link(self._sampled_context(connection))] if linked else None,
                exchange.wall_ns,
            )
        finally:
            script.decision = None
        mine = span.get_span_context()
        return Live(span, mine, parent, span.is_recording())

    def _foreign(
        self,
        connection: Connection,
        exchange: Exchange,
        context: context_api.Context,
        remote: SpanContext | None,
        found: Mapping[str, Any],
    ) -> Live:
        """Start a span of a provider that is not the SDK's: its ids and its decision."""
        accepted, listener = connection.accepted, connection.loop.listener
        start = accepted.wall_ns - (accepted.wait_ns or 0)
        name = words.connection_name(listener)
        whole = self._tracing.open_foreign(connection.key, name, start).get_span_context()
        child = remote is None and exchange.sequence <= CHILDREN_OF_CONNECTION
        parent = whole if child else remote
        span = self._tracing.tracer.start_span(
            words.span_name(exchange),
            _with(context, parent),
            SpanKind.SERVER,
            found,
            None if child else [Link(whole)],
            exchange.wall_ns,
        )
        return Live(span, span.get_span_context(), parent, True)

    def _decide(
        self,
        connection: Connection,
        exchange: Exchange,
        found: Mapping[str, Any],
    ) -> SamplingResult | None:
        """Ask the sampler at the connection's first request without a remote parent; remember."""
        if self._tracing.sdk is None or connection.flags is not None:
            return None
        decision = self._tracing.decide(
            connection.accepted.trace_id, words.span_name(exchange), SpanKind.SERVER, found
        )
        state = tuple((decision.trace_state or {}).items())
        connection.flags = int(decision.decision is Decision.RECORD_AND_SAMPLE)
        connection.trace_state = state
        connection.sampled(connection.flags, state)
        return decision

    def _carry(
        self,
        connection: Connection,
        exchange: Exchange,
        parent: SpanContext | None,
        found: Mapping[str, Any],
    ) -> Live:
        tracing = self._tracing
        trace_id, span_id = tracing.allocate()
        flags, state = connection.flags or 0, connection.trace_state or ()
        if parent is not None:
            trace_id = parent.trace_id
        if parent is not None and parent.is_remote and tracing.sdk is not None:
            remote = trace.set_span_in_context(trace.NonRecordingSpan(parent))
            asked = tracing.sdk.sampler.should_sample(
                remote, trace_id, words.span_name(exchange), SpanKind.SERVER, found, ()
            )
            flags = int(asked.decision is Decision.RECORD_AND_SAMPLE)
            state = tuple((asked.trace_state or {}).items())
        mine = span_context(trace_id, span_id, flags, state)
        return Live(trace.NonRecordingSpan(mine), mine, parent, False)

    def _connection_context(self, connection: Connection) -> SpanContext:
        accepted = connection.accepted
        return span_context(
            accepted.trace_id, accepted.span_id, connection.flags or 0, connection.trace_state or ()
        )

    def _sampled_context(self, connection: Connection) -> SpanContext:
        accepted = connection.accepted
        return span_context(
            accepted.trace_id,
            accepted.span_id,
            TraceFlags.SAMPLED,
            connection.trace_state or (),
        )

    def route(self, exchange: Exchange, route: str) -> None:
        """Give a live span its route, as soon as the application knows it."""
        live = exchange.span
        if live is not None and live.real:
            live.span.set_attribute(names.HTTP_ROUTE, route)
            live.span.update_name(words.span_name(exchange))

    def end(self, connection: Connection, exchange: Exchange) -> tuple[Any, ...] | None:
        """End a request's span with its last byte."""
        live: Live | None = exchange.span
        if live is None and exchange.refused and self._tracing.enabled:
            live = self._refused(connection, exchange)
        if live is None:
            return None
        exchange.span = None
        if live.real:
            self._finish(connection, exchange, live.span)
        mine, parent = live.context, live.parent
        return (
            mine.trace_id,
            mine.span_id,
            parent.span_id if parent is not None else 0,
            parent.is_remote if parent is not None else False,
            int(mine.trace_flags) & TraceFlags.SAMPLED,
            tuple(mine.trace_state.items()),
            live.real and bool(mine.trace_flags & TraceFlags.SAMPLED),
        )

    def _refused(self, connection: Connection, exchange: Exchange) -> Live:
        return self._start(connection, exchange, context_api.Context(), None)

    def _finish(self, connection: Connection, exchange: Exchange, span: trace.Span) -> None:
        end = exchange.last_write_ns or connection.now()
        found = words.response_attributes(exchange)
        found.update(words.phase_attributes(_phases(connection, exchange, end)))
        span.set_attributes(found)
        if words.error_type(exchange) is not None:
            span.set_status(StatusCode.ERROR)
        span.end(exchange.wall_ns + end - exchange.first_byte_ns)


def _phases(connection: Connection, exchange: Exchange, end: int) -> dict[str, int]:
    phases: dict[str, int] = {}
    if exchange.sequence == 1:
        accepted = connection.accepted
        if accepted.wait_ns is not None:
            phases[names.ACCEPT_QUEUE] = accepted.wait_ns
        if connection.tls_ns:
            phases[names.TLS_HANDSHAKE] = connection.tls_ns
        phases[names.DISPATCH] = max(
            connection.handler_ns - connection.accepted_ns - connection.tls_ns, 0
        )
    responding = exchange.first_write_ns or end
    if exchange.head_ns:
        phases[names.READ_HEAD] = exchange.head_ns - exchange.first_byte_ns
        phases[names.APP] = responding - exchange.head_ns
    else:
        phases[names.READ_HEAD] = responding - exchange.first_byte_ns
    if exchange.first_write_ns:
        phases[names.RESPOND] = end - exchange.first_write_ns
    return phases


def _with(context: context_api.Context, parent: SpanContext | None) -> context_api.Context:
    if parent is None or parent.is_remote:
        return context
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), context)


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]
