"""What happened, on paper: text for a terminal or a pipe, or one HTML file."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from tcpwatch.cli import story
from tcpwatch.view.findings import NOTICEABLE, find
from tcpwatch.view.queries.chosen import Chosen
from tcpwatch.view.queries.servers import servers
from tcpwatch.view.report.paper import html
from tcpwatch.view.report.source import opened


def run(console: Console, source: str, out: Path | None) -> bool:
    """Write the report on `source`: to the console, or as HTML into `out`.

    Returns:
        Whether there was a connection to report on.

    Raises:
        OSError: the source cannot be read, or `out` not written.
        NotARecordingError: the source is something else.
        StoreError: it is a database that cannot be used.
    """
    with opened(source) as store:
        seen = servers(store, NOTICEABLE)
        if out is not None:
            out.write_text(html(store, f"What happened: {source}"), encoding="utf-8")
            console.print(f"written: {out} ({out.stat().st_size // 1000} kB)", markup=False)
        elif seen:
            told = [
                story.Told(one.server.name, one.server.short, found)
                for one in seen
                for found in [find(store, Chosen(server=one.server.id))]
            ]
            ((spans,),) = store.read("SELECT count(*) FROM spans")
            ((series,),) = store.read("SELECT count(*) FROM series")
            story.tell(console, told, spans, series)
    return bool(seen)
