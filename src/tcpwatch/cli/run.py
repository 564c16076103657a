"""`tcpwatch run`: become another program, watched."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import click

from tcpwatch import settings
from tcpwatch.cli.launch import environment, program
from tcpwatch.cli.launch.program import (
    NOT_EXECUTABLE,
    NOT_FOUND,
    NOT_WATCHED,
    CannotRunError,
    Program,
)
from tcpwatch.cli.manual import Command


@click.command(
    cls=Command,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="Run any Python command with tcpwatch installed.",
    examples=(
        "tcpwatch run -- flask --app hello run --debug",
        "tcpwatch run -- python app.py",
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 tcpwatch run -- python -m package",
    ),
    exit_codes={
        "the command's": "once it has been started",
        2: "a wrong option, or a TCPWATCH_* variable that says nothing",
        NOT_WATCHED: "it cannot be watched: a Python without tcpwatch, python -I, -E or -S",
        NOT_EXECUTABLE: "it cannot be executed",
        NOT_FOUND: "it is not there",
    },
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] CMD...")
def run(command: tuple[str, ...]) -> None:
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
        _become(found)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except CannotRunError as error:
        _say(str(error))
        raise SystemExit(error.code) from None


def _become(found: Program) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    for name in ("SIGPIPE", "SIGXFSZ"):
        # Python ignores them, and what is ignored stays ignored in the next program.
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execve(  # noqa: S606  # what the person has asked for
            found.path, found.arguments, environment.watched(os.environ)
        )
    except OSError as error:
        reason = f"{found.path} cannot be executed: {error.strerror}"
        raise CannotRunError(NOT_EXECUTABLE, reason) from None


def _say(words: str) -> None:
    click.echo(f"tcpwatch: {words}", err=True)
