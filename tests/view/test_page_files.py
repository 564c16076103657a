"""The page's files: small, and without the ways in which text becomes markup or code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tcpwatch import names
from tcpwatch.view.web.app import PAGE

SCRIPTS = sorted(PAGE.rglob("*.js"))
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://(?!www\.w3)"
)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(PAGE)))
def test_a_script_says_what_it_is_for_and_makes_no_markup(path: Path) -> None:
    """What came over the network is only ever text; and a file has one purpose's length."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith("// ")
    assert not FORBIDDEN.search(text)
    assert len(text.splitlines()) <= 300


def test_every_phase_has_a_colour_in_both_themes() -> None:
    """The canvas, the legend and the bars take it from one place."""
    style = (PAGE / "style" / "base.css").read_text(encoding="utf-8")
    for phase in names.PHASES:
        assert style.count(f"--{phase}: ") == 2


def test_the_page_numbers_phases_as_the_contract_does() -> None:
    """The viewer sends a phase as its place in the list."""
    model = (PAGE / "loop" / "model.js").read_text(encoding="utf-8")
    listed = re.search(r"PHASES = \[(.*?)\]", model, re.DOTALL)
    assert listed
    assert re.findall(r'"(\w+)"', listed[1]) == list(names.PHASES)
