"""Run the tests on every CPython found, one after another, and close with the sum.

Arguments go to pytest. One after another, because the live tests measure time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from environments import ROOT, Environment, all_environments

OWN_VERB = ("tests/browser", "tests/hard", "tests/suites")
"""Slow suites: `make browser`, `make hard`, `make suites`."""


@dataclass
class Result:
    """What one run of pytest, or all of them, came to."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        """Read like pytest's closing line."""
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"

    def add(self, other: Result) -> None:
        """Add another run."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def read(report: Path, status: int) -> Result:
    """Read pytest's report; a run that failed without naming a test counts as one failure."""
    result = Result()
    if report.exists():
        for suite in ET.parse(report).iter("testsuite"):  # noqa: S314 - our own pytest wrote it
            count = {key: int(suite.get(key, 0)) for key in ("failures", "errors", "skipped")}
            result.failed += count["failures"] + count["errors"]
            result.skipped += count["skipped"]
            result.passed += int(suite.get("tests", 0)) - sum(count.values())
    if status and not result.failed:
        result.failed = 1
    return result


def test(environment: Environment, arguments: list[str]) -> Result:
    """Run pytest in one environment."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        status = subprocess.run(
            [
                *(environment.python, "-m", "pytest", "-q"),
                *(f"--ignore={ROOT / folder}" for folder in OWN_VERB),
                *(f"--junitxml={report}", *arguments),
            ],
            cwd=ROOT,
            env=clean,
            check=False,
        ).returncode
        return read(report, status)


def main(arguments: list[str]) -> int:
    """Run all, tell each, sum up; the exit status says whether anything failed."""
    lines, total = [], Result()
    for environment in all_environments():
        print(f"\n=== Python {environment.made_from.name} ===", flush=True)
        began = time.monotonic()
        result = test(environment, arguments)
        total.add(result)
        took = time.monotonic() - began
        lines.append(f"Python {environment.made_from.name}: {result} in {took:.0f} s")
    print("\n" + "\n".join(lines))
    print(total, flush=True)
    return bool(total.failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
