"""The README and the docs say what is so: generated blocks, links, names, variables and code."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import opentelemetry.environment_variables
import opentelemetry.sdk.environment_variables
import pytest

import tcpwatch
from tcpwatch import names
from tcpwatch.core.record import INTERVALS_KEPT
from tcpwatch.emit.starting import CHILDREN_OF_CONNECTION
from tcpwatch.emit.telemetry import CHILD_PATIENCE
from tcpwatch.session import EXIT_PATIENCE
from tcpwatch.settings import Settings

ROOT = Path(__file__).parents[2]
LIMIT = 30.0


def load(name: str) -> ModuleType:
    """Load a script by its file, under its own name."""
    path = ROOT / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"tcpwatch_scripts_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


docs: Any = load("docs")
DOCUMENTS: dict[str, str] = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in docs.DOCUMENTS
}
BLOCKS = [
    pytest.param(name, body, id=f"{path.relative_to(ROOT)}: {name}")
    for path in docs.DOCUMENTS
    for name, body in docs.blocks(path)
]
NAMES = {value for value in vars(names).values() if isinstance(value, str)} | {
    names.PHASE_PREFIX + phase for phase in names.PHASES
}
VARIABLES = {f"TCPWATCH_{setting.name.upper()}" for setting in fields(Settings)}
WRITTEN = re.compile(r"`([^`\n]+)`")
NAMESPACES = ("tcpwatch", "http", "network", "process", "url", "tls", "server", "client", "error")
DOTTED = re.compile(rf"(?:{'|'.join(NAMESPACES)})(?:\.[a-z_]+)+(?:\.\*)?")


@pytest.mark.parametrize(("name", "body"), BLOCKS)
def test_generated_blocks_are_fresh(name: str, body: str) -> None:
    """What the docs took from the code, the code still says (make it anew: scripts/docs.py)."""
    assert body, f"the block {name} is empty"
    assert not docs.is_stale(name, body), f"stale: {name}; run python scripts/docs.py"


def test_every_block_has_its_end_and_its_source() -> None:
    """A mistyped marker would be text that nobody checks."""
    for document, text in DOCUMENTS.items():
        begun = re.findall(r"<!-- generated: (.*?) -->", text)
        assert begun == re.findall(r"<!-- end: (.*?) -->", text), document
        assert begun == [name for name, _ in docs.blocks(ROOT / document)], document
        for name in begun:
            docs.source(name)


def test_a_changed_sentence_is_noticed_and_a_changed_number_is_not() -> None:
    """Measured blocks are compared by their words, so that they neither rot nor flicker."""
    measured = docs.SOURCES["demo"]
    said = "Client B at 127.0.0.1:40000 (GET /fast) waited 0.90 s, and 1 other client waited."
    again = "Client B at 127.0.0.1:5 (GET /fast)\n  waited 89 ms, and 12 other clients waited."
    assert measured.same(said, again)
    assert not measured.same(said, said.replace("waited", "was kept waiting"))
    assert not docs.SOURCES["settings"].same("`50`", "`51`")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_relative_link_resolves(document: str) -> None:
    """A link leads to a file of the repository, and its fragment to a heading there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(DOCUMENTS[document])):
        if target.startswith(("http://", "https://")):
            continue
        path, _, fragment = target.partition("#")
        file = (ROOT / document).parent / path if path else ROOT / document
        assert file.exists(), f"{document} links to {target}"
        if fragment:
            assert fragment in anchors(file.read_text(encoding="utf-8")), f"{document}: {target}"


def test_every_hard_case_names_tests_that_exist() -> None:
    """A renamed or lost test is noticed in the table of hard cases."""
    named = set(re.findall(r"\btest_\w+\b(?!\.py)", DOCUMENTS["docs/hard-cases.md"]))
    written: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        written.update(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))
    assert len(named) > 50
    assert named - written == set()


def without_code(text: str) -> str:
    """Return a document without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """Return the fragments of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_name_in_the_docs_exists(document: str) -> None:
    """A span, metric or attribute that the docs mention is one of names.py, or Python's name."""
    unknown = {name for name in mentioned(DOCUMENTS[document]) if not exists(name)}
    assert not unknown


def mentioned(text: str) -> Iterator[str]:
    """Return dotted names: in backticks of the prose, and ours wherever they stand."""
    for written in WRITTEN.findall(without_code(text)):
        if DOTTED.fullmatch(written.removesuffix("()")):
            yield written.removesuffix("()")
    yield from re.findall(r"(?<![\w./])tcpwatch\.[a-z_]+(?:\.[a-z_]+)*(?:\.\*)?(?![\w(]|\.<)", text)


def exists(name: str) -> bool:
    """Say whether telemetry has this name (`.*` stands for any end), or Python does."""
    if name.endswith(".*"):
        return any(known.startswith(name[:-1]) for known in NAMES)
    return name in NAMES or is_python(name)


def is_python(name: str) -> bool:
    """Say whether a module, or something in one, has this name."""
    module, _, rest = name.partition(".")
    found: Any = importlib.import_module(module) if importlib.util.find_spec(module) else None
    for part in rest.split("."):
        module = f"{module}.{part}"
        if hasattr(found, part):
            found = getattr(found, part)
        elif isinstance(found, ModuleType) and hasattr(found, "__path__"):
            if importlib.util.find_spec(module) is None:
                return False
            found = importlib.import_module(module)
        else:
            return False
    return True


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_variable_in_the_docs_exists(document: str) -> None:
    """TCPWATCH_* are settings of ours; OTEL_* are the SDK's or read by our code."""
    text = DOCUMENTS[document]
    assert set(re.findall(r"\bTCPWATCH_[A-Z_]*[A-Z]", text)) <= VARIABLES
    sdk = {
        *vars(opentelemetry.sdk.environment_variables),
        *vars(opentelemetry.environment_variables),
    }
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    for variable in set(re.findall(r"\bOTEL_[A-Z_]*[A-Z]", text)) - sdk:
        assert f'"{variable}"' in source, f"{document} mentions {variable}"


def code_blocks(text: str) -> list[str]:
    """Return the Python blocks of a document."""
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_in_the_docs_compiles(document: str) -> None:
    """Whoever copies a block gets no SyntaxError."""
    for block in code_blocks(DOCUMENTS[document]):
        compile(block, document, "exec")


def quick_start() -> str:
    """Return the README's complete program."""
    (block,) = [code for code in code_blocks(DOCUMENTS["README.md"]) if "app.run()" in code]
    return block


@pytest.fixture
def quiet() -> dict[str, str]:
    """An environment whose telemetry goes nowhere."""
    return os.environ | {
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "PYTHONUNBUFFERED": "1",
    }


def test_the_quick_start_of_the_readme_runs(tmp_path: Path, quiet: dict[str, str]) -> None:
    """Copied as it stands, but for a free port, it serves, is watched and ends by SIGTERM."""
    program = tmp_path / "app.py"
    program.write_text(quick_start().replace("app.run()", "app.run(port=0)"))
    with subprocess.Popen(
        [sys.executable, program], cwd=tmp_path, env=quiet, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            said = ""
            for line in process.stderr:
                said += line
                if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", line):
                    break
            else:
                pytest.fail(f"it never served:\n{said}")
            assert said.startswith("tcpwatch: watching ")
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(found[1], timeout=LIMIT)
            process.terminate()
            rest = process.communicate(timeout=LIMIT)[1]
        finally:
            process.kill()
    assert process.returncode == -signal.SIGTERM
    assert "Traceback" not in said + rest


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("docs/limits.md", f"The last {INTERVALS_KEPT} phase intervals of a connection"),
        ("docs/limits.md", f"Requests after the {CHILDREN_OF_CONNECTION}nd on one connection"),
        ("docs/limits.md", f"The last export gets {EXIT_PATIENCE} s"),
        ("docs/how-it-works.md", f"and {EXIT_PATIENCE} s are given to the last export"),
        ("docs/how-it-works.md", f"at most {CHILD_PATIENCE} s after its socket is closed"),
        ("docs/limits.md", f"in a child get {CHILD_PATIENCE} s after its socket is closed"),
    ],
)
def test_figures_in_the_docs_are_the_codes(document: str, sentence: str) -> None:
    """A limit that the docs give as a number is the constant that the code uses."""
    assert sentence in " ".join(DOCUMENTS[document].split())


def test_the_readme_names_the_whole_public_face() -> None:
    """What `import tcpwatch` offers stands in the README, with nothing that it does not offer."""
    written = set(re.findall(r"\btcpwatch\.(\w+)\(", DOCUMENTS["README.md"]))
    assert written == set(tcpwatch.__all__)


def test_the_readme_is_short() -> None:
    """A page that is not read explains nothing."""
    assert len(DOCUMENTS["README.md"].splitlines()) <= 210
