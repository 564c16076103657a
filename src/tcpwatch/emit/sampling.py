"""What the SDK's own samplers say, without asking them.

They look at the trace id and at the parent, never at the attributes, so nobody has to collect any
for a span that will not be sampled. Any other sampler is asked, with everything it may want.
"""

from __future__ import annotations

from typing import Final

from opentelemetry.sdk.trace.sampling import (
    Decision,
    ParentBased,
    Sampler,
    StaticSampler,
    TraceIdRatioBased,
)

ROOT: Final = 0
LOCAL: Final = 1
REMOTE: Final = 3
"""The kind of a span's parent; 1 more for a sampled one."""

_KINDS: Final = 5
_ALL: Final = 1 << 64
_DELEGATES: Final = (
    "_root",
    "_local_parent_not_sampled",
    "_local_parent_sampled",
    "_remote_parent_not_sampled",
    "_remote_parent_sampled",
)


class Foreseen:
    """The decisions of one sampler, as far as they can be foreseen."""

    def __init__(self, sampler: Sampler) -> None:
        self._bounds = [_bound(sampler, parent) for parent in range(_KINDS)]

    def bound(self, parent: int) -> int | None:
        """Return below which number the low half of a sampled trace id is; None if unknown."""
        return self._bounds[parent]

    def says(self, parent: int, trace_id: int) -> bool | None:
        """Say whether a span is sampled; None if the sampler has to be asked."""
        bound = self._bounds[parent]
        return None if bound is None else trace_id & (_ALL - 1) < bound


def _bound(sampler: Sampler | None, parent: int) -> int | None:
    """Return below which number the low 64 bits of a sampled trace id are; None if unknown."""
    if sampler is None or "should_sample" in vars(sampler):
        return None
    rule = type(sampler).should_sample
    if rule is StaticSampler.should_sample:
        decision = getattr(sampler, "_decision", None)
        if decision is Decision.RECORD_AND_SAMPLE:
            return _ALL
        return 0 if decision is Decision.DROP else None
    if rule is TraceIdRatioBased.should_sample:
        bound = getattr(sampler, "bound", None)
        return bound if isinstance(bound, int) else None
    if rule is ParentBased.should_sample:
        return _bound(getattr(sampler, _DELEGATES[parent], None), parent)
    return None
