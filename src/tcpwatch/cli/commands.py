"""The command line's commands; each only turns arguments into a call and its result into a code."""

from __future__ import annotations

import click
from rich.console import Console

from tcpwatch.cli import demo as play
from tcpwatch.cli.doctor import doctor
from tcpwatch.cli.explain import explain
from tcpwatch.cli.manual import INTERRUPTED, Group
from tcpwatch.cli.run import run
from tcpwatch.cli.servers import ServerFailedError
from tcpwatch.cli.top import top


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tcpwatch")
def tcpwatch() -> None:
    """See what happens to TCP connections before, around and after your Flask view."""


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
    default=play.USUAL_SECONDS,
    show_default=True,
    help="How long the clients play, about.",
)
def demo(seconds: float) -> None:
    """Watch real clients wait for a real server, and read why.

    Starts Flask servers with tcpwatch in processes of their own (one thread, many threads, TLS),
    plays clients against them, and prints what the servers' telemetry says about them. Everything
    stays on this machine and is stopped at the end.
    """
    try:
        complete = play.run(Console(highlight=False), seconds)
    except ServerFailedError as failed:
        raise click.ClickException(str(failed)) from failed
    if not complete:
        raise click.ClickException("a server's telemetry did not arrive; what did is above")
