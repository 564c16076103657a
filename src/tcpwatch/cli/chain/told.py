"""The chain on a terminal: each step with its place, and below it what happens there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tcpwatch.cli import pictures
from tcpwatch.cli.chain.measured import Measured
from tcpwatch.cli.chain.origin import Package
from tcpwatch.cli.chain.steps import Step
from tcpwatch.cli.chain.subject import Subject
from tcpwatch.patches.selection import class_name
from tcpwatch.view import glossary
from tcpwatch.view.sentences import count, duration

_DEEPEST = 12
"""Columns of indentation, so that the words still have room on 80."""


def tell(
    console: Console, subject: Subject, steps: Sequence[Step], measured: Measured | None
) -> None:
    """Write the chain to a terminal, or without colours into a pipe."""
    said = [subject.title + ".", *(f"Note: {note}." for note in subject.notes)]
    if measured is not None:
        said.append(scope(measured, subject))
    for sentence in said:
        _below(console, 0, sentence, "")
    for number, step in enumerate(steps, 1):
        console.print()
        _step(console, number, step, measured)
    console.print(Text("\nWhere the code comes from\n", style="bold"))
    _packages(console, packages(steps))


def packages(steps: Sequence[Step]) -> list[Package]:
    """Return the packages of a chain in the order in which they come into it."""
    return list(dict.fromkeys(step.place.package for step in steps))


def figures(step: Step, measured: Measured | None) -> Iterator[str]:
    """Return in words what was measured of the phases that pass in a step."""
    for phase in step.phases:
        spent = measured.phases.get(phase) if measured is not None else None
        if spent is not None:
            yield (
                f"{phase}: half of {count(spent.count, 'connection')} took at most"
                f" {duration(spent.median)}, the longest {duration(spent.longest)}"
            )
        elif measured is not None:
            yield f"{phase}: not in the recording"


def scope(measured: Measured, subject: Subject) -> str:
    """Say in a sentence what a recording's figures are about."""
    if not measured.connections:
        return "The recording has no connection in it."
    of = " and ".join(name or "an unknown server" for name in measured.of)
    other = "" if measured.of == (class_name(subject.server),) else ", which is another server"
    return f"The times are those of {count(measured.connections, 'connection')} to {of}{other}."


def _step(console: Console, number: int, step: Step, measured: Measured | None) -> None:
    indent = min(step.depth, _DEEPEST)
    where = f"{step.place}"
    head = Text(f"{number:>2} {'':<{indent}}")
    head.append(step.name, style="bold")
    gap = console.width - head.cell_len - len(where)
    if gap < 1:
        console.print(head, no_wrap=True, overflow="fold", crop=False)
        head, gap = Text(), console.width - len(where)
    head.append(" " * max(gap, 0) + where, style="cyan")
    console.print(head, no_wrap=True, overflow="fold", crop=False)
    for label, words, style in (
        ("", step.does, ""),
        ("kernel: ", step.kernel, "yellow"),
        *(("measured: ", words, "green") for words in figures(step, measured)),
    ):
        if words:
            _below(console, 3 + indent, label + words, style)
    for phase in step.phases if measured is None else ():
        _below(console, 3 + indent, f"phase {phase}: {glossary.PHASES[phase]}", "green")


def _below(console: Console, indent: int, words: str, style: str) -> None:
    console.print(Text(pictures.indented(words, console.width, " " * indent), style=style))


def _packages(console: Console, found: Sequence[Package]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    for column in ("package", "licence", "source"):
        table.add_column(column, overflow="fold")
    for package in found:
        table.add_row(*map(Text, (str(package), package.licence, package.source)))
    console.print(table)
