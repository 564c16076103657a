"""Results are read completely, and two that differ are never taken for the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites import outcomes
from suites.outcomes import EXPECTED, Verdict, differing, judge

REPORT = """\
<testsuites><testsuite>
<testcase name="test.test_x.T.test_good" status="run" result="completed"/>
<testcase name="test.test_x.T.test_bad"><failure>no</failure></testcase>
<testcase name="test.test_x.T.test_out"><skipped>why</skipped></testcase>
<testcase name="test.test_x.T.test_known"><output>no</output></testcase>
<testcase name="test.test_x.T.test_better"><outcome>UNEXPECTED_SUCCESS</outcome></testcase>
<testcase/>
<testcase classname="tests.test_y" name="test_both"><error>no</error></testcase>
<testcase classname="tests.test_y" name="test_both"/>
</testsuite></testsuites>
"""


def test_a_report_is_read_test_by_test(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    assert outcomes.read(report) == {
        "test.test_x.T.test_good": "passed",
        "test.test_x.T.test_bad": "failed",
        "test.test_x.T.test_out": "skipped",
        "test.test_x.T.test_known": "failed as expected",
        "test.test_x.T.test_better": "passed unexpectedly",
        "tests.test_y::test_both": "error, passed",
    }


def test_a_run_without_a_report_has_no_results(tmp_path: Path) -> None:
    empty = tmp_path / "empty.xml"
    empty.touch()
    assert outcomes.read(empty) == outcomes.read(tmp_path / "none.xml") == {}


def test_what_regrtest_finds_changed_is_a_result() -> None:
    output = (
        "Warning -- threading_cleanup() failed\n"
        "Warning -- os.environ was modified by test_x\nWarning --   Before: {}\n"
    )
    assert outcomes.environment(output) == {"(environment) os.environ": "changed"}


def test_a_missing_test_differs_and_what_is_expected_does_not() -> None:
    bare = {"a": "passed", "b": "passed", "c": "skipped"}
    watched = {"a": "passed", "c": "failed", "d": "passed", **dict.fromkeys(EXPECTED, "changed")}
    assert differing(bare, watched) == ["b", "c", "d"]


def test_what_is_the_same_is_the_same_or_absent_in_both() -> None:
    one, other = {"a": "passed", "b": "failed"}, {"a": "passed", "b": "passed"}
    assert outcomes.same(["a", "b", "c"], one, other) == ["a", "c"]


@pytest.mark.parametrize(
    ("bare", "watched", "verdict"),
    [
        ("ppp", "fff", Verdict.DIFFERS),
        ("ppp", "ffp", Verdict.DIFFERS),
        ("ppp", "fpp", Verdict.FLAKY),
        ("pfp", "fff", Verdict.FLAKY),
        ("fpp", "ppp", Verdict.FLAKY),
    ],
)
def test_a_difference_is_one_that_happens_again(bare: str, watched: str, verdict: Verdict) -> None:
    assert judge("t", [{"t": one} for one in bare], [{"t": one} for one in watched]) is verdict


def test_several_runs_are_told_by_their_counts() -> None:
    assert outcomes.told("t", [{"t": "passed"}, {}, {"t": "passed"}]) == "2 passed, 1 absent"
    assert outcomes.counted({"t": "passed", outcomes.WHOLE: "0"}) == "1 passed"
