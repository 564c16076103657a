"""`tcpwatch run`: become another program, watched."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import click

from tcpwatch import settings
from tcpwatch.cli.launch import company, environment, program
from tcpwatch.cli.launch.program import (
    NOT_EXECUTABLE,
    NOT_FOUND,
    NOT_WATCHED,
    CannotRunError,
    Program,
)
from tcpwatch.cli.manual import Command, Port


@click.command(
    cls=Command,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="Run any Python command with tcpwatch installed.",
    examples=(
        "tcpwatch run -- flask --app hello run --debug",
        "tcpwatch run -- python app.py",
        "tcpwatch run --view -- python -m package",
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 tcpwatch run -- flask run",
    ),
    exit_codes={
        "the command's": "once it has been started",
        2: "a wrong option, or a TCPWATCH_* variable that says nothing",
        NOT_WATCHED: "it cannot be watched: a Python without tcpwatch, python -I, -E or -S, or no"
        " viewer where --view wants one",
        NOT_EXECUTABLE: "it cannot be executed",
        NOT_FOUND: "it is not there",
    },
)
@click.option("--view", is_flag=True, help="Start the viewer beside it, until the command ends.")
@click.option("--keep-view", is_flag=True, help="The same, and leave the viewer running.")
@click.option(
    "--view-port", type=Port(1), default=4318, show_default=True, help="The viewer's port."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] CMD...")
def run(command: tuple[str, ...], view: bool, keep_view: bool, view_port: int) -> None:
    """Run any Python command with tcpwatch installed, without a change to it.

    The command takes the place of this process: its exit code, signals and terminal are its own.
    tcpwatch is installed in it, and in every Python that it starts, when that process makes its
    first socketserver server. Telemetry goes where the OTEL_* variables say, else to
    http://localhost:4318, then once a second.
    """
    try:
        chosen = settings.read()
        found = program.find(command)
        if found.is_python:
            program.ask(found)
        elif chosen.banner:
            _say(f"{found.name} is not run by Python; Python programs that it starts are watched")
        viewer = _viewer(view_port, keep=keep_view) if view or keep_view else ""
        _become(found, viewer)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except CannotRunError as error:
        _say(str(error))
        raise SystemExit(error.code) from None


def _viewer(port: int, *, keep: bool) -> str:
    """See to it that a viewer listens, and return its address."""
    address = f"http://127.0.0.1:{port}"
    past = environment.elsewhere(os.environ, address)
    if past:
        raise click.UsageError(f"{past[0]} sends telemetry elsewhere; unset it for --view")
    try:
        is_ours = company.bring(port, keep=keep)
    except company.NoViewerError as error:
        raise CannotRunError(NOT_WATCHED, f"the viewer did not start: {error}") from error
    if not is_ours:
        _say(f"the viewer that runs already shows it: {address}")
        return address
    until = "stays" if keep else "ends with the command"
    _say(f"the viewer shows it, and {until}: {address}")
    return address


def _become(found: Program, viewer: str) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    for name in ("SIGPIPE", "SIGXFSZ"):
        # Python ignores them, and what is ignored stays ignored in the next program.
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execve(  # noqa: S606  # what the person has asked for
            found.path, found.arguments, environment.watched(os.environ, viewer)
        )
    except OSError as error:
        reason = f"{found.path} cannot be executed: {error.strerror}"
        raise CannotRunError(NOT_EXECUTABLE, reason) from None


def _say(words: str) -> None:
    click.echo(f"tcpwatch: {words}", err=True)
