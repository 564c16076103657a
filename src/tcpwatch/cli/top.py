"""`tcpwatch top`: open connections by phase and age, the loop and the queue, each second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
from rich.console import Console

from tcpwatch.cli.manual import INTERRUPTED, Command, Port

if TYPE_CHECKING:
    from tcpwatch.cli.live.sources import Source

_REFRESH = 1.0
_SECOND = 2.0


@click.command(
    cls=Command,
    short_help="Watch open connections, the loop and the queue, live.",
    examples=(
        "tcpwatch top                          # then, elsewhere: tcpwatch run -- CMD",
        "tcpwatch top http://localhost:4318    # what a viewer receives",
        "tcpwatch top --once | cat",
    ),
    exit_codes={
        0: "ended with q; or a snapshot was printed",
        1: "no metrics came in time, or there is nowhere to read from",
        INTERRUPTED: "Ctrl-C",
    },
)
@click.argument("url", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=Port(), default=4318, show_default=True, help="For OTLP over HTTP.")
@click.option("--once", is_flag=True, help="Print one snapshot; the default into a pipe.")
@click.option(
    "--wait",
    type=click.FloatRange(0),
    default=65.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a snapshot waits for the first metrics.",
)
def top(url: str | None, host: str, port: int, once: bool, wait: float) -> None:
    """Watch open connections by phase and age, the accept loop and its queue, each second.

    Fed by the servers' own metrics over OTLP and by nothing else, so it shows the servers that send
    to it: it listens where a collector would, or asks a `tcpwatch view` that does. One line is a
    phase, not a connection: that is what servers tell of connections while they are open. What is
    shown is as old as the server's last export, and says how old.

    `q` quits.
    """
    from tcpwatch.cli.live.sources import NoSourceError, find

    console = Console(highlight=False)
    try:
        source = find(url, host, port)
        try:
            if once or not console.is_terminal:
                _print(console, source, wait)
            else:
                _watch(console, source)
        finally:
            source.close()
    except NoSourceError as error:
        raise click.ClickException(str(error)) from error


def _print(console: Console, source: Source, wait: float) -> None:
    from tcpwatch.cli.live.picture import picture

    if not source.wait(lambda seen: bool(seen.servers), wait):
        raise click.ClickException(
            f"no server has sent metrics to {source.where} within {wait:g} s. They come every 60 s"
            " unless OTEL_METRIC_EXPORT_INTERVAL (ms) says otherwise."
        )
    # Rates need a second export; one that is not live is not waited for.
    source.wait(lambda seen: any(one.every for one in seen.servers), _SECOND)
    with console.capture() as captured:
        console.print(picture(console, source.where, source.look(), time.time()))
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _watch(console: Console, source: Source) -> None:
    from rich.live import Live

    from tcpwatch.cli.live.keys import keys
    from tcpwatch.cli.live.picture import picture

    with keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        hint = "q quits" if pressed is not None else "Ctrl-C quits"
        while True:
            shown = picture(console, source.where, source.look(), time.time(), hint)
            live.update(shown, refresh=True)
            if pressed is None:
                time.sleep(_REFRESH)
            elif pressed(_REFRESH) in ("q", "Q"):
                return
