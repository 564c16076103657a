"""The contract's names as Prometheus stores them: the one place that translates.

Prometheus' own receiver does it (translation strategy UnderscoreEscapingWithSuffixes in
deploy/prometheus/prometheus.yml): dots become underscores, units and `_total` are appended.
"""

from __future__ import annotations

from typing import Final

from tcpwatch import names

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"

METRICS: Final = {
    names.M_CONNECTION_ACTIVE: (GAUGE, ""),
    names.M_CONNECTION_OLDEST: (GAUGE, "seconds"),
    names.M_CONNECTION_ACCEPTED: (COUNTER, ""),
    names.M_CONNECTION_KEPT: (COUNTER, ""),
    names.M_CONNECTION_DURATION: (HISTOGRAM, "seconds"),
    names.M_CONNECTION_RTT: (HISTOGRAM, "seconds"),
    names.M_CONNECTION_RETRANSMITS: (HISTOGRAM, ""),
    names.M_PHASE_DURATION: (HISTOGRAM, "seconds"),
    names.M_QUEUE_WAIT: (HISTOGRAM, "seconds"),
    names.M_QUEUE_LENGTH: (HISTOGRAM, ""),
    names.M_QUEUE_DEPTH: (GAUGE, ""),
    names.M_QUEUE_LIMIT: (GAUGE, ""),
    names.M_QUEUE_DROPS: (COUNTER, ""),
    names.M_ACCEPT_ERRORS: (COUNTER, ""),
    names.M_LOOP_TIME: (COUNTER, "seconds"),
    names.M_LOOP_BUSY: (GAUGE, "seconds"),
    names.M_LOOP_BLOCKED_TIME: (COUNTER, "seconds"),
    names.M_HANDLER_ACTIVE: (GAUGE, ""),
    names.M_REQUEST_DURATION: (HISTOGRAM, "seconds"),
    names.M_ACTIVE_REQUESTS: (GAUGE, ""),
    names.M_PROCESS_CPU_TIME: (COUNTER, "seconds"),
    names.M_PROCESS_MEMORY_USAGE: (GAUGE, "bytes"),
    names.M_PROCESS_THREAD_COUNT: (GAUGE, ""),
    names.M_PROCESS_FDS: (GAUGE, ""),
    names.M_PROCESS_CONTEXT_SWITCHES: (COUNTER, ""),
    names.M_PROCESS_CONNECTION_COUNT: (GAUGE, ""),
    names.M_SELF_TIME: (COUNTER, "seconds"),
    names.M_SELF_DROPPED: (COUNTER, ""),
    names.M_SELF_ERRORS: (COUNTER, ""),
}
"""How each metric behaves (an up-down counter is a gauge to Prometheus), and its unit's word."""

SDK_EXPORTED: Final = "otel_sdk_exporter_span_exported_total"
SDK_PROCESSED: Final = "otel_sdk_processor_span_processed_total"
COLLECTOR_FAILED: Final = "otelcol_exporter_send_failed_spans"
COLLECTOR_REFUSED: Final = "otelcol_receiver_refused_spans"
COLLECTOR_FULL: Final = "otelcol_exporter_enqueue_failed_spans"
FOREIGN: Final = frozenset(
    {SDK_EXPORTED, SDK_PROCESSED, COLLECTOR_FAILED, COLLECTOR_REFUSED, COLLECTOR_FULL}
)
"""What others count of the spans that are lost on the way (deploy/README.md)."""


def metric(name: str) -> str:
    """Return a metric of the contract as Prometheus names it; a histogram without its suffix."""
    kind, unit = METRICS[name]
    words = [name.replace(".", "_")]
    if unit:
        words.append(unit)
    if kind == COUNTER:
        words.append("total")
    return "_".join(words)


def label(attribute: str) -> str:
    """Return an attribute as Prometheus names it."""
    return attribute.replace(".", "_")


def series() -> frozenset[str]:
    """Return every name that a query may use."""
    found = set(FOREIGN)
    for name, (kind, _) in METRICS.items():
        ends = ("_bucket", "_sum", "_count") if kind == HISTOGRAM else ("",)
        found.update(metric(name) + end for end in ends)
    return frozenset(found)
