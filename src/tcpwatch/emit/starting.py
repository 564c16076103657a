"""How the span of a request starts: its ids, whether it is sampled, and what kind of span it is.

Mostly the sampler's answer is foreseen and nobody wants to see the span before it has ended. Then
it has ids and nothing else, until somebody touches it. Otherwise the provider's tracer starts it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import Decision, SamplingResult
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceState

from tcpwatch import names
from tcpwatch.emit import attributes as words
from tcpwatch.emit.contexts import RANDOM, SAMPLED, span_context, with_span
from tcpwatch.emit.current import Carried, Ids, RequestSpan, Started
from tcpwatch.emit.sampling import LOCAL, REMOTE, ROOT
from tcpwatch.emit.tracing import Tracing
from tcpwatch.hub import hub
from tcpwatch.hub.connection import Connection, Exchange
from tcpwatch.settings import Settings

CHILDREN_OF_CONNECTION: Final = 32
"""Requests of one connection that are children of its span; later ones are roots with a link."""

Context = context_api.Context
Current = Carried | RequestSpan | Started


class Starter:
    """Starts request spans with one tracer."""

    def __init__(self, tracing: Tracing, settings: Settings) -> None:
        self._tracing, self._settings = tracing, settings

    def start(
        self,
        connection: Connection,
        exchange: Exchange,
        context: Context,
        remote: SpanContext | None,
    ) -> Current:
        """Return the span of a request, whose `remote` parent is in `context` if it has one."""
        tracing = self._tracing
        if tracing.sdk is None:
            return self._foreign(connection, exchange, context, remote)
        ids = self._ids(connection, exchange, remote)
        decides = remote is None and connection.flags is None
        sampled = self._foreseen(connection, ids, remote)
        if hub.post.in_child and not hub.post.remote:
            return self._relayed(connection, exchange, ids, remote, sampled)
        if sampled is None or (sampled and not tracing.is_straight):
            return self._started(connection, exchange, context, remote, ids)
        if decides:
            connection.decided(int(sampled), ())
        if not sampled:
            return Carried(ids)
        ids = Ids(*ids[:4], ids.flags | SAMPLED, ids.trace_state)
        return RequestSpan(ids, partial(self._become, connection, exchange, context, ids))

    def _ids(self, connection: Connection, exchange: Exchange, remote: SpanContext | None) -> Ids:
        """Give a span its ids and what it inherits; whether it is sampled is not in it yet."""
        span_id = self._tracing.new_span_id()
        if remote is not None:
            state = tuple(remote.trace_state.items())
            flags = remote.trace_flags & RANDOM
            return Ids(remote.trace_id, span_id, remote.span_id, True, flags, state)
        if exchange.sequence <= CHILDREN_OF_CONNECTION:
            accepted, state = connection.accepted, connection.trace_state or ()
            return Ids(accepted.trace_id, span_id, accepted.span_id, False, 0, state)
        trace_id, _ = self._tracing.allocate()
        return Ids(trace_id, span_id, 0, False, self._tracing.root_flags, ())

    def _foreseen(
        self, connection: Connection, ids: Ids, remote: SpanContext | None
    ) -> bool | None:
        """Say whether a span is sampled; None if the sampler has to be asked."""
        parent, trace_id = ROOT, ids.trace_id
        if remote is not None:
            parent = REMOTE + (remote.trace_flags & SAMPLED)
        elif connection.flags is None:
            trace_id = connection.accepted.trace_id  # it is the connection that is decided on
        elif ids.parent_span_id:
            parent = LOCAL + connection.flags
        return self._tracing.foreseen.says(parent, trace_id)

    def _attributes(self, connection: Connection, exchange: Exchange) -> dict[str, Any]:
        accepted, sequence = connection.accepted, exchange.sequence
        return dict(words.request_attributes(exchange, accepted, self._settings, sequence))

    def _decide(
        self, connection: Connection, exchange: Exchange, found: dict[str, Any]
    ) -> SamplingResult:
        """Ask the sampler at the connection's first request without a remote parent; remember."""
        decision = self._tracing.decide(
            connection.accepted.trace_id, words.span_name(exchange), SpanKind.SERVER, found
        )
        sampled = decision.decision is Decision.RECORD_AND_SAMPLE
        connection.decided(int(sampled), tuple((decision.trace_state or {}).items()))
        return decision

    def _relayed(
        self,
        connection: Connection,
        exchange: Exchange,
        ids: Ids,
        remote: SpanContext | None,
        sampled: bool | None,
    ) -> Carried:
        """Carry the span of a request in a forked child: its process ends in os._exit."""
        state = ids.trace_state
        if sampled is None:
            found = self._attributes(connection, exchange)
            if remote is None and connection.flags is None:
                asked = self._decide(connection, exchange, found)
            else:
                asked = self._tracing.ask(
                    ids.parent_context, ids.trace_id, words.span_name(exchange), found
                )
            sampled = asked.decision is Decision.RECORD_AND_SAMPLE
            state = tuple((asked.trace_state or {}).items())
        elif remote is None and connection.flags is None:
            connection.decided(int(sampled), ())
        return Carried(ids._replace(flags=ids.flags | int(sampled), trace_state=state))

    def _started(
        self,
        connection: Connection,
        exchange: Exchange,
        context: Context,
        remote: SpanContext | None,
        ids: Ids,
    ) -> Carried | Started:
        """Have the tracer start a span, unless the sampler says no."""
        found = self._attributes(connection, exchange)
        decision = None
        if remote is None and connection.flags is None:
            decision = self._decide(connection, exchange, found)
            if decision.decision is Decision.DROP:
                return Carried(ids._replace(trace_state=connection.trace_state or ()))
        flags, state = connection.flags or 0, connection.trace_state or ()
        ids = ids._replace(flags=flags) if remote is None else ids
        ids = ids._replace(trace_state=state) if remote is None and ids.parent_span_id else ids
        span = self._really_start(connection, exchange, context, ids, found, decision)
        mine = span.get_span_context()
        return Started(
            span,
            Ids(
                mine.trace_id,
                mine.span_id,
                ids.parent_span_id,
                ids.parent_is_remote,
                mine.trace_flags,
                tuple(mine.trace_state.items()),
            ),
        )

    def _become(
        self, connection: Connection, exchange: Exchange, context: Context, ids: Ids
    ) -> trace.Span:
        """Start the SDK span of these ids, because somebody has touched it."""
        found = self._attributes(connection, exchange)
        if exchange.route is not None:
            found[names.HTTP_ROUTE] = exchange.route
        state = TraceState(list(ids.trace_state)) if ids.trace_state else None
        decision = SamplingResult(Decision.RECORD_AND_SAMPLE, found, state)
        script = self._tracing.script
        script.trace_id, script.span_id = ids.trace_id, ids.span_id
        try:
            return self._really_start(connection, exchange, context, ids, found, decision)
        finally:
            script.trace_id = script.span_id = 0

    def _really_start(
        self,
        connection: Connection,
        exchange: Exchange,
        context: Context,
        ids: Ids,
        found: dict[str, Any],
        decision: SamplingResult | None,
    ) -> trace.Span:
        accepted, state = connection.accepted, connection.trace_state or ()
        parent = ids.parent_context
        if parent is not None and not parent.is_remote:
            context = with_span(trace.NonRecordingSpan(parent), context)
        whole = span_context(accepted.trace_id, accepted.span_id, SAMPLED, state)
        script = self._tracing.script
        script.decision = decision
        try:
            return self._tracing.tracer.start_span(
                words.span_name(exchange),
                context,
                SpanKind.SERVER,
                found,
                [Link(whole)] if parent is None or parent.is_remote else None,
                exchange.wall_ns,
            )
        finally:
            script.decision = None

    def _foreign(
        self,
        connection: Connection,
        exchange: Exchange,
        context: Context,
        remote: SpanContext | None,
    ) -> Started:
        """Start a span of a provider that is not the SDK's: its ids and its decision."""
        accepted, listener = connection.accepted, connection.loop.listener
        start = accepted.wall_ns - (accepted.wait_ns or 0)
        name = words.connection_name(listener)
        whole = self._tracing.open_foreign(connection.key, name, start).get_span_context()
        child = remote is None and exchange.sequence <= CHILDREN_OF_CONNECTION
        parent = whole if child else remote
        span = self._tracing.tracer.start_span(
            words.span_name(exchange),
            with_span(trace.NonRecordingSpan(whole), context) if child else context,
            SpanKind.SERVER,
            self._attributes(connection, exchange),
            None if child else [Link(whole)],
            exchange.wall_ns,
        )
        mine = span.get_span_context()
        return Started(
            span,
            Ids(
                mine.trace_id,
                mine.span_id,
                parent.span_id if parent is not None else 0,
                parent.is_remote if parent is not None else False,
                mine.trace_flags,
                tuple(mine.trace_state.items()),
            ),
        )
