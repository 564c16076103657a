"""Run other people's test suites bare and watched, and compare them result by result.

Run it with the Python to test on; arguments are names of suites, all if there are none. The last
line counts the comparisons.
"""

from __future__ import annotations

import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from environments import CannotError, probe
from suites.catalogue import SUITES, Suite
from suites.outcomes import EXPECTED, WHOLE, Verdict, counted, differing, judge, same, told
from suites.place import Place, prepare
from suites.running import Run, run_bare, run_loaded, run_watched

RETRIES = 3


@dataclass
class Comparison:
    """One suite, run bare and watched."""

    suite: Suite
    bare: Run
    watched: Run
    differences: list[str] = field(default_factory=list)
    flaky: list[str] = field(default_factory=list)
    by_import: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """How many comparisons failed; a complaint is one."""
        return len(self.differences) + len(self.complaints)

    @property
    def passed(self) -> int:
        """How many tests were found to be the same."""
        compared = {*self.bare.results, *self.watched.results} - EXPECTED
        return len(compared) - len(self.differences) - len(self.by_import)


def run_both(suite: Suite, place: Place, attempt: int) -> tuple[Run, Run]:
    """Run a suite bare and watched, side by side: both have the same machine."""
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run, suite, place, attempt) for run in (run_bare, run_watched)]
        bare, watched = (run.result() for run in runs)
        return bare, watched


def compare(suite: Suite, place: Place) -> Comparison:
    """Run a suite bare and watched; what differs is tried again."""
    print(f"{suite.name} ...", flush=True)
    bare, watched = run_both(suite, place, 0)
    found = Comparison(suite, bare, watched)
    if "passed" not in found.bare.results.values():
        found.complaints.append(f"nothing passes bare, see {found.bare.log}")
    found.complaints += found.watched.complaints(suite)
    different = differing(found.bare.results, found.watched.results)
    if suite.import_shy.intersection(different):
        loaded = run_loaded(suite, place).results
        shy = [test for test in different if test in {*suite.import_shy, WHOLE}]
        found.by_import = same(shy, loaded, found.watched.results)
        different = [test for test in different if test not in found.by_import]
    if different:
        print(f"  {len(different)} differ, {RETRIES} more runs of each kind ...", flush=True)
        runs = [(bare, watched), *(run_both(suite, place, n + 1) for n in range(RETRIES))]
        for _, again in runs[1:]:
            found.complaints += again.complaints(suite)
        bares, watches = ([run.results for run in kind] for kind in zip(*runs, strict=True))
        for test in different:
            verdict = judge(test, bares, watches)
            group = found.differences if verdict is Verdict.DIFFERS else found.flaky
            group.append(f"{test}: bare {told(test, bares)}; watched {told(test, watches)}")
    return found


def table(comparisons: list[Comparison]) -> str:
    """Return the results as a table in Markdown."""
    lines = [
        "| suite | bare | watched | differ | connections | processes | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in comparisons:
        bare, watched, received = each.bare, each.watched, each.watched.received
        cells = (
            each.suite.name,
            counted(bare.results),
            counted(watched.results),
            len(each.differences),
            received.connections,
            received.processes,
            f"{bare.seconds:.0f}, {watched.seconds:.0f}",
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def has_tests() -> bool:
    """Say whether this Python has its own tests: distributions like to leave them out."""
    found = importlib.util.find_spec("test")
    return found is not None and importlib.util.find_spec("test.test_socketserver") is not None


def main(names: list[str]) -> int:
    """Run the suites, tell each, sum up; the exit status says whether anything differs."""
    chosen = [suite for suite in SUITES if suite.name in names or not names]
    if unknown := set(names) - {suite.name for suite in chosen}:
        sys.exit(f"no such suite: {', '.join(sorted(unknown))}")
    python = probe(Path(sys.executable))
    if python is None or not has_tests():
        sys.exit(f"{sys.executable} comes without CPython's own tests; try make suites PYTHON=...")
    try:
        place = prepare(python, [suite.name for suite in chosen if suite.distribution])
    except CannotError as why:
        sys.exit(f"the suites cannot be prepared: {why}")
    comparisons = [compare(suite, place) for suite in chosen]
    print(f"\nPython {python.name}\n\n{table(comparisons)}\n")
    for each in comparisons:
        for word, lines in (
            ("differs", each.differences),
            ("flaky", each.flaky),
            ("by an import alone", each.by_import),
            ("wrong", each.complaints),
        ):
            for line in lines:
                print(f"{word}: {each.suite.name}: {line}")
    failed = sum(each.failed for each in comparisons)
    print(f"{sum(each.passed for each in comparisons)} passed, {failed} failed", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
