"""A run is bounded and leaves nobody behind; a watched run without connections is no proof."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from environments import Environment, Python
from suites import place, running
from suites.catalogue import SUITES, Suite
from suites.outcomes import WHOLE
from suites.place import Place
from suites.receiver import Received, Receiver

ALL = ["logging", "tcpwatch"]


class Program(Suite):
    """A suite that is a line of Python."""

    def command(self, python: Path, report: Path) -> list[str]:
        return [sys.executable, "-c", self.name]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(place, "CACHE", tmp_path)
    monkeypatch.setattr(Place, "logs", tmp_path)
    return Place(Environment(Python((3, 0), Path(sys.executable)), Path(sys.prefix)))


def test_the_exit_status_is_a_result(here: Place) -> None:
    run = running.run_bare(Program("raise SystemExit(3)"), here, 0)
    assert run.results == {WHOLE: "3"}


def test_a_run_that_does_not_end_is_ended(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PATIENCE", 0.5)
    run = running.run_bare(Program("import time; time.sleep(60)"), here, 0)
    assert run.results == {WHOLE: "no end within 0.5 s"}
    assert run.seconds < 30


def test_who_outlives_the_run_is_ended(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "GRACE", 0.1)
    child = "import time; time.sleep(60)"
    words = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {child!r}])"
    run = running.run_bare(Program(words), here, 0)
    assert run.results == {WHOLE: "0"}
    assert run.seconds < 30


@pytest.mark.parametrize(
    ("serves", "printed", "received", "complaints"),
    [
        (True, "", Received(connections=1), 0),
        (True, "", Received(), 1),
        (False, "", Received(), 0),
        (False, "tcpwatch internal error in a part", Received(), 1),
        (False, "", Received(errors={"part": 2}), 1),
    ],
)
def test_complaints(
    tmp_path: Path, serves: bool, printed: str, received: Received, complaints: int
) -> None:
    log = tmp_path / "log"
    log.write_text(printed)
    run = running.Run({}, 0.0, log, received)
    assert len(run.complaints(Suite("x", serves=serves))) == complaints


def test_the_receiver_beside_says_what_came() -> None:
    with Receiver(Path(sys.executable)) as receiver:
        assert receiver.endpoint.startswith("http://127.0.0.1:")
        assert receiver.close() == Received()


@pytest.mark.parametrize("flags", [(), ("-E",), ("-I",)])
@pytest.mark.parametrize(
    ("how", "imported", "installed"),
    [("", [], False), (place.LOADED, ["logging"], False), (place.WATCHED, ALL, True)],
)
def test_the_hook_needs_only_the_environment_of_the_process(
    flags: tuple[str, ...], how: str, imported: list[str], installed: bool
) -> None:
    """What -E and -I leave out does not matter: a .pth line is run, and os.environ is whole."""
    code = f"""\
exec({place.HOOK!r})
import sys
print([name for name in {ALL} if name in sys.modules])
import socketserver
print(hasattr(socketserver.TCPServer.get_request, "__wrapped__"))
"""
    done = subprocess.run(
        [sys.executable, *flags, "-c", code],
        env={**running.SETTINGS, place.SWITCH: how},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{imported}\n{installed}\n"
    assert not done.stderr


def test_every_distribution_is_pinned() -> None:
    for suite in SUITES:
        assert not suite.distribution or place.pinned(suite.name)
