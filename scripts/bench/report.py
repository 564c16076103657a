"""The results in tables: the generated blocks of docs/overhead.md.

An absolute figure never stands alone: it is that of the bare server, followed by what was added.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from bench.bars import bars
from bench.ratios import Middle
from bench.results import Results
from bench.rungs import BARE, KINDS, RUNGS, TITLES, Rung, rungs_of

NONE = "-"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def by_kind(unit: str, cell: Callable[[str, Rung], str]) -> str:
    """Return a table with a row for each rung and a column, in this unit, for each kind."""
    rows = [
        [rung.says, *(cell(kind, rung) if rung in rungs_of(kind) else NONE for kind in KINDS)]
        for rung in RUNGS
    ]
    return table(["rung", *(TITLES[kind] + unit for kind in KINDS)], rows)


def beside(bare: float, own: float, how: str = ".0f") -> str:
    """Return `bare +added`."""
    return f"{bare:{how}} {own - bare:+{how}}"


def spread(found: Middle | None) -> str:
    """Return `median (least to most)`."""
    if found is None:
        return "noise"
    return f"{found.median:.2f} ({found.least:.2f} to {found.most:.2f})"


def machine(results: Results) -> str:
    """Return what it was measured on."""
    said = {**results.machine, "rounds": str(len(results.rounds))}
    return "".join(f"- {what}: {value}\n" for what, value in said.items())


def judged(results: Results) -> str:
    """Return every bar, what was measured, and whether it is met."""
    rows: dict[str, list[str]] = {}
    for bar in bars(results):
        row = rows.setdefault(bar.says, [bar.says, f"{bar.limit:g}", *[NONE] * len(KINDS)])
        verdict = "met" if bar.is_met else "**missed**"
        row[2 + KINDS.index(bar.kind)] = f"{bar.found.median:.2f} {verdict}"
    return table(["bar", "at most", *(TITLES[kind] for kind in KINDS)], list(rows.values()))


def ratios(results: Results) -> str:
    """Return what each rung adds to a request's CPU time, with the peer's as the unit."""

    def cell(kind: str, rung: Rung) -> str:
        if rung == BARE:
            return "0"
        return spread(results.cpu_ratio(kind, rung.name))

    return by_kind("", cell)


def cpu(results: Results) -> str:
    """Return the CPU time of a request: bare, and what is added to it."""

    def cell(kind: str, rung: Rung) -> str:
        bare, own = (results.cpu(kind, name).median for name in (BARE.name, rung.name))
        return f"{bare:.0f}" if rung == BARE else beside(bare, own)

    return by_kind(", µs", cell)


def counted(results: Results) -> str:
    """Return the instructions of a request: bare, what is added, and that beside the peer's."""
    bare = statistics.median(results.instructions[BARE.name])
    rows = []
    for rung in RUNGS:
        own = statistics.median(results.instructions[rung.name])
        said = f"{bare / 1e3:.0f}" if rung == BARE else beside(bare / 1e3, own / 1e3)
        rows.append([rung.says, said, f"{results.instruction_ratio(rung.name):.3f}"])
    return table(["rung", "thousands of instructions", "of the peer's"], rows)


def latency(results: Results) -> str:
    """Return latencies at half of the bare server's rate: bare in ms, the others as ratios."""
    parts = []
    for which in ("p50", "p99"):

        def cell(kind: str, rung: Rung, field: str = f"{which}_ms") -> str:
            if rung == BARE:
                rate = results.half_rate[kind]
                return f"{results.latency(kind, rung.name, field).median:.2f} ms at {rate:.0f}/s"
            return spread(results.latency_ratio(kind, rung.name, field))

        parts.append(f"{which}, as a ratio to bare:\n\n" + by_kind("", cell))
    return "\n".join(parts)


def serving(results: Results) -> str:
    """Return what the serving thread of the single-threaded server spends on a request."""
    rows = []
    time = statistics.median(results.serving_us[BARE.name])
    for rung in RUNGS:
        if rung.name not in results.serving_us:
            continue
        added = results.serving_added(rung.name)
        cells = [f"{time:.0f}" if rung == BARE else f"{time:.0f} {added.median:+.0f}", NONE]
        if rung.name in results.serving_instructions:
            bare, own = (
                statistics.median(results.serving_instructions[name]) / 1e3
                for name in (BARE.name, rung.name)
            )
            cells[1] = f"{bare:.0f}" if rung == BARE else beside(bare, own)
        rows.append([rung.says, *cells])
    return table(["rung", "CPU time, µs", "thousands of instructions"], rows)


def memory(results: Results) -> str:
    """Return the peaks of the resident size: bare, and what is added to it."""

    def cell(kind: str, rung: Rung) -> str:
        bare, own = (results.peak(kind, name).median for name in (BARE.name, rung.name))
        return f"{bare:.0f}" if rung == BARE else beside(bare, own)

    return by_kind(", MB", cell)


def flood(results: Results) -> str:
    """Return the peaks of the resident size after a flood, with and without a collector."""
    bare = results.flooded_mb[BARE.name]
    rows = [
        [case, f"{peak:.0f}" if case == BARE.name else beside(bare, peak)]
        for case, peak in results.flooded_mb.items()
    ]
    return table(["after a flood", "MB"], rows)


BLOCKS = {
    "machine": machine,
    "bars": judged,
    "ratios": ratios,
    "cpu": cpu,
    "instructions": counted,
    "latency": latency,
    "serving": serving,
    "memory": memory,
    "flood": flood,
}
"""What may stand in a document, by name."""
