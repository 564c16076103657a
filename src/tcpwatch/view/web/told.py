"""Findings and single connections as the page gets them: words with the ids that they are about."""

from __future__ import annotations

from typing import Any

from flask import abort

from tcpwatch import names
from tcpwatch.view import facts, glossary
from tcpwatch.view.connections import Connection, text
from tcpwatch.view.findings import find
from tcpwatch.view.queries import loop
from tcpwatch.view.queries.chosen import Chosen
from tcpwatch.view.queries.connection import application_spans, load
from tcpwatch.view.sentences import Sentence, doing, sentences, summary, who
from tcpwatch.view.signals import Attributes
from tcpwatch.view.store import Store
from tcpwatch.view.web.code import code, places

_MOST_SENTENCES = 12
_MOST_ATTRIBUTES = 128
_LONGEST_VALUE = 2_000


def findings(store: Store, chosen: Chosen) -> dict[str, Any]:
    """Return what happened: a summary, and sentences with the connections that they are about."""
    found = find(store, chosen)
    return {
        "summary": summary(found),
        "loop": found.loop,
        "busy": found.loop_busy,
        "sentences": [_sentence(store, one) for one in sentences(found)[:_MOST_SENTENCES]],
        "left_out": max(0, len(sentences(found)) - _MOST_SENTENCES),
        "connections": found.connections,
        "waited": found.waited,
        "drops": found.drops,
        "depth": found.depth,
        "limit": found.limit,
    }


def connection(store: Store, name: str) -> dict[str, Any]:
    """Return all about one connection; 404 if it is not there, or no longer."""
    try:
        wanted = int(name, 16)
    except ValueError:
        wanted = -1
    one = load(store, [wanted]).get(wanted) if 0 <= wanted < 2**64 else None
    if one is None:
        abort(404, "This connection was not recorded, or had to leave for newer ones.")
    begin = one.span.start_ns
    others = application_spans(store, one)
    found = store.read("SELECT server FROM connections WHERE span = ?", [wanted])
    # It may have had to leave since it was loaded.
    known = places(store, found[0][0]) if found else {}
    drawn = {stretch.phase for stretch in one.stretches}
    return {
        "id": one.span.span_id,
        "trace": one.span.trace_id,
        "who": who(one),
        "peer": one.peer,
        "start": begin / 1e9,
        "seconds": one.span.duration,
        "status": one.status,
        "outcome": one.outcome,
        "meaning": glossary.OUTCOMES.get(one.outcome, ""),
        "error": text(one.span.attributes, names.ERROR_TYPE),
        "dispatch": one.dispatch,
        "server_class": text(one.span.attributes, names.SERVER_CLASS),
        "wait": one.queue_wait,
        "because": because(one),
        "blocker": _named(one.blocker) if one.blocker else None,
        "rows": rows(store, [one, one.blocker]) if one.blocker else [],
        "victims": [_named(victim) for victim in _victims(store, wanted)],
        "facts": facts.facts(one),
        "phases": one.phases,
        "short": [
            {"phase": phase, "seconds": seconds, "code": known.get(phase)}
            for phase, seconds in one.phases.items()
            if phase not in drawn
        ],
        "bars": [
            {
                "phase": stretch.phase,
                "start": stretch.start,
                "end": stretch.end,
                "code": (code(one.phase_spans[at].attributes) if one.phase_spans else None)
                or known.get(stretch.phase),
            }
            for at, stretch in enumerate(one.stretches)
        ],
        "spans": [
            {
                "id": span.span_id,
                "parent": span.parent_span_id,
                "name": span.name,
                "kind": span.kind,
                "scope": span.scope,
                "ours": span.scope == names.SCOPE,
                "start": (span.start_ns - begin) / 1e9,
                "end": (span.end_ns - begin) / 1e9,
                "status": span.status,
                "code": code(span.attributes),
                "attributes": plain(span.attributes),
                "events": [
                    {"name": event.name, "at": (event.time_ns - begin) / 1e9}
                    for event in span.events[:50]
                ],
            }
            for span in (*one.requests, *others)
        ],
        "attributes": plain(one.span.attributes),
        "resource": plain(one.span.resource),
    }


def because(one: Connection) -> str:
    """Say in half a sentence why a connection waited, "" if it did not."""
    if not one.blocked_by:
        return ""
    if one.blocker is None:
        return glossary.ACTIVITIES.get(one.blocked_by, one.blocked_by)
    return doing(one.blocker)


def plain(attributes: Attributes) -> dict[str, str]:
    """Return attributes as text, bounded in number and length."""
    return {
        name[:_LONGEST_VALUE]: _text(value)
        for name, value in sorted(attributes.items())[:_MOST_ATTRIBUTES]
    }


def _text(value: object) -> str:
    said = f"{value:.6g}" if isinstance(value, float) else str(value)
    return said if len(said) <= _LONGEST_VALUE else said[:_LONGEST_VALUE] + "…"


def _sentence(store: Store, sentence: Sentence) -> dict[str, Any]:
    blocker = sentence.blocker
    told: dict[str, Any] = {
        "text": str(sentence),
        "parts": [
            part if isinstance(part, str) else {"id": part.span.span_id, "who": who(part)}
            for part in sentence.parts
        ],
    }
    if blocker is not None:
        about = [*blocker.victims, *([blocker.holder] if blocker.holder else [])]
        told |= {
            "activity": blocker.activity,
            "count": blocker.count,
            "seconds": blocker.seconds,
            "holder": blocker.holder.span.span_id if blocker.holder else None,
            "worst": blocker.worst.span.span_id,
            "rows": rows(store, about),
        }
    return told


def rows(store: Store, connections: list[Connection]) -> list[dict[str, Any]]:
    """Return connections as rows of a small picture, times in seconds since the epoch."""
    ids = tuple(int(one.span.span_id, 16) for one in connections)
    found, _ = loop.rows(store, Chosen(spans=ids), len(ids))
    return [vars(row) for row in found]


def _named(one: Connection) -> dict[str, Any]:
    return {"id": one.span.span_id, "who": who(one), "did": doing(one), "wait": one.queue_wait}


def _victims(store: Store, holder: int) -> list[Connection]:
    found = store.read(
        """SELECT span FROM connections WHERE cause_span = ? OR (cause_span IS NULL AND
            cause_cookie = (SELECT cookie FROM connections WHERE span = ?))
        ORDER BY phase_accept_queue DESC LIMIT 20""",
        [holder, holder],
    )
    known = load(store, [span for (span,) in found])
    return [known[span] for (span,) in found if span in known]
