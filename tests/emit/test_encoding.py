"""Our bytes of a span are those of the stock encoder, whatever the span holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.trace import SpanKind

from tcpwatch.emit.late import FinishedSpan, Home, LateSpan

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
PLAIN = st.one_of(TEXT, INT64, st.floats(allow_nan=False), st.booleans())
VALUE = st.one_of(PLAIN, st.lists(TEXT, max_size=4), st.lists(INT64, max_size=4))
SPAN_ID = st.integers(1, (1 << 64) - 1)
TRACE_ID = st.integers(1, (1 << 128) - 1)
MOMENT = st.integers(1, (1 << 63) - 1)
STATE = st.sampled_from([(), (("vendor", "value"),), (("a", "1"), ("b", "2"))])
SPANS = st.builds(
    FinishedSpan,
    name=TEXT,
    ids=st.tuples(TRACE_ID, SPAN_ID),
    parent=st.one_of(st.just((0, False)), st.tuples(SPAN_ID, st.booleans())),
    times=st.tuples(MOMENT, MOMENT),
    attributes=st.dictionaries(TEXT.filter(bool), VALUE, max_size=8),
    kind=st.sampled_from([SpanKind.INTERNAL, SpanKind.SERVER]),
    links=st.lists(st.tuples(TRACE_ID, SPAN_ID), max_size=3),
    failed=st.booleans(),
    trace_state=STATE,
)
RESOURCE = Resource({"service.name": "té", "n": 3}, "https://example.org/schema")


def ours(spans: Sequence[FinishedSpan], home: Home) -> ExportTraceServiceRequest:
    """Return what our bytes say to somebody who reads them with the official classes."""
    encoded = [home.encoded(span) for span in spans]
    data = home.envelope.sealed([each for each in encoded if each is not None])
    return ExportTraceServiceRequest.FromString(data)


def theirs(spans: Sequence[FinishedSpan], home: Home) -> ExportTraceServiceRequest:
    """Return what the stock encoder makes of them."""
    found: ExportTraceServiceRequest = encode_spans([home.readable(span) for span in spans])
    return found


@given(st.lists(SPANS, min_size=1, max_size=3))
def test_the_message_is_the_stock_encoders(spans: list[FinishedSpan]) -> None:
    """Message by message and byte by byte."""
    home = Home(RESOURCE, SpanLimits())
    mine, stock = ours(spans, home), theirs(spans, home)

    assert mine == stock
    assert home.envelope.sealed(
        [each for each in map(home.encoded, spans) if each is not None]
    ) == stock.SerializeToString(deterministic=True)


@given(SPANS)
def test_the_providers_limits_hold_in_bytes_too(span: FinishedSpan) -> None:
    """Number and length of attributes, number of links, and what was dropped is said."""
    limits = SpanLimits(max_span_attributes=2, max_span_attribute_length=3, max_links=1)
    home = Home(RESOURCE, limits)

    assert ours([span], home) == theirs([span], home)


@pytest.mark.parametrize("value", ["\ud800", 1 << 63], ids=["lone surrogate", "65 bits"])
def test_what_protobuf_cannot_carry_is_left_to_the_stock_encoder(value: Any) -> None:
    """It says itself what it makes of such a value."""
    span = FinishedSpan("x", (1, 2), (0, False), (1, 2), {"odd": value})

    assert Home(RESOURCE, SpanLimits()).encoded(span) is None


@given(SPANS)
def test_a_late_span_looks_like_any_other(span: FinishedSpan) -> None:
    """Whoever looks at one finds the SDK's own fields."""
    home = Home(RESOURCE, SpanLimits())
    late, real = LateSpan(span, home, encode=False), home.readable(span)

    assert late.to_json() == real.to_json()
    assert (late.context, late.parent) == (real.context, real.parent)


@given(SPANS)
def test_a_span_of_which_only_its_message_is_kept_looks_like_any_other(span: FinishedSpan) -> None:
    """A queue keeps no more of it, and whoever looks at it nevertheless finds everything."""
    home = Home(RESOURCE, SpanLimits())
    late, real = LateSpan(span, home, encode=True, alone=True), home.readable(span)

    assert "finished" not in vars(late)
    assert late.to_json() == real.to_json()
    assert (late.context, late.parent, late.status.status_code) == (
        real.context,
        real.parent,
        real.status.status_code,
    )
    assert late.encoded == home.encoded(late.finished)


@given(SPANS)
def test_a_span_beyond_the_limits_is_kept_whole(span: FinishedSpan) -> None:
    """Its message does not tell what was left out of it."""
    limits = SpanLimits(max_span_attributes=2, max_span_attribute_length=3, max_links=1)
    late = LateSpan(span, Home(RESOURCE, limits), encode=True, alone=True)

    assert late.finished == span
