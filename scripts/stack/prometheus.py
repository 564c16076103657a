"""What Prometheus has stored, by its query API."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

Sample = tuple[dict[str, str], float]
"""Labels and value."""


def query(base: str, expression: str, at: float | None = None) -> list[Sample]:
    """Return the samples of an instant query, now or at a moment of the wall clock."""
    when = {} if at is None else {"time": at}
    found = _get(base, "query", query=expression, **when)["result"]
    return [(sample["metric"], float(sample["value"][1])) for sample in found]


def exemplars(base: str, expression: str, seconds: float = 600.0) -> list[dict[str, Any]]:
    """Return the exemplars of the last so many seconds, of all series."""
    now = time.time()
    found = _get(base, "query_exemplars", query=expression, start=now - seconds, end=now)
    return [exemplar for series in found for exemplar in series["exemplars"]]


def wait(
    base: str, expression: str, wanted: Callable[[list[Sample]], bool], patience: float = 30.0
) -> list[Sample]:
    """Ask until the answer is as wanted, or the patience (seconds) is over; return the last."""
    deadline = time.monotonic() + patience
    while True:
        found = query(base, expression)
        if wanted(found) or time.monotonic() > deadline:
            return found
        time.sleep(0.2)  # nobody tells when a sample is stored


def _get(base: str, what: str, **parameters: Any) -> Any:
    url = f"{base}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own address
        return json.load(answer)["data"]
