"""*Process*: what the process uses, and what tcpwatch and its telemetry cost and lose."""

from __future__ import annotations

from typing import Any

from dashboards import panels, queries, series
from dashboards.panels import COUNT, PER_SECOND, SECONDS
from dashboards.series import label, metric
from tcpwatch import names

PROCESS = queries.PROCESS
INSTANCE = "{{service_instance_id}}"
REASON = "{{" + label(names.REASON) + "}}"
HOW = """
What the process uses, what **tcpwatch itself costs**, and what telemetry is lost.

1. **CPU** near 1 s/s is one core: for a Python with one GIL that is all there is; waits of cause `scheduler` on *Accept loop* go with it.
2. **Descriptors** that climb with *Open* connections end in `accept()` failing with EMFILE; 1024 is the usual limit (`ulimit -n`).
3. **tcpwatch per connection** is what serving threads spend in it. If it matters to you, sample less, or see docs/overhead.md.
4. **Lost** above 0: what you see elsewhere is incomplete. Metrics are never sampled; traces may be missing.
"""  # noqa: E501 - a paragraph of Markdown is one line


def usage() -> list[Any]:
    """What the process uses."""
    return [
        panels.lines(
            "CPU",
            "Seconds in each second. Near 1 in user: the GIL is full, threads wait for each other. "
            "Much system: many small connections.",
            SECONDS,
            (
                queries.per_second(metric(names.M_PROCESS_CPU_TIME), names.CPU_MODE, PROCESS),
                "{{" + label(names.CPU_MODE) + "}}",
            ),
            stacked=True,
        ),
        panels.lines(
            "Memory",
            "Resident. It grows with open connections; if it stays up when they are gone, "
            "something keeps them.",
            "bytes",
            (queries.select(metric(names.M_PROCESS_MEMORY_USAGE), PROCESS), INSTANCE),
        ),
        panels.lines(
            "Descriptors and threads",
            "Both climb with open connections on a threaded server. Near 1024 descriptors accept() "
            "fails with EMFILE at the usual limit.",
            COUNT,
            (queries.select(metric(names.M_PROCESS_FDS), PROCESS), f"descriptors {INSTANCE}"),
            (queries.select(metric(names.M_PROCESS_THREAD_COUNT), PROCESS), f"threads {INSTANCE}"),
        ),
        panels.lines(
            "Context switches",
            "involuntary that rises: more threads want CPU than there is; expect the culprit "
            "scheduler. voluntary follows the number of requests.",
            PER_SECOND,
            (
                queries.per_second(
                    metric(names.M_PROCESS_CONTEXT_SWITCHES), names.CONTEXT_SWITCH_TYPE, PROCESS
                ),
                "{{" + label(names.CONTEXT_SWITCH_TYPE) + "}}",
            ),
        ),
        panels.lines(
            "TCP connections of the process, by state",
            "close_wait that stays: the server does not close what clients have closed. Empty "
            "unless it is switched on: it reads /proc/net/tcp (docs/telemetry.md).",
            COUNT,
            (
                queries.total(
                    queries.select(metric(names.M_PROCESS_CONNECTION_COUNT), PROCESS),
                    names.NETWORK_CONNECTION_STATE,
                ),
                "{{" + label(names.NETWORK_CONNECTION_STATE) + "}}",
            ),
        ),
    ]


def cost() -> list[Any]:
    """What tcpwatch costs and loses."""
    spent = queries.per_second(metric(names.M_SELF_TIME), of=PROCESS)
    failed = f'{PROCESS}, error_type!=""'
    sdk = [
        queries.in_a_minute(name, "error_type", failed)
        for name in (series.SDK_PROCESSED, series.SDK_EXPORTED)
    ]
    collector = [
        queries.in_a_minute(name, "exporter", 'job="collector"')
        for name in (series.COLLECTOR_FAILED, series.COLLECTOR_FULL)
    ]
    refused = queries.in_a_minute(series.COLLECTOR_REFUSED, of='job="collector"')
    return [
        panels.lines(
            "tcpwatch on serving threads",
            "Seconds in each second, of all threads. Compare with CPU: the part of it that is "
            "tcpwatch's.",
            SECONDS,
            (spent, "tcpwatch"),
            (queries.per_second(metric(names.M_PROCESS_CPU_TIME), of=PROCESS), "CPU, all"),
        ),
        panels.lines(
            "tcpwatch per connection",
            "Seconds on the serving thread for each connection. It should stay flat, whatever the "
            "load; docs/overhead.md has the figure to compare with.",
            SECONDS,
            (
                f"{spent} / {queries.per_second(metric(names.M_CONNECTION_ACCEPTED), of=PROCESS)}",
                "per connection",
            ),
        ),
        panels.lines(
            "Lost in tcpwatch",
            "Records that were dropped, and errors that its fence caught, in the last minute, by "
            "reason. Dropped: traces and histograms miss some connections. Errors: please report "
            "them.",
            COUNT,
            (
                queries.in_a_minute(metric(names.M_SELF_DROPPED), names.REASON, PROCESS),
                f"dropped: {REASON}",
            ),
            (
                queries.in_a_minute(metric(names.M_SELF_ERRORS), names.REASON, PROCESS),
                f"error: {REASON}",
            ),
        ),
        panels.lines(
            "Spans lost on the way",
            "In the last minute. queue_full: the SDK's queue is too small for the load. Errors of "
            "sending: the Collector is away. Failed, full or refused at the Collector: Jaeger is "
            "slow or away.",
            COUNT,
            (sdk[0], "SDK queue: {{error_type}}"),
            (sdk[1], "SDK sending: {{error_type}}"),
            (collector[0], "Collector failed: {{exporter}}"),
            (collector[1], "Collector full: {{exporter}}"),
            (refused, "Collector refused"),
        ),
    ]


def lost() -> list[Any]:
    """What was lost in the range, the very first of it too."""
    failed = f'{PROCESS}, error_type!=""'
    return [
        panels.number(
            title,
            conclude,
            COUNT,
            queries.over_range(counter, of=of),
            warn=1,
            bad=1000,
            span=6,
        )
        for title, conclude, counter, of in (
            (
                "Records lost in tcpwatch",
                "In this range. Above none: traces and histograms miss so many; counters do not.",
                metric(names.M_SELF_DROPPED),
                PROCESS,
            ),
            (
                "Errors in tcpwatch",
                "In this range. Its fence caught them, the server did not notice: report them.",
                metric(names.M_SELF_ERRORS),
                PROCESS,
            ),
            (
                "Spans lost: SDK queue",
                "In this range. Above none: sample less, or give OTEL_BSP_MAX_QUEUE_SIZE more.",
                series.SDK_PROCESSED,
                failed,
            ),
            (
                "Spans lost: sending",
                "In this range. Above none: the Collector was away or refused them for too long.",
                series.SDK_EXPORTED,
                failed,
            ),
        )
    ]


def build() -> Any:
    """Make it."""
    return panels.page(
        "tcpwatch-process",
        "Process and tcpwatch's own cost",
        "What the process uses, what tcpwatch costs, what telemetry is lost.",
        [panels.how_to_read(HOW, 7), *lost(), *usage(), *cost()],
    )
