"""The picture: what each rung adds to a request's CPU time, beside what the peers add."""

from __future__ import annotations

from pathlib import Path

from bench.bars import CPU
from bench.results import Results
from bench.rungs import KINDS, TCPWATCH, TITLES, rungs_of

OURS, OTHERS, BAR = "#3b6ea5", "#b0b0b0", "#c03a2b"


def plot(results: Results, path: Path) -> None:
    """Draw it as SVG: the same file from the same results."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "tcpwatch"
    mpl.rcParams["svg.fonttype"] = "none"
    figure = Figure(figsize=(9, 6), layout="constrained")
    for kind, axes in zip(KINDS, figure.subplots(2, 2, sharex=True).flat, strict=True):
        rungs = [rung for rung in rungs_of(kind)[1:] if results.cpu_ratio(kind, rung.name)]
        for at, rung in enumerate(reversed(rungs)):
            found = results.cpu_ratio(kind, rung.name)
            assert found is not None
            whiskers = [[found.median - found.least], [found.most - found.median]]
            colour = OURS if rung.watch == TCPWATCH else OTHERS
            axes.barh(at, found.median, color=colour, xerr=whiskers, ecolor="#444444", capsize=2)
            if rung in CPU:
                axes.plot([CPU[rung]] * 2, [at - 0.45, at + 0.45], color=BAR, linewidth=2)
        names = {"again": "bare, again", "flask": "OTel Flask", "wsgi": "OTel WSGI"}
        axes.set_yticks(
            range(len(rungs)), [names.get(rung.name, rung.name) for rung in reversed(rungs)]
        )
        axes.set_title(TITLES[kind], fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("CPU time added to a request; OpenTelemetry Flask adds 1. Red: the bar.")
    figure.savefig(path, format="svg", metadata={"Date": None})
