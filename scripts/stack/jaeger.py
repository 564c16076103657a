"""What Jaeger has stored, by its query API (/api/v3, OTLP in JSON)."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

MOST = 10_000
"""Traces in one answer."""


@dataclass(frozen=True)
class Span:
    """A span as Jaeger gives it back."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent: str
    start: float
    end: float
    attributes: dict[str, Any]
    links: frozenset[tuple[str, str]]
    """(trace id, span id) of each."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


def traces(base: str, service: str) -> list[Span]:
    """Return the spans of all traces of the last hour that touch a service."""
    now = datetime.now(timezone.utc)
    query = {
        "query.service_name": service,
        "query.start_time_min": (now - timedelta(hours=1)).isoformat(),
        "query.start_time_max": (now + timedelta(minutes=1)).isoformat(),
        "query.num_traces": MOST,
    }
    return _get(f"{base}/api/v3/traces?{urllib.parse.urlencode(query)}")


def trace(base: str, trace_id: str) -> list[Span]:
    """Return the spans of one trace."""
    return _get(f"{base}/api/v3/traces/{trace_id}")


def wait(
    base: str, service: str, wanted: Callable[[list[Span]], bool], patience: float = 30.0
) -> list[Span]:
    """Ask until the spans are as wanted, or the patience (seconds) is over; return the last."""
    deadline = time.monotonic() + patience
    while True:
        found = traces(base, service)
        if wanted(found) or time.monotonic() > deadline:
            return found
        time.sleep(0.2)  # nobody tells when a span is stored


def _get(url: str) -> list[Span]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own address
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return []
        raise RuntimeError(f"{url}: {error} {error.read().decode()}") from error
    # A stream: one JSON object after another.
    decoder, at, spans = json.JSONDecoder(), 0, []
    text = text.strip()
    while at < len(text):
        found, at = decoder.raw_decode(text, at)
        spans += _spans(found["result"])
        while at < len(text) and text[at].isspace():
            at += 1
    return spans


def _spans(found: dict[str, Any]) -> list[Span]:
    return [
        Span(
            _attributes(of["resource"])["service.name"],
            span["name"],
            span.get("kind", 0),
            span["traceId"],
            span["spanId"],
            span.get("parentSpanId", ""),
            int(span["startTimeUnixNano"]) / 1e9,
            int(span["endTimeUnixNano"]) / 1e9,
            _attributes(span),
            frozenset((link["traceId"], link["spanId"]) for link in span.get("links", [])),
        )
        for of in found["resourceSpans"]
        for scope in of["scopeSpans"]
        for span in scope["spans"]
    ]


def _attributes(of: dict[str, Any]) -> dict[str, Any]:
    return {pair["key"]: _value(pair["value"]) for pair in of.get("attributes", [])}


def _value(value: dict[str, Any]) -> Any:
    [(kind, found)] = value.items()
    return int(found) if kind == "intValue" else found
