"""What a sampler is going to say is foreseen only where that is certain, and then rightly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import SpanKind

from tcpwatch.emit.contexts import span_context
from tcpwatch.emit.sampling import LOCAL, REMOTE, ROOT, Foreseen

SAMPLERS = {
    "on": ALWAYS_ON,
    "off": ALWAYS_OFF,
    "ratio": TraceIdRatioBased(0.3),
    "parent on": DEFAULT_ON,
    "parent off": DEFAULT_OFF,
    "parent ratio": ParentBasedTraceIdRatio(0.5),
    "crossed": ParentBased(ALWAYS_OFF, remote_parent_sampled=ALWAYS_OFF),
}


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS.keys())
@given(
    trace_id=st.integers(1, (1 << 128) - 1),
    parent=st.sampled_from([ROOT, LOCAL, LOCAL + 1, REMOTE, REMOTE + 1]),
)
def test_it_is_what_the_sampler_says(sampler: Sampler, trace_id: int, parent: int) -> None:
    """For every kind of parent."""
    context = Context()
    if parent != ROOT:
        remote = parent >= REMOTE
        flags = parent - (REMOTE if remote else LOCAL)
        caller = span_context(trace_id, 7, flags, (), remote)
        context = trace.set_span_in_context(trace.NonRecordingSpan(caller), context)
    said = sampler.should_sample(context, trace_id, "GET", SpanKind.SERVER)

    foreseen = Foreseen(sampler).says(parent, trace_id)

    assert foreseen is (said.decision is Decision.RECORD_AND_SAMPLE)


class Other(TraceIdRatioBased):
    """Somebody's own."""

    def should_sample(self, *args: object, **kwargs: object) -> None:  # type: ignore[override]
        """Decide in a way of its own."""


def test_anybody_elses_sampler_is_asked() -> None:
    """It may look at anything."""
    assert Foreseen(Other(0.5)).says(ROOT, 1) is None
    assert Foreseen(ParentBased(Other(0.5))).says(ROOT, 1) is None
