"""Our histograms say what the SDK's would say, in every collection of every kind of provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    Histogram,
    MeterProvider,
)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    Metric,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

from tcpwatch import names
from tcpwatch.emit.collecting import Collecting
from tcpwatch.emit.distributions import LARGEST, MOST_SERIES, OVERFLOW, Distribution
from tcpwatch.emit.histograms import HISTOGRAMS

NAME = names.M_PHASE_DURATION
UNIT, BOUNDS, MEANING = HISTOGRAMS[NAME]
DELTA: dict[type, AggregationTemporality] = {Histogram: AggregationTemporality.DELTA}
SCALE = 1_000_000_000
NANOSECONDS = st.one_of(
    st.integers(0, 100 * SCALE), st.sampled_from([round(bound * SCALE) for bound in BOUNDS])
)


def joined(*readers: InMemoryMetricReader, **options: Any) -> tuple[MeterProvider, Distribution]:
    """Return a provider of these readers, and our distribution that is collected with it."""
    provider = MeterProvider(readers, shutdown_on_exit=False, **options)
    ours = Distribution(NAME, UNIT, MEANING, BOUNDS, SCALE)
    collecting = Collecting.of(provider, {NAME: ours})
    assert collecting is not None
    return provider, ours


def collected(reader: InMemoryMetricReader, name: str = NAME) -> Metric | None:
    """Return what a reader sees of a metric now."""
    data = reader.get_metrics_data()
    found = [
        metric
        for resource in (data.resource_metrics if data is not None else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
    ]
    return found[0] if found else None


def points(reader: InMemoryMetricReader, name: str = NAME) -> list[Any]:
    """Return the data points that a reader sees now."""
    metric = collected(reader, name)
    return list(metric.data.data_points) if metric is not None else []


def said(point: Any) -> tuple[Any, ...]:
    """Return what a point says of its values."""
    bounds = tuple(point.explicit_bounds)
    return point.count, tuple(point.bucket_counts), bounds, point.min, point.max


@pytest.mark.parametrize("temporality", [{}, DELTA], ids=["cumulative", "delta"])
@given(rounds=st.lists(st.lists(NANOSECONDS, max_size=30), min_size=1, max_size=4))
def test_the_points_are_the_sdks(temporality: Any, rounds: Sequence[Sequence[int]]) -> None:
    """The same counts, bounds, extremes and sum as its own histogram, collection by collection."""
    reader = InMemoryMetricReader(temporality)
    provider, ours = joined(reader)
    theirs = provider.get_meter("other").create_histogram(
        "other", UNIT, MEANING, explicit_bucket_boundaries_advisory=list(BOUNDS)
    )
    series = ours.series({"a": 1})
    for values in rounds:
        series.record(values)
        for value in values:
            theirs.record(value / SCALE, {"a": 1})
        data = reader.get_metrics_data()
        found: dict[str, list[Any]] = {
            metric.name: list(metric.data.data_points)
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }
        mine, its = found.get(NAME, []), found.get("other", [])
        assert [said(point) for point in mine] == [said(point) for point in its]
        for point, other in zip(mine, its, strict=True):
            assert point.sum == pytest.approx(other.sum)
            assert point.attributes == dict(other.attributes)
            assert point.start_time_unix_nano <= point.time_unix_nano


def test_readers_do_not_take_from_each_other() -> None:
    """A delta reader's collection leaves a cumulative reader's sum as it is."""
    delta, cumulative = InMemoryMetricReader(DELTA), InMemoryMetricReader()
    _, ours = joined(delta, cumulative)
    series = ours.series({})
    seen = []
    for _ in range(3):
        series.record([SCALE])
        seen.append((points(delta)[0].count, points(cumulative)[0].count))
    assert seen == [(1, 1), (1, 2), (1, 3)]


def test_a_reader_that_is_added_later_sees_what_comes_from_then_on() -> None:
    """As with the SDK's own instruments."""
    first, late = InMemoryMetricReader(), InMemoryMetricReader()
    provider, ours = joined(first)
    series = ours.series({})
    series.record([SCALE])
    assert points(first)[0].count == 1
    provider.add_metric_reader(late)
    series.record([2 * SCALE])
    assert (points(late)[0].count, points(first)[0].count) == (1, 2)


def test_a_sampled_value_is_its_buckets_exemplar() -> None:
    """The last one of each bucket, told once; one of no span leaves none."""
    reader = InMemoryMetricReader()
    _, ours = joined(reader)
    series = ours.series({})
    series.record([SCALE * 3 // 10])
    of_spans = {0.3: (1, 11), 0.31: (2, 12), 0.32: (0, 0), 20.0: (4, 14)}
    values, origins = [round(value * SCALE) for value in of_spans], list(of_spans.values())
    series.record_of_spans(values, origins, [1_001, 1_002, 1_003, 1_004])
    series.record_of_spans([40 * SCALE], [(5, 15)], [1_005])
    (point,) = points(reader)
    told = {(e.value, e.trace_id, e.span_id, e.time_unix_nano) for e in point.exemplars}
    assert told == {(0.31, 2, 12, 1_002), (20.0, 4, 14, 1_004), (40.0, 5, 15, 1_005)}
    assert point.count == 6
    assert points(reader)[0].exemplars == []


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [(None, None), (AlwaysOnExemplarFilter(), True), (AlwaysOffExemplarFilter(), False)],
    ids=["sampled spans", "all", "none"],
)
def test_the_providers_exemplar_filter_is_honoured(chosen: Any, wanted: bool | None) -> None:
    """OTEL_METRICS_EXEMPLAR_FILTER is the application's choice."""
    provider, ours = joined(InMemoryMetricReader(), exemplar_filter=chosen)
    collecting = Collecting.of(provider, {NAME: ours})
    assert collecting is not None
    assert collecting.exemplars is wanted


def test_nobody_collects_and_little_waits() -> None:
    """Values are sorted into buckets now and then, so memory does not grow with them."""
    reader = InMemoryMetricReader()
    provider, ours = joined(reader)
    collecting = Collecting.of(provider, {NAME: ours})
    assert collecting is not None
    series = ours.series({})
    for _ in range(LARGEST + 1):
        series.record([SCALE])
    assert list(collecting.tidy()) == [None]
    waiting = next(iter(ours._waiting.values()))
    assert waiting.values == []
    assert points(reader)[0].count == LARGEST + 1


def test_too_many_sets_of_attributes_share_one() -> None:
    """What a client can invent does not fill the memory."""
    reader = InMemoryMetricReader()
    _, ours = joined(reader)
    for number in range(MOST_SERIES + 5):
        ours.series({"number": number}).record([SCALE])
    found = points(reader)
    assert len(found) == MOST_SERIES + 1
    assert [p.count for p in found if p.attributes == OVERFLOW] == [5]


@pytest.mark.parametrize(
    "provider",
    [
        MeterProvider([InMemoryMetricReader()], views=[View(instrument_name="x")]),
        MeterProvider(
            [
                InMemoryMetricReader(
                    preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()}
                )
            ]
        ),
        object(),
    ],
    ids=["views", "exponential buckets", "not the SDK's"],
)
def test_who_wants_something_else_gets_the_sdks_own_histograms(provider: Any) -> None:
    """With views, other buckets or another SDK, ours would not be what was asked for."""
    assert Collecting.of(provider, {}) is None


def test_a_provider_has_one_set_for_good() -> None:
    """Installed again, tcpwatch goes on with the same sums: they must not run backwards."""
    provider, ours = joined(InMemoryMetricReader())
    again = Collecting.of(provider, {NAME: Distribution(NAME, UNIT, MEANING, BOUNDS)})
    assert again is not None
    assert again.distributions[NAME] is ours
