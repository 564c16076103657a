"""The gate lets through what costs the same, and nothing that costs more by over a tenth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import gate
from bench.gate import BASELINE, GROWTH, KEPT_RUNGS, RUNGS, Counted, grown
from bench.instructions import KEEP_ALIVE, PROCESS, Tool, total
from bench.processes import Subject
from bench.rungs import Rung

COUNTS = {"bare": [100.0], "metrics": [120.0], "100%": [150.0], "flask": [300.0]}
KEPT = {"bare": [40.0], "metrics": [50.0], "100%": [80.0]}
RATIOS = {"metrics": 0.1, "100%": 0.25, "metrics, keep-alive": 0.05, "100%, keep-alive": 0.2}


def test_a_ratio_is_taken_of_each_rung_that_is_ours() -> None:
    """A server that keeps connections has no peer: its unit is what the peer adds to the other."""
    assert Counted(COUNTS, KEPT).ratios() == RATIOS


@given(st.floats(0.001, 10), st.floats(0, 3))
def test_more_than_a_tenth_above_the_baseline_is_too_much(before: float, times: float) -> None:
    found = grown({"metrics": before * times}, {"metrics": before})
    assert bool(found) == (before * times > before * (1 + GROWTH))


def test_a_rung_without_a_baseline_is_named() -> None:
    assert grown({"new": 0.1}, {}) == ["new: 0.100, and no baseline to compare it with"]


def test_a_complaint_says_what_it_was_and_what_it_is() -> None:
    assert grown({"100%": 0.4}, {"100%": 0.32}) == ["100%: 0.320 has become 0.400, 25% more"]


def test_every_baseline_has_every_rung_that_is_compared() -> None:
    ours = {rung.name for rung in RUNGS} - {"bare", "flask"}
    ours |= {f"{rung.name}, keep-alive" for rung in KEPT_RUNGS if rung.name != "bare"}
    known = json.loads(BASELINE.read_text())
    assert known
    assert all(set(ratios) == ours for ratios in known.values())


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, list[float]]:
    """What is counted next, on the running Python, with a baseline that is still empty."""
    baseline = tmp_path / "baseline.json"
    baseline.write_text("{}")
    counts = dict(COUNTS)

    def measure(
        subjects: Sequence[Subject], rungs: Sequence[Rung], tool: Tool = PROCESS
    ) -> dict[Subject, dict[str, list[float]]]:
        return dict.fromkeys(subjects, KEPT if tool is KEEP_ALIVE else counts)

    monkeypatch.setattr(gate, "BASELINE", baseline)
    monkeypatch.setattr(gate, "valgrind", lambda: "valgrind")
    monkeypatch.setattr(gate, "OTHERS", tmp_path)
    monkeypatch.setattr(gate, "measure", measure)
    return counts


@pytest.mark.parametrize(("metrics", "status"), [(120.0, 0), (140.0, 1)])
def test_the_exit_status_is_the_verdict(
    counting: dict[str, list[float]],
    capsys: pytest.CaptureFixture[str],
    metrics: float,
    status: int,
) -> None:
    assert gate.main(["--accept"]) == 0
    counting["metrics"] = [metrics]
    assert gate.main([]) == status
    assert ("make instructions ACCEPT=1" in capsys.readouterr().out.splitlines()[-1]) == status


@pytest.mark.usefixtures("counting")
def test_every_python_that_has_an_environment_gets_a_baseline(tmp_path: Path) -> None:
    (tmp_path / "3.99").mkdir()
    gate.main(["--accept"])
    assert json.loads(gate.BASELINE.read_text()) == {gate.running(): RATIOS, "3.99": RATIOS}


@pytest.mark.usefixtures("counting")
def test_a_python_without_a_baseline_does_not_pass() -> None:
    assert gate.main([]) == 1


def test_without_valgrind_the_gate_fails_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="apt-get install valgrind"):
        gate.main([])


def test_the_total_of_cachegrind_and_of_callgrind_is_read() -> None:
    assert total("desc: I1\nevents: Ir\nfn=main\n3 40\nsummary: 1234567\n") == 1234567
    assert total("events: Ir\n\nfn=(1) main\n3 40\n\ntotals: 89\n") == 89


def test_a_report_that_was_cut_off_has_no_total() -> None:
    with pytest.raises(ValueError, match="end by itself"):
        total("events: Ir\nfn=main\n3 40\n")
