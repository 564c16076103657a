"""The contract as data: docs/telemetry.md read by its tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "telemetry.md"
SEMCONV_REQUEST = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
SEMCONV_UNITS = {
    "process.cpu.time": ("counter", "s"),
    "process.memory.usage": ("up-down", "By"),
    "process.thread.count": ("up-down", "{thread}"),
    "process.unix.file_descriptor.count": ("up-down", "{file_descriptor}"),
    "process.context_switches": ("counter", "{context_switch}"),
}
"""What the contract leaves to OpenTelemetry's semantic conventions."""
ATTRIBUTE = (
    r"`((?:tcpwatch|network|http|url|tls|code|error|server|client|user_agent|process)"
    r"\.[a-z_]+(?:\.[a-z_]+)*)`"
)
MODULES = {"http.server", "tcpwatch.connection"}
"""Dotted words of the prose that are no attributes."""


@dataclass(frozen=True)
class Metric:
    """One metric as the contract wants it: `kind` as OTLP calls it."""

    name: str
    kind: str
    unit: str
    monotonic: bool
    bounds: tuple[float, ...]


def section(number: int) -> str:
    """Return the text of one numbered section."""
    text = DOCUMENT.read_text()
    found = re.search(rf"^## {number}\. .*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no section {number} in {DOCUMENT.name}"
    return found.group()


def rows(text: str) -> Iterator[list[str]]:
    """Return the cells of each table row, without heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if "`" in cells[0]:
            yield cells


def quoted(cell: str) -> list[str]:
    """Return the names in a cell; `a.b`, `.c` stands for `a.b` and `a.c`."""
    names: list[str] = []
    for name in re.findall(r"`([^`]+)`", cell):
        full = names[0].rpartition(".")[0] + name if name.startswith(".") else name
        names.append(full)
    return names


def _metrics() -> Iterator[Metric]:
    for cells in rows(section(3)):
        for name in quoted(cells[0]):
            instrument, unit = SEMCONV_UNITS.get(name, (cells[1], (*quoted(cells[2]), "")[0]))
            numbers = re.findall(r"(?<![\w])\d*\.?\d+", instrument)
            bounds = tuple(float(number) for number in numbers)
            if "semconv buckets" in instrument:
                bounds = SEMCONV_REQUEST
            kind = "histogram" if "histogram" in instrument else "sum"
            kind = "gauge" if "gauge" in instrument else kind
            units = quoted(cells[2]) if name not in SEMCONV_UNITS else [unit]
            position = quoted(cells[0]).index(name) if len(units) > 1 else 0
            yield Metric(name, kind, units[position], "counter" in instrument, bounds)


METRICS = {metric.name: metric for metric in _metrics()}


def attributes() -> set[str]:
    """Return the attribute names: those of the span table, and those that the prose gives."""
    table = {name for cells in rows(section(2)) for name in quoted(cells[0])}
    prose = set(re.findall(ATTRIBUTE, "".join(map(section, (1, 2, 3, 5)))))
    return table | (prose - set(METRICS) - MODULES)
