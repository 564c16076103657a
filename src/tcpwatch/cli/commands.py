"""The command line's commands; each only turns arguments into a call and its result into a code.

What a command needs is imported when it runs: `tcpwatch run` is to start a program, soon.
"""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from tcpwatch.cli.acts import USUAL_SECONDS
from tcpwatch.cli.doctor import doctor
from tcpwatch.cli.explain import explain
from tcpwatch.cli.manual import INTERRUPTED, Group, Port
from tcpwatch.cli.run import run
from tcpwatch.cli.top import top
from tcpwatch.cli.trouble import plainly
from tcpwatch.view import GRPC_PORT, HTTP_PORT

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples=(
        "tcpwatch demo                                   # without a server of yours",
        "tcpwatch run --view -- flask --app hello run    # your server, and the page",
        "tcpwatch doctor                                 # when nothing arrives",
    ),
)
@click.version_option(package_name="tcpwatch")
def tcpwatch() -> None:
    """See what happens to TCP connections before, around and after your Flask view."""


@tcpwatch.command(
    examples=(
        "tcpwatch view                   # live, where servers send to by default",
        "tcpwatch view --db today.db     # keep it; a later view shows it again",
        "tcpwatch view recording.jsonl   # look at what somebody sent you",
    ),
    exit_codes={0: "after Ctrl-C or SIGTERM", 1: "a port or a file cannot be used"},
)
@click.argument("recordings", nargs=-1, type=_FILE)
@click.option("--db", type=click.Path(dir_okay=False, path_type=Path), help="Keep it in this file.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=Port(), default=HTTP_PORT, show_default=True, help="Page and OTLP over HTTP."
)
@click.option("--grpc-port", type=Port(), help=f"OTLP over gRPC.  [default: {GRPC_PORT} if free]")
@click.option(
    "--max-mb",
    type=click.IntRange(1),
    default=512,
    show_default=True,
    help="Keep at most this much, the oldest leave first.",
)
@click.option("--allow-host", multiple=True, help="Answer to this name too. May be repeated.")
def view(
    recordings: tuple[Path, ...],
    db: Path | None,
    host: str,
    port: int,
    grpc_port: int | None,
    max_mb: int,
    allow_host: tuple[str, ...],
) -> None:
    """Show a server's connections live, in a page on this machine.

    Listens where an OpenTelemetry collector would, so a server needs no other setting than usual.
    RECORDINGS are files of OTLP JSON lines to begin with, as the page exports them.
    """
    from tcpwatch.cli import view as viewing

    wanted = viewing.Wanted(db, recordings, host, port, grpc_port, max_mb * 1024 * 1024, allow_host)
    with plainly():
        viewing.run(Console(highlight=False), wanted)


@tcpwatch.command(
    short_help="Say what happened: sentences, numbers, pictures.",
    examples=(
        "tcpwatch report http://localhost:4318",
        "tcpwatch report recording.jsonl --html report.html",
    ),
    exit_codes={0: "said what happened", 1: "there is nothing to report on"},
)
@click.argument("source", metavar="FILE|URL")
@click.option("--html", "out", type=click.Path(dir_okay=False, path_type=Path), help="Write this.")
def report(source: str, out: Path | None) -> None:
    """Say what happened: findings in sentences, then numbers and pictures.

    FILE is a recording (OTLP JSON lines) or a database of `tcpwatch view --db`, URL is a viewer
    that runs. With --html it is one file that needs nothing else.
    """
    from tcpwatch.cli import report as reporting

    with plainly():
        found = reporting.run(Console(highlight=False), source, out)
    if not found:
        raise click.ClickException(f"there is no connection in {source}")


tcpwatch.add_command(run)
tcpwatch.add_command(explain)
tcpwatch.add_command(doctor)
tcpwatch.add_command(top)


@tcpwatch.command(
    examples=("tcpwatch demo", "tcpwatch demo --seconds 5"),
    exit_codes={
        0: "the telemetry of all servers arrived",
        1: "it did not, or a server did not start",
        INTERRUPTED: "Ctrl-C",
    },
)
@click.option(
    "--seconds",
    type=click.FloatRange(2, 120),
    default=USUAL_SECONDS,
    show_default=True,
    help="How long the clients play, about.",
)
@click.option(
    "--view/--no-view",
    "stay",
    default=None,
    help="Keep the viewer's page until Ctrl-C; the default where a person is at the terminal.",
)
def demo(seconds: float, stay: bool | None) -> None:
    """Watch real clients wait for a real server, and read why.

    Starts Flask servers with tcpwatch in processes of their own (one thread, many threads, TLS),
    plays clients against them, and prints what the servers' telemetry says about them. The viewer's
    page shows the same, live. Everything stays on this machine and is stopped at the end.
    """
    from tcpwatch.cli import demo as play
    from tcpwatch.cli.servers import ServerFailedError

    try:
        console = Console(highlight=False)
        complete = play.run(console, seconds, stay=console.is_terminal if stay is None else stay)
    except ServerFailedError as failed:
        raise click.ClickException(str(failed)) from failed
    if not complete:
        raise click.ClickException("a server's telemetry did not arrive; what did is above")
