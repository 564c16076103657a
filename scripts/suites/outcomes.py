"""The results of a run, test by test, and what two or more runs say of each other."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path

ABSENT = "absent"
WHOLE = "(exit status)"
"""Stands among the tests for the run as a whole."""

ENVIRONMENT = "(environment) "
"""Begins what regrtest found to be another after the tests than before."""

EXPECTED = {
    # The worker and the exporters begin with the first connection and end with the process.
    ENVIRONMENT + "threading._dangling",
}
"""What a watched run may leave changed; tests themselves are never expected to differ."""

_CHANGED = re.compile(r"^Warning -- (\S+) was modified by ", re.MULTILINE)

Results = Mapping[str, str]
"""Test id -> passed, failed, error, skipped, …"""


class Verdict(Enum):
    """What repeated runs say of a test whose first two results differ."""

    FLAKY = "flaky"
    DIFFERS = "differs"


def read(report: Path) -> dict[str, str]:
    """Return the result of every test in a JUnit report; {} if the run left none.

    regrtest leaves out the names of tests of which only a subtest failed: they are absent.
    """
    results: dict[str, str] = {}
    if report.exists() and report.stat().st_size:
        for case in ET.parse(report).iter("testcase"):  # noqa: S314 - our own run has written it
            name = case.get("name")
            if name is not None:
                test = f"{case.get('classname', '')}::{name}".removeprefix("::")
                result = _result(case)
                # A test that fails and then fails to clean up has two results.
                results[test] = f"{results[test]}, {result}" if test in results else result
    return results


def environment(output: str) -> dict[str, str]:
    """Return what regrtest says in `output` that a file of tests has left changed."""
    return {ENVIRONMENT + what: "changed" for what in _CHANGED.findall(output)}


def _result(case: ET.Element) -> str:
    for tag, result in (
        ("error", "error"),
        ("failure", "failed"),
        ("skipped", "skipped"),
        ("output", "failed as expected"),
        ("outcome", "passed unexpectedly"),
    ):
        if case.find(tag) is not None:
            return result
    return "passed"


def differing(bare: Results, watched: Results) -> list[str]:
    """Return what has not the same result in both, in order, but for what is expected."""
    return sorted(
        test
        for test in {*bare, *watched} - EXPECTED
        if bare.get(test, ABSENT) != watched.get(test, ABSENT)
    )


def same(tests: Iterable[str], one: Results, other: Results) -> list[str]:
    """Return those of the tests that have the same result in both."""
    return [test for test in tests if one.get(test, ABSENT) == other.get(test, ABSENT)]


def judge(test: str, bare: Sequence[Results], watched: Sequence[Results]) -> Verdict:
    """Tell a flaky test from a difference, by the first pair of runs and those that followed.

    It is a difference if it happened again: two watched results that no bare run has.
    """
    known = {results.get(test, ABSENT) for results in bare}
    strange = [results for results in watched if results.get(test, ABSENT) not in known]
    return Verdict.DIFFERS if len(strange) > 1 else Verdict.FLAKY


def told(test: str, runs: Sequence[Results]) -> str:
    """Return what became of a test in several runs: `3 passed, 1 failed`."""
    counts = Counter(results.get(test, ABSENT) for results in runs)
    return ", ".join(f"{count} {result}" for result, count in counts.most_common())


def counted(results: Results) -> str:
    """Return how many tests had which result: `40 passed, 2 skipped`."""
    counts = Counter(result for test, result in results.items() if not test.startswith("("))
    return ", ".join(f"{count} {result}" for result, count in counts.most_common()) or "no results"
