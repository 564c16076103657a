"""Regenerate what the README and the docs take from the code, or check that it is still true.

A generated block stands between `<!-- generated: NAME -->` and `<!-- end: NAME -->`. Most blocks
are compared exactly. Those that hold measured values are compared without their numbers, and are
written anew only when something else in them has changed.

    python scripts/docs.py            write every stale block
    python scripts/docs.py --check    write nothing, fail if a block is stale
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from bench.report import BLOCKS as OVERHEAD
from bench.results import Results
from examples import EXAMPLES
from stack.figures import BLOCKS as SIZING
from stack.figures import Sizing
from tcpwatch import names
from tcpwatch.cli.commands import tcpwatch as command
from tcpwatch.core import kinds
from tcpwatch.core.transitions import BEFORE_TLS, OVER, TRANSITIONS
from tcpwatch.settings import Settings
from tcpwatch.view import glossary

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "load"))  # Locust's files are no package
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "deploy" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
BLOCK = re.compile(
    r"(?P<begin><!-- generated: (?P<name>[a-z: _]+) -->\n)(?P<body>.*?)"
    r"(?P<end><!-- end: (?P=name) -->)",
    re.DOTALL,
)
QUICK_SECONDS = 3.0
USUAL_SECONDS = 18.0
PATIENCE = 50.0


# -- exact blocks --------------------------------------------------------------------------------


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


# -- blocks from live runs -----------------------------------------------------------------------


@functools.cache
def probed(name: str) -> Any:
    """Run one of `probes` in a process of its own, without the telemetry settings of this one."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "TCPWATCH_"))}
    off = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
    here = {"PYTHONPATH": str(Path(__file__).parent), "TCPWATCH_BANNER": "off"}
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


# -- the machinery -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Where a block comes from; `measured` if its numbers differ each time.

    `write` is used instead of `make` when the block is written, if that takes its time.
    """

    make: Callable[[], str]
    measured: bool = False
    write: Callable[[], str] | None = None

    def same(self, old: str, new: str) -> bool:
        """Say whether a block that says `old` need not be changed to `new`."""
        if not new:  # this machine cannot play it
            return True
        return without_numbers(old) == without_numbers(new) if self.measured else old == new


SOURCES: dict[str, Source] = {
    "settings": Source(settings),
    "phases": Source(phases),
    "chain": Source(chain),
    "timeline": Source(timeline),
    "help": Source(help_text),
    "viewer bench": Source(
        lambda: fenced((ROOT / "docs" / "viewer-bench.txt").read_text().rstrip())
    ),
    "example: report": Source(lambda: example("report")),
    "example: sentences": Source(lambda: example("sentences")),
    "patched": Source(patched),
    "cost": Source(cost),
    "demo": Source(lambda: demo(QUICK_SECONDS), True, lambda: demo(USUAL_SECONDS)),
}


def source(name: str) -> Source:
    """Return a block's source: `symptom: NAME` is a probe's, `overhead: NAME` the benchmark's.

    `sizing: NAME` is the stack's, `load: NAME` the scenarios', `example: NAME` examples.py's,
    `help NAME` what a command says of itself.
    """
    kind, _, which = name.partition(": ")
    if name in SOURCES:
        return SOURCES[name]
    if kind == "example":
        return Source(lambda: example(which), measured=True)
    if name.startswith("help "):
        return Source(lambda: help_text(name.removeprefix("help ")))
    if kind == "overhead":
        return Source(lambda: OVERHEAD[which](Results.load(ROOT / "docs" / "overhead.json")))
    if kind == "sizing":
        return Source(lambda: SIZING[which](Sizing.load()))
    if kind == "load":
        from described import BLOCKS as LOAD

        return Source(LOAD[which])
    if kind == "symptom":
        return Source(lambda: symptom(which), measured=True)
    raise LookupError(f"nothing makes a block named {name!r}")


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def fenced(text: str, language: str = "text") -> str:
    """Return a fenced block."""
    return f"```{language}\n{text}\n```\n"


def blocks(document: Path) -> Iterator[tuple[str, str]]:
    """Return the names and bodies of a document's generated blocks."""
    for found in BLOCK.finditer(document.read_text(encoding="utf-8")):
        yield found["name"], found["body"]


def is_stale(name: str, body: str) -> bool:
    """Say whether a block no longer says what its source says."""
    return not source(name).same(body, source(name).make())


def rewritten(text: str) -> str:
    """Return a document with its stale blocks made anew."""

    def anew(found: re.Match[str]) -> str:
        name, body = found["name"], found["body"]
        if is_stale(name, body):
            body = (source(name).write or source(name).make)()
        return found["begin"] + body + found["end"]

    return BLOCK.sub(anew, text)


def main(arguments: list[str]) -> int:
    """Write or check; the exit status says whether a block is stale."""
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    if arguments:
        stale = [
            f"{document.relative_to(ROOT)}: {name}"
            for document in DOCUMENTS
            for name, body in blocks(document)
            if is_stale(name, body)
        ]
        for one in stale:
            print(f"stale: {one} (run python scripts/docs.py)")
        return bool(stale)
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        if (new := rewritten(text)) != text:
            document.write_text(new, encoding="utf-8")
            print(f"written: {document.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
