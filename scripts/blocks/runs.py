"""Blocks that live runs make: their numbers differ each time."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from blocks.markdown import fenced, table
from examples import EXAMPLES

SCRIPTS = Path(__file__).resolve().parents[1]
PATIENCE = 50.0


@functools.cache
def probed(name: str) -> Any:
    """Run one of `probes` in a process of its own, without the telemetry settings of this one."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "TCPWATCH_"))}
    off = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
    here = {"PYTHONPATH": str(SCRIPTS), "TCPWATCH_BANNER": "off"}
    here["TCPWATCH_C_HOOKS"] = "off"  # they call the kernel as often, but nobody can see it
    done = subprocess.run(
        [sys.executable, "-m", "probes", name],
        env=kept | off | here,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"probe {name} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def patched() -> str:
    """Return what is patched, and when."""
    rows = [
        (f"`{owner}`", ", ".join(f"`{method}`" for method in methods), when)
        for key, when in (("at once", "at `install()`"), ("later", "when such a server is met"))
        for owner, methods in probed("patched")[key].items()
    ]
    return table(("class", "methods", "when"), rows)


def cost() -> str:
    """Return the system calls that a connection costs."""
    calls = [f"{often} x `{call}`" for call, often in probed("cost")["calls"].items()]
    return "- System calls added per connection: " + ", ".join(calls) + ".\n"


def symptom(name: str) -> str:
    """Return what the telemetry shows of one symptom; "" where it cannot be played."""
    found = probed("symptoms").get(name)
    return fenced(found) if found else ""


@functools.cache
def demo_output(seconds: float) -> str:
    """Run the demo, about so many seconds, and return what it prints on 80 columns."""
    done = subprocess.run(
        [sys.executable, "-m", "tcpwatch", "demo", "--seconds", str(seconds)],
        env=os.environ | {"COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"the demo failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def demo(seconds: float) -> str:
    """Return the demo's answer to the question why the second client waited."""
    lines = demo_output(seconds).partition("What happened")[2].splitlines()
    parts = (
        _from(lines, r"^Act 1", 1),
        _from(lines, r"^ - Client B ", 1, hanging=True),
        _from(lines, r"^ - Client C ", 1, hanging=True),
    )
    text = "$ make demo"
    for part in parts:
        cut = part[0].startswith("Act 1")
        gap = "\n...\n" if cut else "\n"
        text += gap + "\n".join(line.rstrip() for line in part)
    return fenced(text)


def _from(lines: list[str], pattern: str, how_many: int, *, hanging: bool = False) -> list[str]:
    """Return lines from the first that matches; `hanging`: and the indented ones that follow."""
    for at, line in enumerate(lines):
        if re.match(pattern, line):
            end = at + how_many
            while hanging and end < len(lines) and lines[end].startswith("   "):
                end += 1
            return lines[at:end]
    raise LookupError(f"the demo says nothing like {pattern!r} any longer")


def example(name: str) -> str:
    """Return what a command prints, of examples.py."""
    return fenced(EXAMPLES[name]())


def without_numbers(text: str) -> str:
    """Return a text without what a second run would make different: numbers, ids, bars, breaks."""
    text = re.sub(r"(\.id +)[0-9a-f]+", r"\1N", text)
    text = re.sub(r"\d+ other clients?", "N other clients", text)
    text = re.sub(r"[█░]+", "", text)
    text = re.sub(r"\d+(\.\d+)*( m?s\b)?", "N", text)
    return " ".join(text.split())
