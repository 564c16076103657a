"""`tcpwatch explain`: what stands between `Flask.run` and the kernel's `accept`, and where."""

from __future__ import annotations

import click
from rich.console import Console

from tcpwatch.cli.manual import Command
from tcpwatch.cli.trouble import plainly


@click.command(
    cls=Command,
    short_help="Show the way from Flask.run to accept, in your versions.",
    examples=(
        "tcpwatch explain",
        "tcpwatch explain hello:app --single --tls",
        "tcpwatch explain http.server:ThreadingHTTPServer",
        "tcpwatch explain hello:app --recording trace.jsonl --markdown > report.md",
    ),
    exit_codes={
        0: "explained",
        1: "the recording cannot be read",
        2: "there is nothing of this name that a socketserver server serves",
    },
)
@click.argument("what", required=False, metavar="[MODULE:APP | MODULE:CLASS]")
@click.option(
    "--threaded/--single", default=None, help="As run's threaded=; Flask's own if absent."
)
@click.option(
    "--processes", type=click.IntRange(2), help="As run's processes=: a server that forks."
)
@click.option("--tls", is_flag=True, help="As with run's ssl_context=.")
@click.option("--handler", metavar="MODULE:CLASS", help="The handlers of a server class.")
@click.option(
    "--recording",
    metavar="FILE|URL",
    help="Add the times measured at each step: a recording, or a viewer that runs.",
)
@click.option("--markdown", is_flag=True, help="Write a report in Markdown.")
def explain(
    what: str | None,
    threaded: bool | None,
    processes: int | None,
    tls: bool,
    handler: str | None,
    recording: str | None,
    markdown: bool,
) -> None:
    """Show what stands between Flask.run and the kernel's accept, and back.

    For the server that an application would really get, or for a class of servers: each function on
    the way with the class that implements it, file and line, package, licence and source, what it
    does and what the kernel does there.

    The application is imported, as `flask run` does, but not served.
    """
    from tcpwatch.cli.chain import measured, steps, subject, told
    from tcpwatch.cli.chain.markdown import report
    from tcpwatch.patches.selection import class_name

    if processes is not None and threaded:
        raise click.UsageError("a server has threads or processes, not both")
    try:
        wishes = subject.Wishes(threaded, processes, tls)
        found = subject.resolve(what, wishes, handler)
    except subject.UnknownError as error:
        raise click.UsageError(str(error)) from error
    with plainly():
        figures = measured.measure(recording, class_name(found.server)) if recording else None
    chain = steps.walk(found)
    if markdown:
        click.echo(report(found, chain, figures), nl=False)
    else:
        told.tell(Console(highlight=False), found, chain, figures)
