"""Regenerate what the README and the docs take from the code, or check that it is still true.

A generated block stands between `<!-- generated: NAME -->` and `<!-- end: NAME -->`. Most blocks
are compared exactly. Those that hold measured values are compared without their numbers, and are
written anew only when something else in them has changed.

    python scripts/docs.py            write every stale block
    python scripts/docs.py --check    write nothing, fail if a block is stale
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.report import BLOCKS as OVERHEAD
from bench.results import Results
from blocks.code import chain, help_text, phases, settings, timeline
from blocks.markdown import fenced
from blocks.runs import cost, demo, example, patched, symptom, without_numbers
from stack.figures import BLOCKS as SIZING
from stack.figures import Sizing

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
