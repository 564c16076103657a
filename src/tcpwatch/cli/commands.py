"""The command line's commands; each only turns arguments into a call and its result into a code."""

from __future__ import annotations

import click
from rich.console import Console

from tcpwatch.cli import demo as play
from tcpwatch.cli.servers import ServerFailedError

_INTERRUPTED = 130
"""What a shell reports for a command that Ctrl-C ended."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tcpwatch")
def tcpwatch() -> None:
    """See what happens to TCP connections before, around and after your Flask view."""


@tcpwatch.command()
@click.option(
    "--seconds",
    type=click.FloatRange(2, 120),
    default=play.USUAL_SECONDS,
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

    Exit code: 0 when the telemetry of all servers arrived, 1 otherwise, 130 after Ctrl-C.
    """
    try:
        console = Console(highlight=False)
        complete = play.run(console, seconds, stay=console.is_terminal if stay is None else stay)
    except ServerFailedError as failed:
        raise click.ClickException(str(failed)) from failed
    except KeyboardInterrupt:
        raise SystemExit(_INTERRUPTED) from None
    if not complete:
        raise click.ClickException("a server's telemetry did not arrive; what did is above")
