"""*Connections*: where they are, for how long, and how they ended."""

from __future__ import annotations

from typing import Any

from dashboards import panels, queries
from dashboards.panels import COUNT, PER_SECOND, SECONDS, SHARE, Search
from dashboards.series import label, metric
from tcpwatch import names

ACTIVE = queries.select(metric(names.M_CONNECTION_ACTIVE))
OLDEST = queries.select(metric(names.M_CONNECTION_OLDEST))
ENDED = metric(names.M_CONNECTION_DURATION) + "_count"
PHASE = "{{" + label(names.PHASE_NAME) + "}}"
OUTCOME = "{{" + label(names.CONNECTION_OUTCOME) + "}}"
PHASE_LABEL = label(names.PHASE_NAME)
HOW = f"""
A connection goes through phases: `accept_queue`, `tls_handshake`, `dispatch`, then for each request `idle`, `read_head`, `app`, `respond`, `drain`, at last `close`. They follow one another without a gap, so the widest band is where time goes.

1. **Open, by phase** grows in `idle`: clients that connect and say nothing (preconnects, keep-alive). In `read_head`: slow or hostile heads. In `app`: slow views or slow uploads. In `respond`: slow readers.
2. **Oldest** climbs in a straight line: one never comes back. Give the request handler a `timeout`.
3. **Outcomes** other than `completed` and `no_request`: who gave up, and on whom.
4. **Round-trip time** and **Retransmits** are the network between you and the clients; no code of yours makes them smaller. A dot leads to one connection: a long `respond` with `{names.TCP_RETRANSMITS}` was the network; one that is nearly all `{names.TCP_RWND_LIMITED}` was a client that reads slowly.
"""  # noqa: E501 - a paragraph of Markdown is one line
MEANS = {
    names.TLS_HANDSHAKE: "High bands: clients that shake hands slowly. In werkzeug they hold the "
    "accept loop, whoever else waits.",
    names.DISPATCH: "Threads start and children fork in milliseconds; more means that the machine "
    "is out of CPU, or the limit of children is reached.",
    names.IDLE: "Waiting for the client's first byte, or the next request. Long is harmless with "
    "threads, and blocks all others without.",
    names.READ_HEAD: "A head comes in one packet, in well under a millisecond. A band at seconds "
    "is a slow link or an attack by slow heads.",
    names.APP: "The view, and reading the body. Compare with *Requests*: the same time, by route.",
    names.RESPOND: "Sending. A high band is a client that reads slowly, or a body that the "
    "application makes slowly.",
    names.DRAIN: "werkzeug waits up to 10 ms after a response. It delays no answer, and limits a "
    "server of one thread to about 95 connections a second.",
    names.CLOSE: "Closing takes microseconds. More: close is waiting for data that nobody takes.",
    names.HANDLE: "Handlers that speak no HTTP, from first to last line. Empty for web servers.",
}
"""What to conclude of each phase's heat map. The accept queue's is on *Accept loop*."""


def network() -> list[Any]:
    """Round trips and retransmits."""
    again = metric(names.M_CONNECTION_RETRANSMITS)
    ended = queries.per_second(f"{again}_count")
    spared = queries.per_second(f"{again}_bucket", le="0")
    round_trips = [
        (queries.quantile(share, names.M_CONNECTION_RTT), said)
        for share, said in ((0.5, "half"), (0.95, "1 in 20"), (0.99, "1 in 100"))
    ]
    return [
        panels.lines(
            "Round-trip time",
            "Smoothed by the kernel, at each connection's close. It rises for all: the network. "
            "Only 1 in 100 is high: clients that are far away. Each new connection costs its "
            "client one of these before the server hears of it.",
            SECONDS,
            *round_trips,
            traced=True,
            span=8,
        ),
        panels.lines(
            "Retransmits",
            "Segments sent again in each second, and how many of the connections that ended had "
            "any. Many on few connections: those clients' lines. Some on most: your side loses.",
            PER_SECOND,
            (queries.per_second(f"{again}_sum"), "segments"),
            (f"{ended} - {spared}", "connections"),
            span=8,
        ),
        panels.heat(
            "Retransmits of a connection",
            "All in the lowest band: nothing is lost. A dot above it is one connection that had "
            "to send again: click for its trace, its bar respond says how long that took.",
            queries.buckets(names.M_CONNECTION_RETRANSMITS),
            span=8,
            unit=COUNT,
        ),
    ]


def heats() -> list[Any]:
    """A heat map for each phase."""
    return [
        panels.heat(
            f"Phase {phase}",
            conclude,
            queries.buckets(names.M_PHASE_DURATION, **{PHASE_LABEL: phase}),
            span=8,
        )
        for phase, conclude in MEANS.items()
    ]


def build() -> Any:
    """Make it."""
    good = f'{label(names.CONNECTION_OUTCOME)}=~"{names.COMPLETED}|{names.NO_REQUEST}"'
    well = f"sum(rate({queries.select(ENDED, f'{queries.LISTENER}, {good}')}[{queries.RATE}]))"
    durations = [
        (queries.quantile(share, names.M_CONNECTION_DURATION), said)
        for share, said in ((0.5, "half"), (0.95, "1 in 20"), (0.99, "1 in 100"))
    ]
    return panels.page(
        "tcpwatch-connections",
        "Connections",
        "Which phase are connections in, for how long, and how did they end?",
        [
            panels.how_to_read(HOW, 9),
            panels.number(
                "Open",
                "Connections that the server holds now. Each costs a descriptor, with threads "
                "also a thread; it must not grow without end.",
                COUNT,
                queries.total(ACTIVE),
                warn=None,
                bad=None,
            ),
            panels.number(
                "Oldest",
                "Age of the oldest open connection. Older than your slowest request by far: it "
                "hangs; *Oldest, by phase* says in what.",
                SECONDS,
                queries.largest(OLDEST),
                warn=60,
                bad=300,
            ),
            panels.number(
                "Accepted",
                "Connections in each second. Much more than requests: clients connect and say "
                "nothing. Much less: keep-alive works.",
                PER_SECOND,
                queries.per_second(metric(names.M_CONNECTION_ACCEPTED)),
                warn=None,
                bad=None,
            ),
            panels.number(
                "Ended badly",
                "Share of connections that did not end as completed or no_request. *Outcomes* "
                "says how instead.",
                SHARE,
                f"1 - ({well} or vector(0)) / {queries.per_second(ENDED)}",
                warn=0.01,
                bad=0.05,
            ),
            panels.number(
                "Handlers busy",
                "Handlers that run now. Without threads it is at most 1: a queue forms behind it. "
                "With threads each is a thread.",
                COUNT,
                queries.total(queries.select(metric(names.M_HANDLER_ACTIVE))),
                warn=None,
                bad=None,
            ),
            panels.number(
                "Kept traces",
                "Traces in this range that the sampler did not want and that were kept because "
                "they were slow, failed or blocking. None at a sampling of 100 %.",
                COUNT,
                queries.over_range(metric(names.M_CONNECTION_KEPT)),
                warn=None,
                bad=None,
            ),
            panels.lines(
                "Open, by phase",
                "Where connections are now. The band that grows is what holds them: idle - silent "
                "clients, read_head - slow heads, app - views or uploads, respond - slow readers.",
                COUNT,
                (queries.total(ACTIVE, names.PHASE_NAME), PHASE),
                stacked=True,
            ),
            panels.lines(
                "Oldest, by phase",
                "A straight line upwards is one connection that stays in its phase. It needs a "
                "timeout of the request handler.",
                SECONDS,
                (queries.total(OLDEST, names.PHASE_NAME, "max"), PHASE),
            ),
            panels.lines(
                "Outcomes",
                "How connections ended, in each second. client_disconnected: they gave up, look "
                "at the waits at the same time. tls_failed, bad_request: scanners or a wrong "
                "scheme. handler_error: your bug.",
                PER_SECOND,
                (queries.per_second(ENDED, names.CONNECTION_OUTCOME), OUTCOME),
                stacked=True,
            ),
            panels.bars(
                "Outcomes, in this range",
                "Connections by how they ended. no_request in the majority: preconnects or probes.",
                COUNT,
                queries.over_range(ENDED, names.CONNECTION_OUTCOME),
                OUTCOME,
            ),
            panels.lines(
                "Where the time goes",
                "Seconds of connections' lives in each second, by phase: the mean number of "
                "connections in it, of those that have ended. The widest band is the lever.",
                SECONDS,
                (
                    queries.per_second(metric(names.M_PHASE_DURATION) + "_sum", names.PHASE_NAME),
                    PHASE,
                ),
                stacked=True,
            ),
            panels.lines(
                "Duration of connections",
                "From the handshake in the kernel to close. Long ones with short requests: "
                "keep-alive, or clients that stay silent. Click a dot for the trace.",
                SECONDS,
                *durations,
                traced=True,
            ),
            panels.lines(
                "Handlers, by kind",
                "inline never exceeds 1 and blocks the loop; thread that climbs with Open in idle "
                "is threads that wait for silent clients.",
                COUNT,
                (
                    queries.total(
                        queries.select(metric(names.M_HANDLER_ACTIVE)), names.DISPATCH_KIND
                    ),
                    "{{" + label(names.DISPATCH_KIND) + "}}",
                ),
            ),
            panels.lines(
                "Kept though not sampled",
                "By reason. At the limit of 50 a second the kept ones are only a part.",
                PER_SECOND,
                (
                    queries.per_second(metric(names.M_CONNECTION_KEPT), names.KEPT_REASON),
                    "{{" + label(names.KEPT_REASON) + "}}",
                ),
            ),
            *network(),
            *heats(),
            panels.traces(
                "Connections of a second and longer",
                "The longest bar is where the time went. A long respond: the retransmits, and how "
                "long the client's window was closed, are attributes of tcp.connection.",
                Search(operation=names.SPAN_TCP, longer="1s"),
            ),
        ],
    )
