"""Connections whole again: their spans as they were sent, with what belongs to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from tcpwatch.view import decode
from tcpwatch.view.connections import Connection
from tcpwatch.view.signals import Attributes, Span
from tcpwatch.view.store import Store

MOST_SPANS = 500
"""Spans of one trace that are shown; an hour of keep-alive has more."""


def load(store: Store, ids: Collection[int]) -> dict[int, Connection]:
    """Return connections by the number of their span, each with phases, requests and blocker."""
    causes: dict[int, int | None] = dict(
        store.read(
            """SELECT c.span, coalesce(c.cause_span, (
                SELECT max(b.span) FROM connections b WHERE b.cookie = c.cause_cookie
            )) FROM connections c WHERE c.span IN (SELECT unnest(?::UBIGINT[]))""",
            [list(ids)],
        )
    )
    blockers = {cause for cause in causes.values() if cause} - causes.keys()
    plain = _plain(store, {*causes, *blockers})
    return {
        span: Connection(
            plain[span].span,
            plain[span].requests,
            plain[span].phase_spans,
            plain.get(cause) if cause else None,
        )
        for span, cause in causes.items()
        if span in plain
    }


def application_spans(store: Store, connection: Connection) -> list[Span]:
    """Return the spans of the connection's and its requests' traces that are none of its own."""
    own = {one.span_id for one in (connection.span, *connection.requests, *connection.phase_spans)}
    traces = {connection.span.trace_id, *(request.trace_id for request in connection.requests)}
    found = _spans(
        store,
        f"s.trace IN (SELECT unnest(?::VARCHAR[])) ORDER BY s.seq LIMIT {MOST_SPANS + len(own)}",
        [list(traces)],
    )
    below = {one.span_id for one in (connection.span, *connection.requests)}
    kept: list[Span] = []
    # A remote trace also holds spans of others: only what descends from our own belongs here.
    for span in sorted(found.values(), key=lambda span: span.start_ns):
        if span.span_id not in own and span.parent_span_id in below:
            below.add(span.span_id)
            kept.append(span)
    return kept[:MOST_SPANS]


def _plain(store: Store, ids: Collection[int]) -> dict[int, Connection]:
    wanted = list(ids)
    parts: dict[int, list[int]] = {}
    owners: dict[str, dict[int, list[int]]] = {}
    for table in ("asked", "phases"):
        number = "r.span" if table == "asked" else "s.span"
        joined = "" if table == "asked" else "JOIN spans s ON s.seq = r.seq"
        of: dict[int, list[int]] = defaultdict(list)
        for owner, span in store.read(
            f"""SELECT r.owner, {number} FROM {table} r {joined}
            WHERE r.owner IN (SELECT unnest(?::UBIGINT[]))
            ORDER BY r.start_ns LIMIT {MOST_SPANS * 4}""",
            [wanted],
        ):
            of[owner].append(span)
        owners[table] = of
    for of in owners.values():
        for owner, numbers in of.items():
            parts.setdefault(owner, []).extend(numbers)
    everything = {*wanted, *(number for numbers in parts.values() for number in numbers)}
    spans = _spans(store, "s.span IN (SELECT unnest(?::UBIGINT[]))", [list(everything)])

    def of_owner(table: str, owner: int) -> tuple[Span, ...]:
        return tuple(spans[number] for number in owners[table].get(owner, ()) if number in spans)

    return {
        number: Connection(spans[number], of_owner("asked", number), of_owner("phases", number))
        for number in wanted
        if number in spans
    }


def _spans(store: Store, condition: str, values: list[object]) -> dict[int, Span]:
    resources: dict[bytes, Attributes] = {}
    found: dict[int, Span] = {}
    for number, body, scope, resource in store.read(
        f"""SELECT s.span, s.body, o.scope_name, o.resource
        FROM spans s JOIN origins o ON o.id = s.origin WHERE {condition}""",
        values,
    ):
        if resource not in resources:
            resources[resource] = decode.attributes(Resource.FromString(resource).attributes)
        found[number] = decode.one_span(trace_pb2.Span.FromString(body), scope, resources[resource])
    return found
