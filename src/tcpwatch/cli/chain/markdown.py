"""The chain as a report in Markdown: what, where, what the kernel does, and how it was found."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version

from tcpwatch import names
from tcpwatch.cli.chain.measured import Measured
from tcpwatch.cli.chain.steps import Step
from tcpwatch.cli.chain.subject import Subject
from tcpwatch.cli.chain.told import packages, scope
from tcpwatch.view import glossary
from tcpwatch.view.sentences import duration

_METHOD = """\
The classes are those of the installed packages, imported and looked at; for an application the
server is the one that `werkzeug.serving.make_server` really made, with the arguments that
`Flask.run` really passes. A method's class is the first in the method resolution order that defines
it; the next one is added where the code passes the call on with `super()`. A step stands one level
below the last function before it whose code mentions its name, or that calls a method of its own
which does. Lines are those of the installed files. What the kernel does was not looked up here: it
is what Linux does."""


def report(subject: Subject, steps: Sequence[Step], measured: Measured | None) -> str:
    """Return the report."""
    return "\n".join(_lines(subject, steps, measured)) + "\n"


def _lines(subject: Subject, steps: Sequence[Step], measured: Measured | None) -> Iterator[str]:
    first, accept = steps[0].name, "socket.socket.accept"
    yield f"# From `{first}` to `{accept}`, and back\n"
    yield f"{_escaped(subject.title)}.\n"
    yield from (f"{_escaped(note)}.\n" for note in subject.notes)
    yield (
        f"Found by tcpwatch {version('tcpwatch')} on {platform.python_implementation()}"
        f" {platform.python_version()}, {platform.system()} {platform.release()}.\n"
    )
    yield "## Who calls whom\n\n```text"
    for number, step in enumerate(steps, 1):
        yield f"{number:>2} {'  ' * step.depth}{step.name}"
    yield "```\n"
    yield "## Step by step\n"
    yield "| | function | where | what it does | what the kernel does |"
    yield "| ---: | --- | --- | --- | --- |"
    for number, step in enumerate(steps, 1):
        cells = (f"`{step.name}`", _where(step), step.does, step.kernel)
        yield f"| {number} | " + " | ".join(cells) + " |"
    yield "\n## Where a connection spends its time\n"
    if measured is not None:
        yield _escaped(scope(measured, subject)) + "\n"
    yield from _phases(steps, measured)
    yield "\n## Where the code comes from\n"
    yield "| package | licence | source |"
    yield "| --- | --- | --- |"
    for package in packages(steps):
        link = f"<{package.source}>" if package.source else ""
        yield f"| {_escaped(str(package))} | {_escaped(package.licence)} | {link} |"
    yield f"\n## How this was found\n\n{_METHOD}"


def _phases(steps: Sequence[Step], measured: Measured | None) -> Iterator[str]:
    head = ("phase", "the connection is …", "step")
    figured = ("connections", "median", "longest") if measured is not None else ()
    yield "| " + " | ".join((*head, *figured)) + " |"
    yield "| " + " | ".join(["---"] * len(head) + ["---:"] * len(figured)) + " |"
    for phase in names.PHASES:
        at = [number for number, step in enumerate(steps, 1) if phase in step.phases]
        if not at:
            continue
        cells = [f"`{phase}`", glossary.PHASES[phase], ", ".join(map(str, at))]
        if measured is not None:
            spent = measured.phases.get(phase)
            cells += (
                [str(spent.count), duration(spent.median), duration(spent.longest)]
                if spent is not None
                else ["0", "", ""]
            )
        yield "| " + " | ".join(cells) + " |"


def _where(step: Step) -> str:
    shown = f"{_escaped(str(step.place))}"
    return f"[{shown}]({step.place.link})" if step.place.link else shown


def _escaped(words: str) -> str:
    """Keep what may hold any character, such as a path, from being read as Markdown."""
    for character in "\\`*[]<>|":
        words = words.replace(character, f"\\{character}")
    return words
