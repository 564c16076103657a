"""The report as one HTML file: sentences first, then the picture and the tables."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import jinja2
from markupsafe import Markup

from tcpwatch.view import glossary
from tcpwatch.view.findings import NOTICEABLE, Findings, find
from tcpwatch.view.queries import overview
from tcpwatch.view.queries.chosen import Chosen
from tcpwatch.view.queries.servers import Seen, servers
from tcpwatch.view.report.picture import picture
from tcpwatch.view.sentences import Sentence, count, doing, duration, sentences, summary, who
from tcpwatch.view.store import Store

_MOST_SENTENCES = 8
_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("tcpwatch.view.report"),
    autoescape=True,
    trim_blocks=True,
    undefined=jinja2.StrictUndefined,
)
_TEMPLATES.filters["duration"] = duration


@dataclass(frozen=True)
class Chapter:
    """One server of the report."""

    seen: Seen
    findings: Findings
    summary: str
    sentences: list[Sentence]
    picture: Markup
    routes: list[overview.Route]
    troubles: list[overview.Trouble]


def html(store: Store, title: str) -> str:
    """Return the report on everything in the store as an HTML document without any reference."""
    return _TEMPLATES.get_template("report.html").render(
        title=title,
        made=time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        chapters=[_chapter(store, seen) for seen in servers(store, NOTICEABLE)],
        glossary=glossary,
        who=who,
        doing=doing,
        count=count,
        evicted=store.evicted,
    )


def svg(store: Store, server: int, begin: float, end: float) -> str:
    """Return the loop's picture from `begin` to `end`, seconds since the epoch."""
    shapes: dict[str, Any] = picture(store, server, begin, end)
    return _TEMPLATES.get_template("loop.svg").render(p=shapes)


def _chapter(store: Store, seen: Seen) -> Chapter:
    chosen = Chosen(server=seen.server.id)
    found = find(store, chosen)
    margin = max((seen.last - seen.first) * 0.01, 0.001)
    return Chapter(
        seen=seen,
        findings=found,
        summary=summary(found),
        sentences=sentences(found)[:_MOST_SENTENCES],
        picture=Markup(svg(store, seen.server.id, seen.first - margin, seen.last + margin)),  # noqa: S704  # our own template, escaped
        routes=overview.routes(store, chosen),
        troubles=overview.troubles(store, chosen),
    )
