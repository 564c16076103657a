"""The doctor's findings on a terminal: by chapter, the grade first, a cure below what needs one."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from tcpwatch.cli import pictures
from tcpwatch.cli.checks.finding import Finding, Grade

_STYLES = {Grade.OK: "green", Grade.ABSENT: "yellow", Grade.WRONG: "bold red"}
_WIDTH = 7
_MARGIN = " " * 9


def tell(console: Console, chapter: str, findings: Iterable[Finding]) -> list[Finding]:
    """Write a chapter, each finding as it comes, and return its findings."""
    console.print(Text(chapter, style="bold"))
    told = []
    for finding in findings:
        told.append(finding)
        words = f"{finding.about}: {_printable(finding.words)}"
        shown = Text(pictures.indented(words, console.width, _MARGIN))
        shown = shown[len(_MARGIN) :]
        console.print(
            Text(f" {finding.grade.value:<{_WIDTH}} ", style=_STYLES[finding.grade]) + shown
        )
        if finding.cure:
            cure = pictures.indented(f"{_printable(finding.cure)}", console.width, f"{_MARGIN}> ")
            console.print(Text(cure, style="cyan"))
    console.print()
    return told


def summary(findings: Iterable[Finding]) -> str:
    """Say in a sentence how it stands."""
    listed = list(findings)
    wrong = [finding.about for finding in listed if finding.grade is Grade.WRONG]
    missing = sum(finding.grade is Grade.ABSENT for finding in listed)
    rest = f"; {missing} absent here" if missing else ""
    if not wrong:
        return f"Nothing is wrong{rest}."
    return f"{len(wrong)} wrong: {', '.join(dict.fromkeys(wrong))}{rest}."


def _printable(words: str) -> str:
    """Keep what came from elsewhere, such as a variable's value, from reaching the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in words)
