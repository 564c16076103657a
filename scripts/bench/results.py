"""The results: kept as JSON, each figure with the baseline that was measured in the same round."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.ladder import Sample
from bench.ratios import Middle, middle, ratio
from bench.rungs import (
    BARE,
    EVERYTHING,
    FORKING,
    HTTP,
    KINDS,
    PEER,
    THREADED,
    TITLES,
    rungs_of,
)


@dataclass
class Results:
    """Everything that a run has measured."""

    machine: dict[str, str]
    half_rate: dict[str, float]
    """Kind -> requests a second at which latency was measured."""
    rounds: list[dict[str, dict[str, Sample]]] = field(default_factory=list)
    """Of each round: kind -> rung -> sample."""
    serving_us: dict[str, list[float]] = field(default_factory=dict)
    """Rung -> CPU time of the serving thread per request, of each block."""
    flooded_mb: dict[str, float] = field(default_factory=dict)
    """Case -> peak of the resident size."""
    instructions: dict[str, list[float]] = field(default_factory=dict)
    """Rung -> instructions per request."""
    serving_instructions: dict[str, list[float]] = field(default_factory=dict)
    """The same of the serving thread alone."""

    def save(self, path: Path) -> None:
        """Write the results as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` has written."""
        values = json.loads(path.read_text(encoding="utf-8"))
        values["rounds"] = [
            {
                kind: {rung: Sample(**sample) for rung, sample in samples.items()}
                for kind, samples in kinds.items()
            }
            for kinds in values["rounds"]
        ]
        return cls(**values)

    def samples(self, kind: str, rung: str) -> list[Sample]:
        """Return the samples of a server, one of each round."""
        return [each[kind][rung] for each in self.rounds]

    def cpu(self, kind: str, rung: str) -> Middle:
        """Return the CPU time of a request, in µs."""
        return middle([sample.cpu_us for sample in self.samples(kind, rung)])

    def cpu_ratio(self, kind: str, rung: str) -> Middle | None:
        """Return what a rung adds, as a ratio to what the peer adds in the same round.

        The peer knows WSGI only: http.server's unit is what it adds to threaded werkzeug. None if
        the peer has added nothing in every round, which is noise.
        """
        of_peer = THREADED if kind == HTTP else kind
        ratios = []
        for each in self.rounds:
            bare, peer = each[of_peer][BARE.name].cpu_us, each[of_peer][PEER.name].cpu_us
            if peer > bare:
                own = each[kind]
                ratios.append(ratio(own[rung].cpu_us, own[BARE.name].cpu_us, peer, bare))
        return middle(ratios) if ratios else None

    def latency_ratio(self, kind: str, rung: str, which: str) -> Middle:
        """Return a latency (`p50_ms`, `p99_ms`) as a ratio to bare in the same round."""
        return middle(
            [
                getattr(each[kind][rung], which) / getattr(each[kind][BARE.name], which)
                for each in self.rounds
            ]
        )

    def latency(self, kind: str, rung: str, which: str) -> Middle:
        """Return a latency (`p50_ms`, `p99_ms`) in ms."""
        return middle([getattr(sample, which) for sample in self.samples(kind, rung)])

    def peak(self, kind: str, rung: str) -> Middle:
        """Return the peak of the resident size in MB."""
        return middle([sample.peak_mb for sample in self.samples(kind, rung)])

    def serving_added(self, rung: str) -> Middle:
        """Return what a rung adds to the serving thread, block by block, in µs."""
        pairs = zip(self.serving_us[rung], self.serving_us[BARE.name], strict=True)
        return middle([own - bare for own, bare in pairs])

    def instruction_ratio(self, rung: str) -> float:
        """Return the instructions that a rung adds, as a ratio to those that the peer adds."""
        own, bare, peer = (
            middle(self.instructions[name]).median for name in (rung, BARE.name, PEER.name)
        )
        return ratio(own, bare, peer)

    def incomplete(self) -> list[str]:
        """Return a line for each sample with less than a span for each request that was traced.

        Its figures leave out what was lost. In a forking server the peer loses everything.
        """
        return [
            f"{TITLES[kind]}, {rung.says}: {sample.spans:.2f} spans for each request"
            for kind in KINDS
            for rung in rungs_of(kind)
            if rung == EVERYTHING or (rung.is_peer and kind != FORKING)
            for sample in self.samples(kind, rung.name)
            if sample.spans < 1
        ]
