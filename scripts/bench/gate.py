"""The gate: a request must not cost more instructions than it did, beside those of the peer.

Compares the ratios to the peer with those of baseline.json, which were measured with the same minor
version of Python, and fails if one has grown by more than a tenth.

    python -m bench.gate             compare
    python -m bench.gate --accept    make what is measured now the baseline

Accepting measures with the running Python and with those of the environments that make test makes.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.instructions import CURE, KEEP_ALIVE, Counts, measure, told, valgrind
from bench.processes import Subject
from bench.ratios import middle, ratio
from bench.rungs import BARE, EVERYTHING, METRICS, PEER
from environments import ROOT

BASELINE = Path(__file__).with_name("baseline.json")
OTHERS = ROOT / ".venvs"
RUNGS = (BARE, METRICS, EVERYTHING, PEER)
KEPT_RUNGS = (BARE, METRICS, EVERYTHING)
"""Those of a server that keeps its connection alive."""
GROWTH = 0.1
"""So much more than the baseline is still the same; other releases of the peer differ as much."""

Ratios = dict[str, float]


def running() -> str:
    """Return the minor version of this Python."""
    return ".".join(platform.python_version_tuple()[:2])


@dataclass(frozen=True)
class Counted:
    """What was counted of one Python: a connection for each request, and one that is kept alive."""

    each: Counts
    kept: Counts

    def ratios(self) -> Ratios:
        """Return the ratio to the peer of each of our rungs; the peer has a connection for each."""
        each, kept = _medians(self.each), _medians(self.kept)
        bare, peer, bare_kept = each.pop(BARE.name), each.pop(PEER.name), kept.pop(BARE.name)
        return {name: ratio(count, bare, peer) for name, count in each.items()} | {
            f"{name}, keep-alive": ratio(count, bare_kept, peer, bare)
            for name, count in kept.items()
        }

    def told(self) -> str:
        """Return it as two tables."""
        return f"{told(self.each)}\n\nkeep-alive\n{told(self.kept)}"


def count(subjects: Sequence[Subject]) -> dict[Subject, Counted]:
    """Count the instructions of some Pythons."""
    each, kept = measure(subjects, RUNGS), measure(subjects, KEPT_RUNGS, KEEP_ALIVE)
    return {subject: Counted(each[subject], kept[subject]) for subject in subjects}


def _medians(counts: Counts) -> Ratios:
    return {name: middle(values).median for name, values in counts.items()}


def grown(found: Mapping[str, float], baseline: Mapping[str, float]) -> list[str]:
    """Return a line for each ratio that has grown too much, or that has no baseline."""
    complaints = []
    for rung, now in found.items():
        before = baseline.get(rung)
        if before is None:
            complaints.append(f"{rung}: {now:.3f}, and no baseline to compare it with")
        elif now > before * (1 + GROWTH):
            more = now / before - 1
            complaints.append(f"{rung}: {before:.3f} has become {now:.3f}, {more:.0%} more")
    return complaints


def accept() -> int:
    """Make what is measured now the baseline of every Python that has an environment."""
    others = {folder.name: Subject(folder / "bin" / "python") for folder in OTHERS.glob("3.*")}
    subjects = {running(): Subject(), **others}
    counted = count(list(subjects.values()))
    baseline = json.loads(BASELINE.read_text(encoding="utf-8"))
    for python, subject in subjects.items():
        print(f"\nPython {python}\n{counted[subject].told()}")
        baseline[python] = {
            name: round(value, 4) for name, value in counted[subject].ratios().items()
        }
    ordered = dict(sorted(baseline.items(), key=lambda each: int(each[0].split(".")[1])))
    BASELINE.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
    print(f"\naccepted: {BASELINE.name}")
    return 0


def compare() -> int:
    """Compare with the baseline of this Python; say what has grown."""
    counted = count([Subject()])[Subject()]
    print(counted.told())
    known: dict[str, Ratios] = json.loads(BASELINE.read_text(encoding="utf-8"))
    complaints = grown(counted.ratios(), known.get(running(), {}))
    for complaint in complaints:
        print(f"instructions beside the peer's: {complaint}")
    if complaints:
        print("make it cheaper, or accept it: make instructions ACCEPT=1")
    else:
        print(f"no ratio to the peer is more than {GROWTH:.0%} above the baseline of {running()}")
    return bool(complaints)


def main(arguments: list[str]) -> int:
    """Compare or accept; the exit status says whether a ratio has grown."""
    if arguments not in ([], ["--accept"]):
        print(__doc__)
        return 2
    if not valgrind():
        sys.exit(CURE)
    return accept() if arguments else compare()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
