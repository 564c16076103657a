"""Whether watching works here: a server of our own, in a process of its own, with one client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

from tcpwatch import names
from tcpwatch.cli.checks.finding import Finding, absent, ok, wrong

_PATIENCE: Final = 30.0
_ALWAYS: Final = (names.DISPATCH, names.IDLE, names.READ_HEAD, names.APP, names.CLOSE)
"""Phases of a plain HTTP connection that need nothing from the kernel."""

_REPORT: Final = (
    "report it with the output of `tcpwatch doctor`; what it says follows from our code"
)


def check() -> Iterator[Finding]:
    """Start a server with tcpwatch, make one connection, and look at what was seen of it."""
    ours = ("TCPWATCH_", "OTEL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tcpwatch.cli.checks.patient"],
            env=kept | {"TCPWATCH_BANNER": "off"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield wrong("self-test", f"a watched server did not end within {_PATIENCE:g} s", _REPORT)
        return
    try:
        told = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        yield wrong("self-test", f"a watched server failed and said: {last}", _REPORT)
        return
    yield ok("patched", f"{told['patched']} methods of {', '.join(told['modules'])}")
    yield from _seen(told)


def _seen(told: dict[str, Any]) -> Iterator[Finding]:
    connection, request = told["connection"], told["request"]
    if connection is None or request is None:
        lost = "connection" if connection is None else "request"
        yield wrong("self-test", f"one client, and no {lost} span of it", _REPORT)
        return
    prefix = names.PHASE_PREFIX
    phases = [name.removeprefix(prefix) for name in connection if name.startswith(prefix)]
    lost_phases = [phase for phase in _ALWAYS if phase not in phases]
    if lost_phases or told["errors"]:
        why = f"errors inside tcpwatch: {told['errors']}" if told["errors"] else "no error was seen"
        lost = ", ".join(lost_phases) or "none"
        yield wrong("self-test", f"phases missing: {lost}; {why}", _REPORT)
        return
    yield ok("self-test", f"one connection to a {told['server']}, seen as {', '.join(phases)}")
    if names.ACCEPT_QUEUE not in phases:
        yield absent("self-test", f"no {names.ACCEPT_QUEUE}: see what the kernel tells, above")
