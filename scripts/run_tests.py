"""Run the tests on every CPython found, two at a time, and close with the sum.

Tests that measure milliseconds come afterwards, with nothing beside them. With `--hard` first, the
hard cases instead. All other arguments go to pytest.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from environments import ROOT, Environment, all_environments

HARD = ("tests/hard", "tests/suites")
"""Slow tests, for which there is `make hard`."""
ELSEWHERE = {
    "tests/browser": "make browser",
    "tests/load": "make stack-test",
    "tests/stack": "make stack-test",
}
"""What needs more than Python, a Chromium or Go, and the verb that runs it."""
WITHOUT_C_TOO = ("tests/live",)
WITHOUT_C = ROOT / "tests" / "without_c"
"""What is tested once more as where there was no compiler, and what makes it so."""
AT_ONCE = min(2, os.cpu_count() or 1)
"""Runs at a time: they wait more than they compute."""
NO_TESTS = 5
"""pytest's exit status if the arguments leave no test to run."""


@dataclass
class Result:
    """What one run of pytest, or all of them, came to."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    """The tests that failed, each with the beginning of why."""

    def __str__(self) -> str:
        """Read like pytest's closing line."""
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"

    def add(self, other: Result) -> None:
        """Add another run."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures


def read(report: Path, status: int) -> Result:
    """Read pytest's report; a run that failed without naming a test counts as one failure."""
    result = Result()
    if report.exists():
        for suite in ET.parse(report).iter("testsuite"):  # noqa: S314 - our own pytest wrote it
            count = {key: int(suite.get(key, 0)) for key in ("failures", "errors", "skipped")}
            result.failed += count["failures"] + count["errors"]
            result.skipped += count["skipped"]
            result.passed += int(suite.get("tests", 0)) - sum(count.values())
            result.failures += [
                f"{case.get('classname')}::{case.get('name')}: {why.get('message', '')[:200]}"
                for case in suite.iter("testcase")
                for why in [*case.iter("failure"), *case.iter("error")]
            ]
    if status not in {0, NO_TESTS} and not result.failed:
        result.failed = 1
    return result


@dataclass
class Run:
    """One run of pytest: what it came to, what it printed, and its seconds."""

    result: Result
    output: str
    seconds: float


def test(environment: Environment, arguments: list[str], **variables: str) -> Run:
    """Run pytest in one environment, with these variables."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    clean |= variables
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        done = subprocess.run(
            [*(environment.python, "-m", "pytest", "-q"), f"--junitxml={report}", *arguments],
            cwd=ROOT,
            env=clean,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Run(read(report, done.returncode), done.stdout, time.monotonic() - began)


def portions(arguments: list[str]) -> list[tuple[int, list[str]]]:
    """Return what to run one after another: how many at a time, and the arguments for pytest."""
    if arguments[:1] == ["--hard"]:
        wanted = [*HARD, *arguments[1:]]
    else:
        wanted = [*(f"--ignore={ROOT / folder}" for folder in (*HARD, *ELSEWHERE)), *arguments]
    return [(AT_ONCE, ["-m", "not alone", *wanted]), (1, ["-m", "alone", *wanted])]


def main(arguments: list[str]) -> int:
    """Run all, tell each, sum up; the exit status says whether anything failed."""
    environments = all_environments()
    names = [environment.made_from.name for environment in environments]
    sums = {name: Run(Result(), "", 0.0) for name in names}
    for at_once, chosen in portions(arguments):
        print(f"testing on Python {', '.join(names)}, {at_once} at a time ...", flush=True)
        with ThreadPoolExecutor(at_once) as pool:
            runs = pool.map(functools.partial(test, arguments=chosen), environments)
            for name, run in zip(names, runs, strict=True):
                print(f"\n=== Python {name} ===\n{run.output}", flush=True)
                sums[name].result.add(run.result)
                sums[name].seconds += run.seconds
    if arguments[:1] != ["--hard"]:
        name = f"{names[0]}, nothing in C"
        wanted = arguments or list(WITHOUT_C_TOO)
        sums[name] = run = test(
            environments[0], ["-m", "not alone", *wanted], PYTHONPATH=str(WITHOUT_C)
        )
        print(f"\n=== Python {name} ===\n{run.output}", flush=True)
    total = Result()
    print()
    for folder, verb in ELSEWHERE.items():
        print(f"not run here: {folder} ({verb})")
    for name, run in sums.items():
        print(f"Python {name}: {run.result} in {run.seconds:.0f} s")
        for failure in run.result.failures:
            print(f"  failed: {failure}")
        total.add(run.result)
    print(total, flush=True)
    return bool(total.failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
