"""The programs: built from what deploy/.env pins, and what is said where they cannot be."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stack import programs
from stack.programs import COLLECTOR, PINS, CannotError, Program

WITHOUT_GO = """\
import sys
from pathlib import Path
from stack import programs
programs.BINARIES = Path(sys.argv[1])
from stack.__main__ import main
sys.exit(main(["build"]))
"""


def test_without_go_it_says_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    """Exit status 3, by which CI knows, and a sentence."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_GO, tmp_path],
        env={"PATH": str(tmp_path), "PYTHONPATH": str(programs.HERE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "collector" in done.stderr
    assert "Install Go" in done.stderr


def test_a_build_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words of the go command are the reason, and nothing is left in place of the program."""
    if not shutil.which("go"):
        pytest.skip("there is no Go on PATH")
    monkeypatch.setattr(programs, "BINARIES", tmp_path)
    monkeypatch.setenv("GOPROXY", "off")
    absent = Program("absent", "example.invalid/nothing@v1.0.0")
    with pytest.raises(CannotError, match="module lookup disabled"):
        absent.build()
    assert list(tmp_path.iterdir()) == []


def test_a_changed_recipe_is_built_anew(built: None) -> None:
    """What is there is what its recipe says now: another version of it is not there."""
    assert COLLECTOR.there
    newer = Program(COLLECTOR.name, COLLECTOR.needs + "1", COLLECTOR.source)
    assert not newer.there


def test_the_collector_says_the_version_that_is_pinned(built: None) -> None:
    """The program itself agrees with .env."""
    said = subprocess.run([COLLECTOR.path, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.split()[-1] == PINS["COLLECTOR_VERSION"]


def test_releases_and_modules_are_numbered_as_their_authors_do() -> None:
    """Prometheus 3.16.0 is module v0.316.0; Jaeger 2.13.0 is v1.76.0, the last such."""
    assert programs.prometheus_module("3.5.1") == "v0.305.1"
    assert programs.prometheus_module("3.16.0") == "v0.316.0"
    assert programs.jaeger_module("2.13.0") == "v1.76.0"
    with pytest.raises(CannotError, match=r"2\.14\.0"):
        programs.jaeger_module("2.14.0")
