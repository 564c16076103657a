"""Blocks that the code makes: the same each time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields
from typing import Any

import click
from click.testing import CliRunner

from blocks.markdown import fenced, table
from tcpwatch import names
from tcpwatch.cli.commands import tcpwatch as command
from tcpwatch.core import kinds
from tcpwatch.core.transitions import BEFORE_TLS, OVER, TRANSITIONS
from tcpwatch.settings import Settings
from tcpwatch.view import glossary


def settings() -> str:
    """Return the settings table."""
    rows = [
        (
            f"`TCPWATCH_{setting.name.upper()}`",
            _default(setting.default),
            setting.metadata["meaning"],
        )
        for setting in fields(Settings)
    ]
    return table(("variable", "default", "meaning"), rows)


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    return f"`{value}`" if value != () else "none"


def phases() -> str:
    """Return the phases with their meaning."""
    rows = [(f"`{phase}`", glossary.PHASES[phase]) for phase in names.PHASES]
    return table(("phase", "the connection is …"), rows)


def help_text(*arguments: str) -> str:
    """Return what the command says of itself."""
    shown = CliRunner().invoke(
        command, [*arguments, "--help"], prog_name="tcpwatch", terminal_width=80
    )
    if shown.exit_code:
        raise click.ClickException(shown.output)
    line = " ".join(("tcpwatch", *arguments, "--help"))
    return fenced(f"$ {line}\n{shown.output.strip()}")


def timeline() -> str:
    """Return the transition table as a diagram, and in words what holds in nearly every phase."""
    words = {number: kind for kind, number in vars(kinds).items() if isinstance(number, int)}
    by_kind: dict[str, dict[str, str]] = defaultdict(dict)
    for (phase, number), target in TRANSITIONS.items():
        by_kind[words[number]][phase] = target
    drawn, said = [], []
    for kind, moves in by_kind.items():
        if len(moves) > len(names.PHASES) / 2:
            said.append(_everywhere(kind, moves))
            continue
        for phase, target in moves.items():
            # After a handshake a connection is where it was before.
            targets = by_kind["TLS_BEGAN"] if target == BEFORE_TLS else [target]
            drawn += [f"    {phase} --> {following} : {kind}" for following in targets]
    lines = ["stateDiagram-v2", f"    [*] --> {names.ACCEPT_QUEUE}", *drawn]
    return fenced("\n".join(lines), "mermaid") + "\n" + "\n".join(said) + "\n"


def _everywhere(kind: str, moves: dict[str, str]) -> str:
    (target,) = set(moves.values())
    but = [f"`{phase}`" for phase in names.PHASES if phase not in moves]
    listed = " and ".join(part for part in (", ".join(but[:-1]), but[-1]) if part)
    where = "the connection is over" if target == OVER else f"the phase is `{target}`"
    return f"- `{kind}` in any phase but {listed}: {where}."


def chain() -> str:
    """Return the way from Flask.run to the kernel's accept, for the server that Flask makes."""
    from flask import Flask
    from werkzeug import serving

    server, handler = serving.ThreadedWSGIServer, serving.WSGIRequestHandler
    steps: list[tuple[int, Any, str, str]] = [
        (0, Flask, "run", ""),
        (1, serving, "run_simple", ""),
        (2, server, "serve_forever", ""),
        (3, server, "_handle_request_noblock", ""),
        (4, server, "get_request", ""),
        (5, _socket(), "accept", "ends `accept_queue`"),
        (5, _tls_socket(), "do_handshake", "`tls_handshake` (HTTPS)"),
        (4, server, "process_request", "`dispatch`"),
        (5, server, "finish_request", "(in the new thread)"),
        (6, handler, "handle", "`idle`"),
        (7, handler, "parse_request", "`read_head`"),
        (7, handler, "run_wsgi", "`app`, `respond`, `drain`"),
        (5, server, "shutdown_request", "`close`"),
    ]
    lines = []
    for depth, owner, method, phase in steps:
        where = "  " * depth + _defined(owner, method)
        lines.append(f"{where:<72}{phase}".replace("`", "").rstrip())
    return fenced("\n".join(lines))


def _socket() -> type:
    import socket

    return socket.socket


def _tls_socket() -> type:
    import ssl

    return ssl.SSLSocket


def _defined(owner: Any, name: str) -> str:
    """Return module, class and name of a method, of the class that defines it."""
    if not isinstance(owner, type):
        return f"{owner.__name__}.{getattr(owner, name).__name__}"
    definer = next((cls for cls in owner.__mro__ if name in vars(cls)), None)
    if definer is None:
        raise LookupError(f"{owner.__name__} has no {name} any longer")
    return f"{definer.__module__}.{definer.__qualname__}.{name}"
