"""The results in words and tables: the generated blocks of docs/overhead.md."""

from __future__ import annotations

from collections.abc import Sequence

from bench.bars import CPU, bars
from bench.ratios import Middle
from bench.results import Results
from bench.rungs import BARE, KINDS, RUNGS, TITLES, rungs_of

NONE = "-"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def machine(results: Results) -> str:
    """Return what it was measured on."""
    rows = [f"- {what}: {value}\n" for what, value in results.machine.items()]
    return "".join([*rows, f"- rounds: {len(results.rounds)}\n"])


def ratios(results: Results) -> str:
    """Return what each rung adds to a request's CPU time, with the peer's as the unit."""
    rows = []
    for rung in RUNGS[1:]:
        cells = [_spread(results, kind, rung.name) for kind in KINDS]
        counted = results.instruction_ratio(rung.name)
        limit = f"{CPU[rung]:.2f}" if rung in CPU else NONE
        rows.append([rung.says, *cells, NONE if counted is None else f"{counted:.3f}", limit])
    head = ["rung", *(TITLES[kind] for kind in KINDS), "instructions", "bar"]
    return table(head, rows)


def _spread(results: Results, kind: str, rung: str) -> str:
    if rung not in {each.name for each in rungs_of(kind)}:
        return NONE
    found = results.cpu_ratio(kind, rung)
    return "noise" if found is None else _of(found, "{:.2f}")


def _of(found: Middle, how: str) -> str:
    return f"{how.format(found.median)} ({how.format(found.least)} to {how.format(found.most)})"


def cpu(results: Results) -> str:
    """Return the CPU time and the instructions of a request: bare, and what is added to it."""
    rows = []
    for rung in RUNGS:
        cells = []
        for kind in KINDS:
            known = rung in rungs_of(kind)
            cells.append(_added(results, kind, rung.name) if known else NONE)
        rows.append([rung.says, *cells, _instructions(results, rung.name)])
    head = ["rung", *(f"{TITLES[kind]}, µs" for kind in KINDS), "instructions, thousands"]
    return table(head, rows)


def _added(results: Results, kind: str, rung: str) -> str:
    bare = results.cpu(kind, BARE.name).median
    own = results.cpu(kind, rung).median
    return f"{own:.0f}" if rung == BARE.name else f"{bare:.0f} {own - bare:+.0f}"


def _instructions(results: Results, rung: str) -> str:
    if not results.instructions:
        return NONE
    bare, own = (results.instructions[name][0] / 1000 for name in (BARE.name, rung))
    return f"{own:.0f}" if rung == BARE.name else f"{bare:.0f} {own - bare:+.0f}"


def latency(results: Results) -> str:
    """Return latencies at half of the bare server's rate: in ms, and as ratios to bare."""
    rows = []
    for kind in KINDS:
        for rung in rungs_of(kind):
            cells = []
            for which in ("p50_ms", "p99_ms"):
                own = results.latency(kind, rung.name, which).median
                cells.append(f"{own:.2f}")
                times = results.latency_ratio(kind, rung.name, which)
                cells.append("1" if rung == BARE else _of(times, "{:.2f}"))
            rate = f"{results.half_rate[kind]:.0f}"
            rows.append([f"{TITLES[kind]}, {rate}/s", rung.says, *cells])
    head = ["server and rate", "rung", "p50, ms", "of bare", "p99, ms", "of bare"]
    return table(head, rows)


def memory(results: Results) -> str:
    """Return the peaks of the resident size."""
    rows = []
    for rung in RUNGS:
        cells = []
        for kind in KINDS:
            known = rung in rungs_of(kind)
            cells.append(_grown(results, kind, rung.name) if known else NONE)
        rows.append([rung.says, *cells])
    peaks = table(["rung", *(f"{TITLES[kind]}, MB" for kind in KINDS)], rows)
    bare = results.flooded_mb[BARE.name]
    flood = [
        [case, f"{bare:.0f} {peak - bare:+.0f}" if case != BARE.name else f"{peak:.0f}"]
        for case, peak in results.flooded_mb.items()
    ]
    return peaks + "\n" + table(["threaded werkzeug after a flood", "MB"], flood)


def _grown(results: Results, kind: str, rung: str) -> str:
    bare = results.peak(kind, BARE.name).median
    own = results.peak(kind, rung).median
    return f"{own:.0f}" if rung == BARE.name else f"{bare:.0f} {own - bare:+.0f}"


def serving(results: Results) -> str:
    """Return what the serving thread of the single-threaded server spends on a request."""
    rows = []
    for rung in RUNGS:
        if rung.name not in results.serving_us:
            continue
        bare = sorted(results.serving_us[BARE.name])[len(results.serving_us[BARE.name]) // 2]
        added = results.serving_added(rung.name)
        time = f"{bare:.0f}" if rung == BARE else f"{bare:.0f} {added.median:+.0f}"
        rows.append([rung.says, time, _serving_instructions(results, rung.name)])
    return table(["rung", "CPU time, µs", "instructions, thousands"], rows)


def _serving_instructions(results: Results, rung: str) -> str:
    counted = results.serving_instructions
    if rung not in counted:
        return NONE
    bare, own = counted[BARE.name][0] / 1000, counted[rung][0] / 1000
    return f"{own:.0f}" if rung == BARE.name else f"{bare:.0f} {own - bare:+.0f}"


def judged(results: Results) -> str:
    """Return every bar, what was measured, and whether it is met."""
    rows: dict[str, list[str]] = {}
    for bar in bars(results):
        row = rows.setdefault(bar.says, [bar.says, f"{bar.limit:g}", *[NONE] * len(KINDS)])
        verdict = "met" if bar.is_met else "**missed**"
        row[2 + KINDS.index(bar.kind)] = f"{bar.found.median:.2f} {verdict}"
    return table(["bar", "at most", *(TITLES[kind] for kind in KINDS)], list(rows.values()))


BLOCKS = {
    "machine": machine,
    "bars": judged,
    "ratios": ratios,
    "cpu": cpu,
    "latency": latency,
    "serving": serving,
    "memory": memory,
}
"""What may stand in a document, by name."""
