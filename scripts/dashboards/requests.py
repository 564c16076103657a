"""*Requests*: rate, errors and duration by route, beside the wait before the application."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard as dashboards

from dashboards import panels, queries
from dashboards.panels import COUNT, PER_SECOND, SECONDS, SHARE, Search
from dashboards.series import label, metric
from tcpwatch import names

# Request metrics have the convention's attributes and no listener.
PROCESS = queries.PROCESS
COUNTED = metric(names.M_REQUEST_DURATION) + "_count"
STATUS = label(names.HTTP_RESPONSE_STATUS_CODE)
ROUTE = "{{" + label(names.HTTP_REQUEST_METHOD) + "}} {{" + label(names.HTTP_ROUTE) + "}}"
BY_ROUTE = f"{label(names.HTTP_REQUEST_METHOD)}, {label(names.HTTP_ROUTE)}"
FAILED = f'{PROCESS}, {STATUS}=~"5.."'
HOW = """
Rate, errors and duration by route, as usual - and beside them **what happened before the application**, which request spans do not show.

1. **Before and in the application**: if the lowest bands (`accept queue`, `TLS handshake`, `dispatch`) are as wide as `request`, making views faster does not help; go to *Accept loop*.
2. The bands add up to what a client of one request measures, but for the network and for drops.
3. If `request` is wide: **Duration by route** names it; click a dot for its trace. `tcpwatch.request.body_wait` there says how much was waiting for the client's body.
"""  # noqa: E501 - a paragraph of Markdown is one line


def phase_mean(phase: str) -> str:
    """Compute the mean of a phase for each connection."""
    return queries.mean(names.M_PHASE_DURATION, **{label(names.PHASE_NAME): phase})


def build() -> Any:
    """Make it."""
    failures = f"sum(rate({queries.select(COUNTED, FAILED)}[{queries.RATE}]))"
    by_route = f"sum by ({BY_ROUTE}) (rate({queries.select(COUNTED, PROCESS)}[{queries.RATE}]))"
    failed = f"sum by ({BY_ROUTE}) (rate({queries.select(COUNTED, FAILED)}[{queries.RATE}]))"
    buckets = queries.select(metric(names.M_REQUEST_DURATION) + "_bucket", PROCESS)
    slow = f"histogram_quantile(0.95, sum by (le, {BY_ROUTE}) (rate({buckets}[{queries.RATE}])))"
    of_all = queries.per_second(COUNTED, of=PROCESS)
    return panels.page(
        "tcpwatch-requests",
        "Requests",
        "Rate, errors and duration by route, beside the time before the application.",
        [
            panels.how_to_read(HOW, 7),
            panels.number(
                "Requests",
                "Answered in each second. If it stays flat while clients become more, something "
                "is full: look at *Accept loop*.",
                PER_SECOND,
                of_all,
                warn=None,
                bad=None,
            ),
            panels.number(
                "Failed",
                "Share of requests answered with 5xx. Above none: *Errors by route*, then the "
                "traces at the bottom.",
                SHARE,
                f"({failures} or vector(0)) / {of_all}",
                warn=0.001,
                bad=0.01,
            ),
            panels.number(
                "Duration, 1 in 20",
                "One request in twenty took so long from its first byte to the response's last.",
                SECONDS,
                queries.quantile(0.95, names.M_REQUEST_DURATION, of=PROCESS),
                warn=1,
                bad=5,
            ),
            panels.number(
                "Queue wait, 1 in 20",
                "One connection in twenty waited so long before the application knew of it. More "
                "than the duration beside it: the wait is your latency.",
                SECONDS,
                queries.quantile(0.95, names.M_QUEUE_WAIT),
                warn=0.05,
                bad=0.5,
            ),
            panels.number(
                "In flight",
                "Requests being answered now. Without threads at most 1.",
                COUNT,
                queries.total(queries.select(metric(names.M_ACTIVE_REQUESTS), PROCESS)),
                warn=None,
                bad=None,
            ),
            panels.number(
                "Requests per connection",
                "1 with werkzeug, which closes after each response. Above: keep-alive. Below: "
                "clients connect and ask nothing.",
                COUNT,
                f"{of_all} / {queries.per_second(metric(names.M_CONNECTION_ACCEPTED))}",
                warn=None,
                bad=None,
            ),
            panels.lines(
                "Before and in the application (means)",
                "The lower three bands pass before the request's span begins. If they are wide, "
                "the latency is not the views'.",
                SECONDS,
                (queries.mean(names.M_QUEUE_WAIT), "accept queue"),
                (phase_mean(names.TLS_HANDSHAKE), "TLS handshake"),
                (phase_mean(names.DISPATCH), "dispatch"),
                (queries.mean(names.M_REQUEST_DURATION, of=PROCESS), "request"),
                stacked=True,
            ),
            panels.lines(
                "Queue wait beside duration (1 in 20)",
                "Where the wait lies above the duration, connections stand in line longer than "
                "they are served. Dots are traces.",
                SECONDS,
                (queries.quantile(0.95, names.M_QUEUE_WAIT), "wait for accept()"),
                (queries.quantile(0.95, names.M_REQUEST_DURATION, of=PROCESS), "request"),
                traced=True,
            ),
            panels.lines(
                "Rate by route",
                "A route that stops while others go on is broken or no longer reached.",
                PER_SECOND,
                (by_route, ROUTE),
                stacked=True,
            ),
            panels.lines(
                "Errors by route",
                "Share of 5xx. One route: its bug. All at once: something that they share.",
                SHARE,
                (f"{failed} / {by_route}", ROUTE),
            ),
            panels.lines(
                "Duration by route (1 in 20)",
                "The route at the top is the one that blocks others on a server of one thread. "
                "Click a dot for a trace.",
                SECONDS,
                (slow, ROUTE),
                traced=True,
            ),
            panels.lines(
                "Responses by status",
                "4xx that rise: wrong clients, or a scanner. No status: the client left or the "
                "server could not parse the request.",
                PER_SECOND,
                (
                    queries.per_second(COUNTED, names.HTTP_RESPONSE_STATUS_CODE, PROCESS),
                    "{{" + STATUS + "}}",
                ),
                stacked=True,
            ),
            panels.heat(
                "Duration of requests",
                "Two bands are two kinds of request. A band that rises with load: something is "
                "shared.",
                queries.buckets(names.M_REQUEST_DURATION, of=PROCESS),
            ),
            panels.lines(
                "In flight, by method",
                "A staircase upwards: requests begin and do not end.",
                COUNT,
                (
                    queries.total(
                        queries.select(metric(names.M_ACTIVE_REQUESTS), PROCESS),
                        names.HTTP_REQUEST_METHOD,
                    ),
                    "{{" + label(names.HTTP_REQUEST_METHOD) + "}}",
                ),
            ),
            panels.traces(
                "Requests answered with $status",
                "Open one: its request span has the route and, after an exception, error.type; the "
                "connection's has the outcome. None: choose another Status above.",
                # Not error=true: Jaeger's storage in memory does not find it.
                Search(tags=f"{names.HTTP_RESPONSE_STATUS_CODE}=$status"),
            ),
        ],
        [dashboards.CustomVariable("status").label("Status").values("500,502,503,504,400,404")],
    )
