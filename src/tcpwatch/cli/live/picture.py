"""The picture of how the servers stand, for any width from 60 columns on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from tcpwatch.cli import pictures
from tcpwatch.cli.live.sources import Seen
from tcpwatch.view import glossary
from tcpwatch.view.now import Ended, Server
from tcpwatch.view.sentences import duration

_GAUGE = 30
_SLOW = 5.0
"""Seconds between exports from which on a live picture is not live."""

_VISIBLE = 0.005
"""Share of the loop's time below which a state is not worth its words."""

_QUIET = "bright_black"


def picture(
    console: Console,
    where: str,
    seen: Seen,
    now: float,
    hint: str = "",
) -> RenderableType:
    """Return the whole picture.

    Args:
        console: for its width and its encoding.
        where: where the data come from.
        seen: how the servers stand, and what ended lately.
        now: seconds since the epoch.
        hint: what the keys do.
    """
    head = Table.grid(expand=True)
    head.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    head.add_column(justify="right", no_wrap=True)
    title = Text("tcpwatch top  ", style="bold").append(where, style=_QUIET)
    head.add_row(title, Text(hint, style=_QUIET))
    parts: list[RenderableType] = [head]
    if not seen.servers:
        parts.append(Text(_nothing_yet(where)))
    # A reloader makes a new server at each change; those before it have had their time.
    shown = [one for one in seen.servers if one.is_present(now)] or seen.servers[:1]
    for server in shown:
        parts += [Text(), *_server(console, server, now)]
    if silent := len(seen.servers) - len(shown):
        more = f"{silent} more {'has' if silent == 1 else 'have'} ended, or told nothing for long"
        parts += [Text(), Text(more, style=_QUIET)]
    if seen.ended:
        parts += [Text(), Text("Ended lately", style="bold"), _ended(seen.ended)]
    return Group(*parts)


def _nothing_yet(where: str) -> str:
    usual = "  tcpwatch run -- flask --app hello run\n\nor\n\n" if where.endswith(":4318") else ""
    return (
        "\nNo server has sent metrics yet. In another terminal:\n\n"
        f"{usual}"
        f"  OTEL_EXPORTER_OTLP_ENDPOINT={where} \\\n"
        "  OTEL_METRIC_EXPORT_INTERVAL=1000 tcpwatch run -- python app.py\n"
    )


def _server(console: Console, server: Server, now: float) -> Iterable[RenderableType]:
    head = Table.grid(expand=True)
    head.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    head.add_column(justify="right", no_wrap=True)
    accepted = "" if server.accepted is None else f"{server.accepted} accepted"
    rate = "" if server.rate is None else f", {server.rate:.1f}/s"
    heard = f"heard {duration(max(now - server.heard, 0))} ago"
    facts = ", ".join(part for part in (accepted + rate, heard) if part)
    head.add_row(Text(server.name, style="bold"), Text(facts, style=_age_style(server, now)))
    yield head
    if server.every is not None and server.every > _SLOW:
        yield Text(
            f"  Its metrics come every {server.every:.0f} s;"
            " OTEL_METRIC_EXPORT_INTERVAL=1000 in its environment makes this live.",
            style="yellow",
        )
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text("  loop"), _loop(server))
    grid.add_row(Text("  queue"), _queue(console, server))
    yield grid
    yield _phases(server)


def _age_style(server: Server, now: float) -> str:
    return "yellow" if now - server.heard > 3 * max(server.every or 0, 1) else _QUIET


def _loop(server: Server) -> Text:
    seen = [(state, share) for state, share in server.loop.items() if share >= _VISIBLE]
    shares = "  ".join(f"{state} {share:.0%}" for state, share in seen)
    shown = Text(shares or "no figures before the second export")
    if server.busy:
        style = "bold red" if server.stuck else "yellow"
        shown.append(f"  busy for {duration(server.busy)} now", style=style)
    return shown


def _queue(console: Console, server: Server) -> Text:
    if server.depth is None:
        return Text("not told: the server has ended, or its kernel does not say", style=_QUIET)
    if not server.limit:
        return Text(f"{server.depth} waiting")
    part = min(server.depth / server.limit, 1.0)
    style = "bold red" if part >= 1 else "yellow" if server.depth else "green"
    bar = pictures.share(console, part, _GAUGE, style)
    return bar.append(f"  {server.depth} waiting, room for {server.limit}", style="default")


def _phases(server: Server) -> RenderableType:
    if not server.open:
        return Text("  no open connection", style=_QUIET)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=_QUIET, pad_edge=False)
    table.add_column("  phase", no_wrap=True)
    table.add_column("open", justify="right", no_wrap=True)
    table.add_column("oldest", justify="right", no_wrap=True)
    table.add_column("", style=_QUIET, no_wrap=True, overflow="ellipsis")
    for one in server.open:
        oldest = "" if one.oldest is None else duration(one.oldest)
        meaning = glossary.PHASES.get(one.phase, "")
        table.add_row(*map(Text, (f"  {one.phase}", str(one.count), oldest, meaning)))
    return table


def _ended(latest: Sequence[Ended]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    for name in ("peer", "outcome", "seconds", "wait"):
        justify: JustifyMethod = "right" if name == "seconds" else "left"
        table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis")
    for one in latest:
        wait = one.wait or 0.0
        waited = f"{duration(wait)} of it in the queue" if wait >= 0.001 else ""
        cells = (f"  {one.peer}", one.outcome, duration(one.seconds), waited)
        table.add_row(*map(Text, cells))
    return table
