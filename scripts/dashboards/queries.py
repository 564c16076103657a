"""PromQL for panels: who is chosen above the panels, rates, quantiles, what a range came to."""

from __future__ import annotations

from dashboards.series import label, metric
from tcpwatch import names

RATE = "$__rate_interval"
RANGE = "$__range"
PROCESS = 'service_name="$service", service_instance_id=~"$instance"'
"""Selects the chosen processes."""
LISTENER = f'{PROCESS}, {label(names.SERVER_PORT)}=~"$listener"'
"""Selects the chosen listeners."""


def select(series: str, of: str = LISTENER, **where: str) -> str:
    """Select a series; `where` is label="value"."""
    said = [of, *(f'{key}="{value}"' for key, value in where.items())]
    return f"{series}{{{', '.join(said)}}}"


def total(of: str, by: str = "", how: str = "sum") -> str:
    """Aggregate, by one attribute of the contract if any."""
    return f"{how} by ({label(by)}) ({of})" if by else f"{how}({of})"


def largest(of: str) -> str:
    """Return the largest of all that are chosen."""
    return total(of, how="max")


def per_second(series: str, by: str = "", of: str = LISTENER, **where: str) -> str:
    """How much a counter grows in a second."""
    return total(f"rate({select(series, of, **where)}[{RATE}])", by)


def in_a_minute(series: str, by: str = "", of: str = LISTENER) -> str:
    """How much a counter grew in a minute, its first value too, which `rate` does not see.

    For what should not happen, and whose series is not there before it does. The recording rules
    of the alerts count the same way.
    """
    now = select(series, of)
    return total(f"increase({now}[1m]) > 0 or ({now} unless {now} offset 1m)", by)


def over_range(series: str, by: str = "", of: str = LISTENER) -> str:
    """How much a counter grew in the shown range.

    A series that was not there at the range's start began at 0: `increase` would miss the first
    value, which for the first blocked connection is all there is.
    """
    now = select(series, of)
    return total(f"clamp_min({now} - ({now} offset {RANGE} or {now} * 0), 0)", by)


def quantile(share: float, name: str, by: str = "", of: str = LISTENER, **where: str) -> str:
    """Compute a quantile of a histogram of the contract."""
    grouped = f"le, {label(by)}" if by else "le"
    buckets = select(metric(name) + "_bucket", of, **where)
    return f"histogram_quantile({share}, sum by ({grouped}) (rate({buckets}[{RATE}])))"


def buckets(name: str, of: str = LISTENER, **where: str) -> str:
    """Return how many values fall into each bucket of a histogram, for a heat map."""
    chosen = select(metric(name) + "_bucket", of, **where)
    return f"sum by (le) (increase({chosen}[{RATE}]))"


def mean(name: str, of: str = LISTENER, **where: str) -> str:
    """Compute the mean of a histogram of the contract."""
    summed = per_second(metric(name) + "_sum", of=of, **where)
    return f"{summed} / {per_second(metric(name) + '_count', of=of, **where)}"
