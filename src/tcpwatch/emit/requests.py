"""Request spans: they start and end on the serving thread, because user code may touch them.

One that nobody touches, one that is not sampled and each one in a forked child is carried: its
context is current around the application, and the worker builds it from the record.
"""

from __future__ import annotations

import logging
import os
import random
import re
from collections.abc import Iterator, Mapping
from email.message import Message
from functools import partial
from operator import itemgetter
from typing import Any, Final

from opentelemetry import context as context_api
from opentelemetry import propagate, trace
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import StatusCode

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.core.marks import Accepted
from tcpwatch.emit import attributes as words
from tcpwatch.emit.compiled import began, connect
from tcpwatch.emit.contexts import KEY_OF_SPAN, SAMPLED, with_span
from tcpwatch.emit.current import Carried, Ids, RequestSpan, Started
from tcpwatch.emit.peers import Look, Peers
from tcpwatch.emit.starting import Current, Starter
from tcpwatch.emit.tracing import Tracing
from tcpwatch.hub import hub
from tcpwatch.hub.connection import APP, Connection, Exchange
from tcpwatch.hub.post import Post
from tcpwatch.settings import Settings

logger = logging.getLogger("tcpwatch")


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
_EXCLUDED_URLS: Final = "OTEL_PYTHON_EXCLUDED_URLS"


_name_of, _value_of = itemgetter(0), itemgetter(1)


def _fields(head: Message) -> dict[str, str]:
    """Return the first value of each header by its lower-case name."""
    pairs = list(head.raw_items())
    pairs.reverse()
    return dict(zip(map(str.lower, map(_name_of, pairs)), map(_value_of, pairs), strict=True))


class UntracedRequests:
    """Where nobody traces there only is to say whose a request's metrics are: ours, or nobody's."""

    began = began

    def __init__(self, peers: Peers, settings: Settings) -> None:
        self._peers = peers
        patterns = [*settings.excluded_urls, *_patterns(_EXCLUDED_URLS)]
        self._excluded = re.compile("|".join(patterns)) if patterns else None
        plain = settings.c_hooks and not patterns
        self.usual: tuple[Any, ...] | None = (None, peers, None, None) if plain else None
        """What C needs where most begin the same way; without tracing there only are the peers."""

    def begin(self, connection: Connection, exchange: Exchange, head: Message, app: Any) -> None:
        """See whether others report the request, or nobody is to."""
        self._is_ours(exchange, app)

    def _is_ours(self, exchange: Exchange, app: Any) -> bool:
        if self._excluded is not None and self._excluded.search(exchange.target or ""):
            exchange.excluded = True
            return False
        if app is not None and self._peers.instrument(app):
            exchange.peer_instrumented = True
            return False
        return True

    def end(self, connection: Connection, exchange: Exchange) -> None:
        """There is no span to end."""

    def route(self, exchange: Exchange, route: str) -> None:
        """There is no span that would want to know."""


class RequestSpans(UntracedRequests):
    """Begins and ends request spans with our tracer."""

    def __init__(self, tracing: Tracing, peers: Peers, settings: Settings) -> None:
        super().__init__(peers, settings)
        self._tracing = tracing
        self._starter = Starter(tracing, settings)
        bound = tracing.root_bound
        usual = self.usual is not None and bound is not None
        self.usual = (tracing, peers, self._starter, bound) if usual else None
        self._propagator: Any = None
        self._fields: frozenset[str] = frozenset()

    def begin(self, connection: Connection, exchange: Exchange, head: Message, app: Any) -> None:
        """Start the span of a request whose head was read, and make it current."""
        if not self._is_ours(exchange, app):
            return
        context = context_api.get_current()
        if context and _is_suppressed():
            return
        headers = exchange.fields = _fields(head)
        parent = None
        if not self._propagated().isdisjoint(headers):
            context = propagate.extract(headers, context, getter=_HEADERS)
            remote = trace.get_current_span(context).get_span_context()
            parent = remote if remote.is_valid and remote.is_remote else None
        span = self._start(connection, exchange, context, parent)
        current = span.span if isinstance(span, Started) else span
        token = context_api.attach(with_span(current, context))
        exchange.release = partial(context_api.detach, token)

    def _start(
        self,
        connection: Connection,
        exchange: Exchange,
        context: context_api.Context,
        parent: trace.SpanContext | None,
    ) -> Current:
        """Start a span; one that is only carried nobody has to end."""
        span = self._starter.start(connection, exchange, context, parent)
        exchange.span_facts = span.ids.facts
        if type(span) is not Carried:
            exchange.span = span
        return span

    def _propagated(self) -> frozenset[str]:
        """Return the names of the headers that the propagators look at."""
        propagator = propagate.get_global_textmap()
        if propagator is self._propagator:
            return self._fields
        fields = frozenset(name.lower() for name in propagator.fields)
        # In this order: another thread must not see a propagator with the fields of the last one.
        self._fields = fields
        self._propagator = propagator
        return fields

    def route(self, exchange: Exchange, route: str) -> None:
        """Give a live span its route, as soon as the application knows it."""
        span = _touched(exchange.span)
        if span is not None:
            span.set_attribute(names.HTTP_ROUTE, route)
            span.update_name(words.span_name(exchange))

    def end(self, connection: Connection, exchange: Exchange) -> None:
        """End a request's span with its last byte."""
        if exchange.refused and exchange.span_facts is None:
            self._start(connection, exchange, context_api.Context(), None)
        current: Current | None = exchange.span
        if current is None:
            return
        exchange.span = None
        end = exchange.last_write_ns or connection.now()
        wall = exchange.wall_ns + end - exchange.first_byte_ns
        if isinstance(current, RequestSpan) and current.ended_untouched(wall):
            return
        span = _touched(current)
        if span is not None:
            exchange.span_facts = (*current.ids.facts[:-1], bool(current.ids.flags & SAMPLED))
            _finish(connection, exchange, span, end, wall)


def requests_of(tracing: Tracing, peers: Peers, settings: Settings) -> UntracedRequests:
    """Return what follows the requests of a process."""
    if tracing.enabled:
        return RequestSpans(tracing, peers, settings)
    return UntracedRequests(peers, settings)


def _is_suppressed() -> bool:
    """Say whether somebody wants no spans here: in a context that is empty nobody does."""
    # The module loads asyncio and wrapt, which most servers have no other use for: 2 MB.
    from opentelemetry.instrumentation.utils import is_instrumentation_enabled

    return not is_instrumentation_enabled()


def _touched(current: Current | None) -> trace.Span | None:
    """Return the provider's own span, if there is one that is recorded."""
    if isinstance(current, RequestSpan):
        return current if current.touched else None
    if isinstance(current, Started) and current.span.is_recording():
        return current.span
    return None


def _finish(
    connection: Connection, exchange: Exchange, span: trace.Span, end: int, wall: int
) -> None:
    found = words.response_attributes(exchange)
    found.extend(words.phase_attributes(_phases(connection, exchange, end)))
    span.set_attributes(found)
    if words.error_type(exchange) is not None:
        span.set_status(StatusCode.ERROR)
    span.end(wall)


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


def _patterns(variable: str) -> Iterator[str]:
    """Return the regular expressions of a variable of OpenTelemetry's; say which are none."""
    for word in (part.strip() for part in os.environ.get(variable, "").split(",")):
        try:
            re.compile(word)
        except re.error as error:
            logger.warning(
                "%s: %r is no regular expression (%s), and excludes nothing; correct it",
                *(variable, word, error),
            )
        else:
            if word:
                yield word


def _variable() -> Any:
    """Return the variable that holds the current context; None where another runtime keeps it."""
    runtime = context_api._RUNTIME_CONTEXT
    return runtime._current_context if type(runtime) is ContextVarsRuntimeContext else None


connect(
    "requests",
    {
        "Carried": Carried,
        "Connection": Connection,
        "Context": context_api.Context,
        "Exchange": Exchange,
        "Ids": Ids,
        "RequestSpan": RequestSpan,
        "partial": partial,
        "current_context": _variable(),
        "detach": context_api.detach,
        "getrandbits": random.getrandbits,
        "Look": Look,
        "Post": Post,
        "post": hub.post,
        "propagate_values": vars(propagate),
        "raw_items": Message.raw_items,
        "key_of_span": KEY_OF_SPAN,
        "APP": APP,
        "SAMPLED_MARK": kinds.SAMPLED,
        "TRACE_ID": Accepted._fields.index("trace_id"),
        "SPAN_ID": Accepted._fields.index("span_id"),
    },
)
