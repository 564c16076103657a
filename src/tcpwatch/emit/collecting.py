"""Our distributions in an SDK provider's collections, as if its own instruments had made them.

The SDK has no public place for metrics that somebody else has aggregated (the specification's
MetricProducer is missing in Python), so the call by which its readers collect is extended. Where
that would not give what the provider's owner asked for, the SDK's own histograms are used: with
views, with another preferred aggregation, or with an SDK that looks different inside.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Metric,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.view import DefaultAggregation, ExplicitBucketHistogramAggregation
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from tcpwatch import names
from tcpwatch.emit.distributions import Distribution
from tcpwatch.emit.ledger import Ledger
from tcpwatch.emit.version import VERSION
from tcpwatch.weak import alive

_SCOPE: Final = InstrumentationScope(names.SCOPE, VERSION, names.SCHEMA_URL)

_known: weakref.WeakSet[Collecting] = weakref.WeakSet()
"""A provider's collections are extended once, for good: its metrics must not run backwards.

Its readers hold what extends them."""


class Collecting:
    """The distributions of one SDK provider."""

    def __init__(self, provider: MeterProvider, distributions: Mapping[str, Distribution]) -> None:
        self.distributions = distributions
        self._ledgers: weakref.WeakValueDictionary[int, Ledger] = weakref.WeakValueDictionary()
        self._provider = provider
        self._pid = os.getpid()
        consumer: Any = provider._measurement_consumer
        self._collect = consumer.collect
        # Readers that are added later ask the consumer for this method, the others have it.
        consumer.collect = self._extended
        for reader in self._readers():
            reader._set_collect_callback(self._extended)

    @classmethod
    def of(cls, provider: Any, distributions: Mapping[str, Distribution]) -> Collecting | None:
        """Return the one of this provider, new with `distributions`; None if it cannot be had."""
        for known in list(_known):
            if known._provider is provider and known._pid == os.getpid():
                return known
        if not _fits(provider):
            return None
        collecting = cls(provider, distributions)
        _known.add(collecting)
        return collecting

    def read_from(self, ledger: Ledger) -> None:
        """At each collection, have this ledger hand over what waits in it for the distributions."""
        self._ledgers[id(ledger)] = ledger

    def _readers(self) -> list[Any]:
        return list(self._provider._measurement_consumer._reader_storages)

    @property
    def exemplars(self) -> bool | None:
        """Whether all values may be exemplars, none, or (None) those of sampled spans."""
        chosen = self._provider._sdk_config.exemplar_filter
        if isinstance(chosen, AlwaysOnExemplarFilter):
            return True
        return False if isinstance(chosen, AlwaysOffExemplarFilter) else None

    def tidy(self) -> Iterator[None]:
        """Keep what waits for the readers small, one histogram a step."""
        readers = self._readers()
        for distribution in self.distributions.values():
            if distribution.tidy(readers):
                yield

    def _extended(self, reader: Any, *args: Any, **kwargs: Any) -> MetricsData | None:
        data: MetricsData | None = self._collect(reader, *args, **kwargs)
        if self._pid != os.getpid():
            return data
        for ledger in alive(self._ledgers):
            ledger.post()
        temporality = _of_histograms(reader._instrument_class_temporality)
        readers = self._readers()
        collected = (
            distribution.collect(reader, readers, temporality)
            for distribution in self.distributions.values()
        )
        found = [metric for metric in collected if metric is not None]
        return self._join(data, found) if found else data

    def _join(self, data: MetricsData | None, found: list[Metric]) -> MetricsData:
        resource = self._provider._sdk_config.resource
        ours = ScopeMetrics(_SCOPE, found, names.SCHEMA_URL)
        if data is None:
            return MetricsData([ResourceMetrics(resource, [ours], resource.schema_url)])
        first, *others = data.resource_metrics
        scopes = []
        for scope in first.scope_metrics:
            if scope.scope == _SCOPE:
                ours = replace(scope, metrics=[*scope.metrics, *found])
            else:
                scopes.append(scope)
        return MetricsData([replace(first, scope_metrics=[*scopes, ours]), *others])


def _of_histograms(by_class: Mapping[Any, Any]) -> Any:
    """Return a reader's choice for histograms; its table has the SDK's private classes as keys."""
    return next(
        (choice for kind, choice in by_class.items() if kind.__name__.strip("_") == "Histogram"),
        AggregationTemporality.CUMULATIVE,
    )


def _fits(provider: Any) -> bool:
    """Say whether our aggregation is what this provider would do itself."""
    if not isinstance(provider, MeterProvider):
        return False
    try:
        readers = list(provider._measurement_consumer._reader_storages)
        chosen = [_of_histograms(reader._instrument_class_aggregation) for reader in readers]
        views = provider._sdk_config.views
    except AttributeError:  # another SDK inside: its public face still works
        return False
    return not views and all(_is_usual(choice) for choice in chosen)


def _is_usual(choice: Any) -> bool:
    """Say whether a reader wants explicit buckets, with the boundaries that we advise."""
    if isinstance(choice, ExplicitBucketHistogramAggregation):
        return choice._boundaries is None and choice._record_min_max
    return isinstance(choice, DefaultAggregation)
