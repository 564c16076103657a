"""Every figure stands beside its baseline, and a bar that is missed is said to be missed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.bars import bars
from bench.ladder import Sample
from bench.report import BLOCKS
from bench.results import Results
from bench.rungs import EVERYTHING, KINDS, METRICS, RUNGS, named, rungs_of
from tests.docs.test_docs import DOCUMENTS

BARE = Sample(500, export_ms=2, per_second=900, p50_ms=2, p99_ms=8, peak_mb=30, spans=0)
ADDED = {"bare": 0, "again": 0, "off": 4, "metrics": 40, "unsampled": 50, "1%": 80, "100%": 200}


def measured(kind: str, noise: float) -> dict[str, Sample]:
    """One round: the peer adds 400 µs, and every server has the same noise."""
    return {
        rung.name: replace(
            BARE,
            cpu_us=500 + noise + ADDED.get(rung.name, 400),
            spans=float(rung == EVERYTHING or rung.is_peer),
        )
        for rung in rungs_of(kind)
    }


@pytest.fixture
def results() -> Results:
    counts = {rung.name: [1000.0 * (500 + ADDED.get(rung.name, 400))] for rung in RUNGS}
    return Results(
        machine={"processor": "one"},
        half_rate=dict.fromkeys(KINDS, 450.0),
        rounds=[{kind: measured(kind, noise) for kind in KINDS} for noise in (0, 30, -20)],
        serving_us={"bare": [400, 420], "metrics": [410, 450], "unsampled": [430, 450]},
        flooded_mb={"bare": 30, "100%, collector refuses": 60},
        instructions=counts,
        serving_instructions={name: counts[name] for name in ("bare", "metrics")},
    )


def rows(block: str) -> dict[str, list[str]]:
    """Return the rows of a table by their first cell."""
    lines = [line.strip("| ").split(" | ") for line in block.splitlines() if "|" in line]
    return {cells[0]: cells[1:] for cells in lines}


def test_results_are_the_same_after_they_were_kept(results: Results, tmp_path: Path) -> None:
    results.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == results


def test_noise_that_all_servers_of_a_round_share_leaves_the_ratios_alone(results: Results) -> None:
    for kind in KINDS:
        found = results.cpu_ratio(kind, "metrics")
        assert found is not None
        assert found.least == found.median == found.most == pytest.approx(0.1)


def test_a_round_in_which_the_peer_adds_nothing_is_left_out(results: Results) -> None:
    noisy = results.rounds[0]["single"]
    noisy["flask"] = noisy["bare"]
    found = results.cpu_ratio("single", "100%")
    assert found is not None
    assert found.most == pytest.approx(0.5)
    for each in results.rounds:
        each["single"]["flask"] = each["single"]["bare"]
    assert results.cpu_ratio("single", "100%") is None
    assert "noise" in BLOCKS["ratios"](results)


def test_a_bar_is_met_up_to_its_limit_and_missed_above(results: Results) -> None:
    verdicts = {bar.says: bar.is_met for bar in bars(results)}
    assert verdicts["CPU, of the peer's: " + EVERYTHING.says] is False
    assert verdicts["CPU, of the peer's: " + METRICS.says] is True
    table = rows(BLOCKS["bars"](results))
    assert table["CPU, of the peer's: all metrics, no traces"] == ["0.12", *["0.10 met"] * 4]
    every = table["CPU, of the peer's: " + EVERYTHING.says]
    assert every == ["0.35", *["0.50 **missed**"] * 4]
    assert table["memory, MB added: 100%, collector refuses"][1] == "30.00 **missed**"
    assert table["serving thread, µs added: all metrics, no traces"][2] == "20.00 met"


def test_an_absolute_figure_stands_beside_that_of_the_bare_server(results: Results) -> None:
    assert rows(BLOCKS["cpu"](results))[EVERYTHING.says] == ["500 +200"] * 4
    assert rows(BLOCKS["instructions"](results))[EVERYTHING.says] == ["500 +200", "0.500"]
    assert rows(BLOCKS["serving"](results))["all metrics, no traces"] == ["410 +20", "500 +40"]
    assert rows(BLOCKS["flood"](results))["100%, collector refuses"] == ["30 +30"]


def test_the_peers_have_no_figure_where_they_cannot_be(results: Results) -> None:
    for name in ("ratios", "cpu", "memory", "latency"):
        peers = [cells for says, cells in rows(BLOCKS[name](results)).items() if "OpenT" in says]
        assert [cells[-1] for cells in peers] == ["-", "-"]


def test_telemetry_that_was_lost_is_told(results: Results) -> None:
    assert results.incomplete() == []
    lossy = results.rounds[0]["threaded"]
    lossy["100%"] = replace(lossy["100%"], spans=0.5)
    (line,) = results.incomplete()
    assert line.endswith("0.50 spans for each request")


def test_every_table_stands_in_the_document() -> None:
    document = DOCUMENTS["docs/overhead.md"]
    assert all(f"<!-- generated: overhead: {name} -->" in document for name in BLOCKS)


def test_the_picture_is_the_same_from_the_same_results(results: Results, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs tcpwatch[bench]")
    from bench.plot import plot

    for name in ("one", "other"):
        plot(results, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_rungs_are_taken_by_name_in_the_ladders_order() -> None:
    assert [rung.name for rung in named("flask, 100%,bare")] == ["bare", "100%", "flask"]
    with pytest.raises(ValueError, match="no rung 'ful'; there are bare, "):
        named("bare,ful")
