"""The figures that docs/scale.md computes with: kept as JSON, shown as tables."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from stack.programs import ROOT

RESULTS = ROOT / "docs" / "scale.json"


@dataclass(frozen=True)
class Sent:
    """What the sample server sends: bytes of payload, without HTTP's own."""

    spans: float
    """Per connection."""
    trace_bytes: float
    """Per connection."""
    metric_bytes: float
    """Per export of all its metrics."""


@dataclass(frozen=True)
class Spent:
    """What Collectors spend on spans that come as fast as they are taken."""

    spans: int
    taken: float
    """Spans per second."""
    microseconds: float
    """CPU time per span, less the idle."""
    idle: float
    """Seconds of CPU time per second with nothing to do."""
    megabytes: tuple[float, float]
    """Resident: before, and when the last span has just been taken."""

    @property
    def grown(self) -> float:
        """Return the memory that the flood took, in MB."""
        return self.megabytes[1] - self.megabytes[0]


@dataclass(frozen=True)
class Sizing:
    """All that was measured, and on what."""

    machine: dict[str, str]
    sent: dict[str, Sent]
    spent: dict[str, Spent]

    def save(self) -> None:
        """Write it."""
        RESULTS.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls) -> Sizing:
        """Read what `save` has written."""
        found = json.loads(RESULTS.read_text(encoding="utf-8"))
        return cls(
            found["machine"],
            {name: Sent(**values) for name, values in found["sent"].items()},
            {
                name: Spent(**{**values, "megabytes": tuple(values["megabytes"])})
                for name, values in found["spent"].items()
            },
        )


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def sent_table(sizing: Sizing) -> str:
    """Return what a server sends."""
    rows = [
        [name, f"{each.spans:.1f}", f"{each.trace_bytes:,.0f}", f"{each.metric_bytes:,.0f}"]
        for name, each in sizing.sent.items()
    ]
    head = ["a connection with one request to", "spans", "bytes of traces"]
    return table([*head, "bytes of one export of all metrics"], rows)


def spent_table(sizing: Sizing) -> str:
    """Return what Collectors spend."""
    rows = [
        [
            f"`{name}`" if " " not in name else name,
            f"{each.microseconds:.1f}",
            f"{1e6 / each.microseconds:,.0f}",
            f"{each.taken:,.0f}",
            f"{each.idle:.1%}",
            f"{each.megabytes[0]:.0f} + {each.grown:.0f}",
            f"{each.grown * 1e6 / each.spans:,.0f}",
        ]
        for name, each in sizing.spent.items()
    ]
    head = ["configuration", "CPU µs per span", "spans per second of one core"]
    head += ["taken per second here", "idle, of a core", "MB + flood", "bytes held per span"]
    return table(head, rows)


BLOCKS = {
    "machine": lambda sizing: "".join(f"- {key}: {is_}\n" for key, is_ in sizing.machine.items()),
    "sent": sent_table,
    "spent": spent_table,
}
