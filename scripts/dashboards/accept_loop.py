"""*Accept loop*: is it the bottleneck, who blocks it, how long is the line."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard as dashboards

from dashboards import panels, queries
from dashboards.panels import COUNT, PER_SECOND, SECONDS, SHARE, Search
from dashboards.series import label, metric
from tcpwatch import names

LOOP_TIME = metric(names.M_LOOP_TIME)
BLOCKED = metric(names.M_LOOP_BLOCKED_TIME)
DEPTH = queries.select(metric(names.M_QUEUE_DEPTH))
LIMIT = queries.select(metric(names.M_QUEUE_LIMIT))
STATE = "{{" + label(names.LOOP_STATE) + "}}"
CULPRIT = "{{" + label(names.BLOCKED_BY_ACTIVITY) + "}}"
INSTANCE = "{{service_instance_id}} :{{" + label(names.SERVER_PORT) + "}}"
HOW = """
The accept loop takes connections from the kernel's queue one at a time. **While it does anything else, everybody waits**, and no span of the application shows it.

1. **Wait, 1 in 100** is small: the loop is not your bottleneck; go to *Requests*.
2. It is not: **Who was waited for** names the culprit. `inline` - the loop served a request itself: use threads. `tls_handshake` - a client that connects and does not shake hands: end TLS before the server. `convoy` - many short ones: too much for one loop. `scheduler` - the loop slept and got no CPU or GIL. `fork_limit` - all children busy. `accept_error` - see *accept() failed*.
3. Click a **dot** in the wait panels: one connection that waited so long. In its trace the bar `accept_queue` is the wait, and the link leads to the connection that held the loop. The highest dots may be of a `convoy`, who waited behind several and has no link: take another dot, or one of the list at the bottom. The blocker's request is in that trace too, or, if the caller sent a `traceparent`, in the caller's: search for the tag `tcpwatch.connection.id`.
4. **Drops** above 0: the queue was full and the kernel let clients try again after a second or more. That wait is in no histogram here.
"""  # noqa: E501 - a paragraph of Markdown is one line


def culprit() -> Any:
    """The choice of whose victims the list of traces shows."""
    return dashboards.CustomVariable("culprit").label("Culprit").values(",".join(names.CULPRITS))


def build() -> Any:
    """Make it."""
    busy = f"sum(rate({queries.select(LOOP_TIME)}[{queries.RATE}]))"
    idle = queries.per_second(LOOP_TIME, **{label(names.LOOP_STATE): names.LOOP_IDLE})
    waits = [
        (queries.quantile(share, names.M_QUEUE_WAIT), said)
        for share, said in ((0.5, "half"), (0.95, "1 in 20"), (0.99, "1 in 100"))
    ]
    away = queries.select(metric(names.M_LOOP_BUSY))
    return panels.page(
        "tcpwatch-accept-loop",
        "Accept loop",
        "Is the accept loop the bottleneck, who blocks it, and how long is the line before it?",
        [
            panels.how_to_read(HOW, 10),
            panels.number(
                "Loop busy",
                "Share of time in which the loop was not waiting for a connection. Above 0.9 the "
                "loop is the bottleneck: one more client only makes the line longer.",
                SHARE,
                f"1 - {idle} / {busy}",
                warn=0.7,
                bad=0.9,
            ),
            panels.number(
                "Away now",
                "How long the loop has now been away from select. More than a second: it is stuck "
                "at this moment; the server's log has its stack (a WARNING of tcpwatch).",
                SECONDS,
                queries.largest(away),
                warn=0.5,
                bad=1,
            ),
            panels.number(
                "Queue filled",
                "The fullest queue by its limit. At 1 the kernel drops what comes next.",
                SHARE,
                f"max({DEPTH} / {LIMIT})",
                warn=0.5,
                bad=0.8,
            ),
            panels.number(
                "Wait, 1 in 100",
                "One connection in a hundred waited so long for accept(), or longer. It is time "
                "that clients notice and that no span of the application explains.",
                SECONDS,
                waits[2][0],
                warn=0.05,
                bad=0.5,
            ),
            panels.number(
                "Dropped",
                "SYN packets dropped by the full queue in this range. More than none: clients "
                "waited a second or more and try again, unseen by the server.",
                COUNT,
                queries.over_range(metric(names.M_QUEUE_DROPS)),
                warn=1,
                bad=10,
            ),
            panels.number(
                "accept() failed",
                "Errors that socketserver swallows, in this range. EMFILE: no descriptors left.",
                COUNT,
                queries.over_range(metric(names.M_ACCEPT_ERRORS)),
                warn=1,
                bad=10,
            ),
            panels.lines(
                "What the loop does",
                "Seconds of each second, by state, for each process one second. What is not idle "
                "is time in which nobody is accepted. The widest band is what to get rid of.",
                SECONDS,
                (queries.per_second(LOOP_TIME, names.LOOP_STATE), STATE),
                stacked=True,
            ),
            panels.lines(
                "Waiting, by culprit",
                "Seconds that connections waited in each second, all together, by what held the "
                "loop meanwhile. 5 means: five clients stood in the line because of that.",
                SECONDS,
                (queries.per_second(BLOCKED, names.BLOCKED_BY_ACTIVITY), CULPRIT),
                stacked=True,
            ),
            panels.bars(
                "Who was waited for, in this range",
                "Seconds of waiting by culprit. The longest bar is your blocker; choose it above "
                "as Culprit and the list of traces below shows its victims.",
                SECONDS,
                queries.over_range(BLOCKED, names.BLOCKED_BY_ACTIVITY),
                CULPRIT,
            ),
            panels.lines(
                "Away from select",
                "A curve that climbs in a straight line is a loop that is stuck with one thing.",
                SECONDS,
                (away, INSTANCE),
            ),
            panels.lines(
                "Wait for accept()",
                "If half waits, the server is overloaded; if only 1 in 100 does, something blocks "
                "it now and then. Click a dot for the trace of one who waited.",
                SECONDS,
                *waits,
                traced=True,
            ),
            panels.heat(
                "Wait for accept(), all of it",
                "A band that moves up is a line that grows. Two bands: most do not wait, some "
                "stand behind a blocker. A dot is one connection: click for its trace.",
                queries.buckets(names.M_QUEUE_WAIT),
            ),
            panels.lines(
                "Queue against its limit",
                "Depth when metrics were read, and what 1 in 100 accepts left behind (bursts "
                "between two readings). Where they touch the limit, clients are dropped: find the "
                "blocker first, a larger backlog only makes the line longer.",
                COUNT,
                (queries.largest(DEPTH), "now"),
                (queries.quantile(0.99, names.M_QUEUE_LENGTH), "1 in 100 accepts"),
                (f"min({LIMIT})", "limit"),
            ),
            panels.lines(
                "Accepted and dropped",
                "Connections taken, SYN packets dropped (retries count again), failed accepts by "
                "error (mean of a minute), in each second. Drops with few accepts: the loop is "
                "blocked. Drops with many: the burst is larger than the backlog.",
                PER_SECOND,
                (queries.per_second(metric(names.M_CONNECTION_ACCEPTED)), "accepted"),
                (queries.per_second(metric(names.M_QUEUE_DROPS)), "dropped"),
                (
                    f"{queries.in_a_minute(metric(names.M_ACCEPT_ERRORS), names.ERROR_TYPE)} / 60",
                    "failed: {{" + label(names.ERROR_TYPE) + "}}",
                ),
            ),
            panels.traces(
                "Connections that waited because of $culprit",
                "Open one: its bar accept_queue is the wait, its link leads to who held the loop "
                "(a convoy has none). No row: choose another Culprit, or nobody waited longer "
                "than 50 ms.",
                Search(tags=f"{names.BLOCKED_BY_ACTIVITY}=$culprit"),
            ),
        ],
        [culprit()],
    )
