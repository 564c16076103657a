"""The house: its rooms import downwards only, and its names are the contract's."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tcpwatch import names
from tests import contract

SOURCE = Path(__file__).parents[1] / "src" / "tcpwatch"
ROOMS = (
    "__main__",
    "cli",
    "instrumentor",
    "__init__",
    "session",
    "view",
    "testing",
    "patches",
    "emit",
    "hub",
    "kernel",
    "core",
    "names",
    "settings",
    "guard",
    "weak",
)
"""From the top down; a room may import those below it. Commands use the public face as you do."""
STRANGERS = {("patches", "emit"), ("emit", "patches"), ("view", "patches"), ("view", "emit")}
"""Pairs that never meet, although one is above the other: each knows the hub, or OTLP, instead."""
CORE_NEVER = {"socket", "time", "threading", "select", "os", "selectors", "logging", "queue"}
BY_CONVENTION = {"network.protocol.name", "cpu.mode", "process.context_switch.type"}
"""Names that the contract takes with a metric of the semantic conventions."""
FILES = sorted(SOURCE.rglob("*.py"))


def room_of(module: str) -> str:
    """Return the room of `tcpwatch.a.b`: `a`; of `tcpwatch` itself: `__init__`."""
    return [*module.split("."), "__init__"][1]


def module_of(path: Path) -> str:
    """Return a file's module name."""
    parts = ["tcpwatch", *path.relative_to(SOURCE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Return the modules that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports name the room they come from"
            for alias in node.names:
                inner = SOURCE.parent.joinpath(*str(node.module).split("."), alias.name)
                is_module = inner.is_dir() or inner.with_suffix(".py").exists()
                yield f"{node.module}.{alias.name}" if is_module else str(node.module)


def identify(path: Path) -> str:
    """Name a test by the file."""
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_imports_point_down(path: Path) -> None:
    """A room imports only itself and rooms below it; some pairs never meet."""
    here = room_of(module_of(path))
    assert here in ROOMS, f"{here} is not on the list of rooms"
    for module in imports(path):
        if module.split(".")[0] != "tcpwatch":
            continue
        there = room_of(module)
        assert there in ROOMS, f"{module} is not on the list of rooms"
        assert ROOMS.index(there) >= ROOMS.index(here), f"{here} imports {module} from above"
        assert (here, there) not in STRANGERS, f"{here} knows {module}"


@pytest.mark.parametrize("path", sorted((SOURCE / "core").glob("*.py")), ids=identify)
def test_core_knows_no_world(path: Path) -> None:
    """The core imports the standard library's types: no I/O, no clock, no threads, no SDK."""
    for module in imports(path):
        top = module.split(".")[0]
        assert top == "tcpwatch" or top in sys.stdlib_module_names, f"{module} in core"
        assert top not in CORE_NEVER, f"{module} in core"


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_a_file_says_what_it_is_for(path: Path) -> None:
    """Each file begins with a line that says what it is for, and has one purpose's length."""
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert len(text.splitlines()) <= 350


def strings() -> dict[str, str]:
    """Return the constants of names.py that hold one name each."""
    return {
        key: value for key, value in vars(names).items() if key.isupper() and isinstance(value, str)
    }


def test_every_name_of_the_contract_is_in_names() -> None:
    """What the contract promises has a constant."""
    known = set(strings().values())
    phase = {names.PHASE_PREFIX + "<phase>"}
    assert set(contract.METRICS) - known == set()
    assert contract.attributes() - known - phase == set()


def test_every_name_in_names_is_in_the_contract() -> None:
    """What the code can emit is promised."""
    promised = contract.DOCUMENT.read_text()
    dotted = {
        value
        for key, value in strings().items()
        if "." in value and "://" not in value and key != "PHASE_PREFIX"
    }
    written = contract.attributes() | set(contract.METRICS) | BY_CONVENTION
    assert {name for name in dotted if name not in written and f"`{name}`" not in promised} == set()
    plain = {value for key, value in strings().items() if "." not in value and key != "SCOPE"}
    assert {word for word in plain if f"`{word}`" not in promised} == set()


def test_phases_are_those_of_the_contract_in_order() -> None:
    """The table of phases in the contract and the tuple in names.py are the same list."""
    table = [contract.quoted(cells[0])[0] for cells in contract.rows(contract.section(1))]
    assert list(names.PHASES) == table
