"""`tcpwatch doctor`: does it work here, and if not, what would help."""

from __future__ import annotations

import os

import click
from rich.console import Console

from tcpwatch.cli.manual import Command


@click.command(
    cls=Command,
    short_help="Check what is installed, what works here, and what would help.",
    examples=(
        "tcpwatch doctor",
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 tcpwatch doctor",
    ),
    exit_codes={0: "nothing is wrong", 1: "something is, and its cure stands below it"},
)
def doctor() -> None:
    """Check what is installed, what works here, and what would help.

    Looks at the packages and the settings of this environment, asks the kernel on a connection to
    itself, watches a server of its own, and sends an empty export to where telemetry would go.
    What is absent belongs to this machine; what is wrong has a cure below it.
    """
    from tcpwatch.cli.checks import configured, installed, kernel, telemetry, told, watching
    from tcpwatch.cli.checks.finding import Grade

    console = Console(highlight=False)
    findings = [
        *told.tell(console, "Installed", installed.check()),
        *told.tell(console, "Settings", configured.check(os.environ)),
        *told.tell(console, "What the kernel tells", kernel.check()),
        *told.tell(console, "Watching", watching.check()),
        *told.tell(console, "Telemetry", telemetry.check()),
    ]
    console.print(told.summary(findings), markup=False)
    if any(finding.grade is Grade.WRONG for finding in findings):
        raise SystemExit(1)
