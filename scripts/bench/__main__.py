"""Measure the whole ladder and write docs/overhead.json, the plot and the tables of the document.

python -m bench                       five rounds and the instructions: about a quarter of an hour
python -m bench --rounds 1 --quick    a look: nothing is written
python -m bench --check               fail if a bar is missed
python -m bench --redraw              measure nothing, write again what the last run has found
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from bench import instructions, ladder
from bench.bars import bars
from bench.machine import machine
from bench.plot import plot
from bench.processes import Subject
from bench.report import cpu, judged, ratios
from bench.results import Results
from bench.rungs import BARE, KINDS, METRICS, RUNGS, UNSAMPLED

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "overhead.json"
PICTURE = ROOT / "docs" / "overhead.svg"


def say(words: str) -> None:
    """Say what is being done."""
    print(words, flush=True)


def measure(rounds: int, quick: bool) -> Results:
    """Return the results of so many rounds; `quick`: only the ladder."""
    subject = Subject()
    with ladder.beside(subject) as bench:
        results = Results(machine(), {kind: ladder.half_rate(bench, kind) for kind in KINDS})
        for turn in range(rounds):
            began = time.monotonic()
            results.rounds.append(
                {kind: ladder.climb(bench, kind, results.half_rate[kind], turn) for kind in KINDS}
            )
            say(f"round {turn + 1} of {rounds}: {time.monotonic() - began:.0f} s")
        say("the serving thread ...")
        results.serving_us = ladder.serving(bench)
        if quick:
            return results
        say("memory ...")
        results.flooded_mb = ladder.flooded(bench)
    say("instructions ...")
    results.instructions = instructions.measure([subject], RUNGS)[subject]
    results.serving_instructions = instructions.measure(
        [subject], (BARE, METRICS, UNSAMPLED), instructions.SERVING_THREAD
    )[subject]
    return results


def main(arguments: list[str]) -> int:
    """Measure, write, tell; the exit status says whether a bar is missed, if asked to check."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="no instructions, nothing written")
    parser.add_argument("--check", action="store_true", help="fail if a bar is missed")
    parser.add_argument("--redraw", action="store_true", help="measure nothing")
    options = parser.parse_args(arguments)
    if options.redraw:
        results = Results.load(RESULTS)
    elif options.quick or instructions.valgrind():
        results = measure(options.rounds, options.quick)
    else:
        sys.exit(instructions.CURE)
    if not options.quick:
        results.save(RESULTS)
        plot(results, PICTURE)
        subprocess.run([sys.executable, ROOT / "scripts" / "docs.py"], check=True)
    for block in (ratios, cpu, judged):
        print("\n" + block(results))
    missed = [bar for bar in bars(results) if not bar.is_met]
    print(f"{len(missed)} of {len(list(bars(results)))} bars are missed")
    lost = results.incomplete()
    for line in lost:
        print(f"telemetry was lost: {line}")
    return bool(missed or lost) and options.check


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
