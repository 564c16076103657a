"""Spans that are over: as plain values, and as what processors and exporters take.

An SDK span is made of a dozen objects. Most of ours are only ever encoded, from the values that
they are made of; whoever looks at one nevertheless finds an ordinary ReadableSpan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState

from tcpwatch import names
from tcpwatch.emit import encoding
from tcpwatch.emit.compiled import Pack, pack, packed
from tcpwatch.emit.contexts import SAMPLED, State, span_context
from tcpwatch.emit.groups import Grouped
from tcpwatch.emit.version import VERSION

OURS_AT_MOST: Final = 100
"""No span of ours has more attributes; by default the SDK's limit is 128."""

INTERNAL: Final = SpanKind.INTERNAL
SERVER: Final = SpanKind.SERVER


class FinishedSpan(NamedTuple):
    """A span that is over; times are wall-clock nanoseconds, `ids` are trace id and span id.

    `parent` is a span id of the same trace (0: none) and whether it is another process's. Links
    lead to sampled spans; `trace_state` is the span's, its parent's and that of its links.
    """

    name: str
    ids: tuple[int, int]
    parent: tuple[int, bool]
    times: tuple[int, int]
    attributes: Mapping[str, Any]
    kind: SpanKind = INTERNAL
    links: Sequence[tuple[int, int]] = ()
    failed: bool = False
    trace_state: State = ()

    @property
    def context(self) -> SpanContext:
        """Return its context."""
        trace_id, span_id = self.ids
        return span_context(trace_id, span_id, SAMPLED, self.trace_state)

    @property
    def parent_context(self) -> SpanContext | None:
        """Return its parent's context."""
        span_id, is_remote = self.parent
        if not span_id:
            return None
        return span_context(self.ids[0], span_id, SAMPLED, self.trace_state, is_remote)

    @property
    def real_links(self) -> list[Link]:
        """Return its links as the API has them."""
        return [
            Link(span_context(trace_id, span_id, SAMPLED, self.trace_state))
            for trace_id, span_id in self.links
        ]

    @property
    def status(self) -> Status:
        """Return its status."""
        return Status(StatusCode.ERROR) if self.failed else Status()


class Home:
    """What all spans of ours share in a provider: resource, limits and scope."""

    def __init__(self, resource: Resource, limits: SpanLimits, pack: Pack | None = pack) -> None:
        self.resource, self.limits = resource, limits
        self._scope = InstrumentationScope(names.SCOPE, VERSION, names.SCHEMA_URL)
        self._envelope: encoding.Envelope | None = None
        lengths, most, links = (
            limits.max_span_attribute_length,
            limits.max_span_attributes,
            limits.max_links,
        )
        self._most = most if most is not None and most < OURS_AT_MOST else None
        self._has_link_limit = links is not None and links < 8
        self._has_value_limit = lengths is not None
        self.has_limits = self._has_value_limit or self._has_link_limit or self._most is not None
        self._pack = None if self.has_limits else pack

    @property
    def envelope(self) -> encoding.Envelope:
        """Return what stands round our encoded spans."""
        if self._envelope is None:
            self._envelope = encoding.Envelope(
                self.resource.attributes,
                self.resource.schema_url,
                (names.SCOPE, VERSION, names.SCHEMA_URL),
            )
        return self._envelope

    def limits_anything(self, span: FinishedSpan) -> bool:
        """Say whether anything of a span may be more than the provider's limits."""
        return (
            self._has_value_limit
            or (self._most is not None and len(span.attributes) > self._most)
            or bool(span.links and self._has_link_limit)
        )

    def bounded(self, span: FinishedSpan) -> BoundedAttributes:
        """Return its attributes within the limits."""
        return BoundedAttributes(
            self.limits.max_span_attributes,
            dict(span.attributes),
            immutable=True,
            max_value_len=self.limits.max_span_attribute_length,
        )

    def readable(self, span: FinishedSpan) -> ReadableSpan:
        """Return the SDK's own object for a finished span."""
        links = span.real_links
        return ReadableSpan(
            name=span.name,
            context=span.context,
            parent=span.parent_context,
            resource=self.resource,
            attributes=self.bounded(span),
            links=BoundedList.from_seq(self.limits.max_links, links) if links else (),
            kind=span.kind,
            status=span.status,
            start_time=span.times[0],
            end_time=span.times[1],
            instrumentation_scope=self._scope,
        )

    def encoded(self, span: FinishedSpan) -> bytes | None:
        """Return a finished span as its exporter will send it; None if it is none of our cases."""
        if self._pack is not None:
            message = self._pack(span)
            if message is not None:
                return message
        return self._encoded(span)

    def packed(self, spans: tuple[FinishedSpan, ...]) -> list[LateSpan] | None:
        """Return spans at which nobody but their exporter looks; None if C does not make them."""
        if self._pack is None or packed is None:
            return None
        return packed(spans, self, LateSpan)

    def _encoded(self, span: FinishedSpan) -> bytes | None:
        found: Mapping[str, Any] = span.attributes
        links: Sequence[tuple[int, int]] = span.links
        dropped = None
        if self.limits_anything(span):
            bounded = self.bounded(span)
            found, links = dict(bounded), list(links)[-(self.limits.max_links or 0) :]
            links = links if self.limits.max_links != 0 else ()
            dropped = (bounded.dropped, len(span.links) - len(links))
        try:
            return encoding.span(
                span.ids,
                span.trace_state,
                span.parent,
                span.name,
                encoding.SERVER if span.kind is SERVER else encoding.INTERNAL,
                span.times,
                _encoded(found),
                b"".join(map(encoding.link, links)) if links else b"",
                encoding.ERROR if span.failed else encoding.UNSET,
                dropped=dropped,
            )
        except (ValueError, TypeError):
            # The stock encoder says what it makes of a value that protobuf cannot carry.
            return None


def _encoded(found: Mapping[str, Any]) -> bytes:
    if type(found) is Grouped:
        return found.encoded()
    return encoding.attributes(found, encoding.ATTRIBUTES)


class LateSpan(ReadableSpan):
    """A finished span that becomes a ReadableSpan when somebody looks at it.

    `encoded` is its protobuf message, if an exporter of ours is going to ask for it.
    """

    finished: FinishedSpan

    def __init__(
        self, finished: FinishedSpan, home: Home, encode: bool, alone: bool = False
    ) -> None:
        """Make it; `alone` if nobody but its exporter looks at it.

        Then its message is all that is kept, a fifth of the size: a queue of these waits. Of a
        message whose attributes or links were too many nobody could tell how many they were.
        """
        self.home = home
        encoded = self.encoded = home.encoded(finished) if encode else None
        if not alone or encoded is None or (home.has_limits and home.limits_anything(finished)):
            self.finished = finished

    def __getattr__(self, name: str) -> Any:
        """Make the SDK's private fields; Python asks here for what an object does not have."""
        mine = self.__dict__
        if name == "finished" and mine.get("encoded") is not None:
            mine[name] = read(mine["encoded"])
            return mine[name]
        if "home" not in mine or not name.startswith("_") or name.startswith("__"):
            raise AttributeError(name)
        if name == "_context":
            # All that the SDK's processors look at.
            context = mine[name] = self.finished.context
            return context
        for field, value in vars(self.home.readable(self.finished)).items():
            mine.setdefault(field, value)
        if name not in mine:
            raise AttributeError(name)
        return mine[name]


def read(encoded: bytes) -> FinishedSpan:
    """Return what `Home.encoded` has written."""
    # A process whose spans go another way never needs these classes, which are megabytes.
    from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

    span = ScopeSpans.FromString(encoded).spans[0]
    state = TraceState.from_header([span.trace_state]) if span.trace_state else {}
    return FinishedSpan(
        span.name,
        _ids(span),
        (int.from_bytes(span.parent_span_id, "big"), bool(span.flags & _IS_REMOTE)),
        (span.start_time_unix_nano, span.end_time_unix_nano),
        {each.key: _value(each.value) for each in span.attributes},
        SERVER if span.kind == encoding.SERVER else INTERNAL,
        [_ids(link) for link in span.links],
        span.status.code == StatusCode.ERROR.value,
        tuple(state.items()),
    )


_IS_REMOTE: Final = 0x200
"""SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK of the protocol."""


def _ids(of: Any) -> tuple[int, int]:
    return int.from_bytes(of.trace_id, "big"), int.from_bytes(of.span_id, "big")


def _value(of: Any) -> Any:
    kind = of.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return tuple(map(_value, of.array_value.values))
    return getattr(of, kind)
