"""`tcpwatch run --view`: the viewer is there before the program and gone after it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tcpwatch.cli.commands import tcpwatch
from tcpwatch.cli.launch import company, guests
from tests.cli.programs import environment
from tests.live.wire import LIMIT

RUN = (sys.executable, "-m", "tcpwatch", "run")
needs_the_viewer = pytest.mark.skipif(
    "view" not in tcpwatch.commands, reason="there is no command `tcpwatch view`"
)


@pytest.fixture
def port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        found: int = closed.getsockname()[1]
        return found


@pytest.fixture
def strays(port: int) -> Iterator[list[psutil.Process]]:
    """End what a failed test has left of viewers on this port."""
    found: list[psutil.Process] = []
    yield found
    for process in viewers(port):
        process.kill()


def viewers(port: int) -> list[psutil.Process]:
    """Return the processes that show or attend on this port."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if str(port) in line and ("view" in line or "attend" in line):
            found.append(process)
    return found


def gone(port: int) -> bool:
    """Wait until nothing of a viewer is left."""
    deadline = time.monotonic() + 2 * LIMIT
    while time.monotonic() < deadline:
        if not viewers(port):
            return True
        time.sleep(0.05)  # somebody else's process cannot be waited for
    return False


def run(
    *arguments: str, folder: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, *arguments],
        cwd=folder,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=2 * LIMIT,
        check=False,
    )


def until_told_to_end(folder: Path, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*RUN, "--view", "--view-port", str(port), "--", "python", "-c", "input()"],
        cwd=folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    """Return the first line of its standard error."""
    assert process.stderr is not None
    return process.stderr.readline()


@needs_the_viewer
@pytest.mark.usefixtures("strays")
def test_the_viewer_receives_and_is_no_relative_of_the_program(folder: Path, port: int) -> None:
    """It is there at the program's start, gone after its end, and nobody's child or terminal."""
    (folder / "program.py").write_text(
        "import json, os, psutil, sys, urllib.request\n"
        "address = os.environ['OTEL_EXPORTER_OTLP_ENDPOINT']\n"
        "with urllib.request.urlopen(address + '/api/state') as answer:\n"
        "    seen = json.load(answer)\n"
        "print(json.dumps([address, 'servers' in seen, len(psutil.Process().children())]))\n"
        "sys.exit(7)\n"
    )
    ended = run("--view", "--view-port", str(port), "--", "python", "program.py", folder=folder)
    assert ended.returncode == 7, ended.stderr
    assert json.loads(ended.stdout) == [f"http://127.0.0.1:{port}", True, 0]
    assert f"ends with the command: http://127.0.0.1:{port}" in ended.stderr
    assert gone(port)


@needs_the_viewer
@pytest.mark.usefixtures("strays")
def test_a_viewer_that_is_kept_is_used_by_the_next(folder: Path, port: int) -> None:
    """It stays until somebody ends it."""
    program = ("--", "python", "-c", "pass")
    kept = run("--keep-view", "--view-port", str(port), *program, folder=folder)
    assert (kept.returncode, "and stays" in kept.stderr) == (0, True), kept.stderr
    again = run("--view", "--view-port", str(port), *program, folder=folder)
    assert "the viewer that runs already" in again.stderr
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/state", timeout=LIMIT) as answer:
        assert answer.status == 200
    (viewer,) = (one for one in viewers(port) if "view" in one.cmdline())
    viewer.terminate()
    assert gone(port)


@needs_the_viewer
@pytest.mark.usefixtures("strays")
def test_a_program_that_is_killed_takes_the_viewer_along(folder: Path, port: int) -> None:
    """Nobody has to be told."""
    with until_told_to_end(folder, port) as process:
        assert "the viewer shows it" in said(process)
        process.kill()
    assert gone(port)


@needs_the_viewer
@pytest.mark.usefixtures("strays")
def test_who_is_started_again_keeps_the_viewer_of_the_one_before(folder: Path, port: int) -> None:
    """Ctrl-C and the same command again: its page does not leave with the first one."""
    with until_told_to_end(folder, port) as first:
        assert "the viewer shows it" in said(first)
        (attendant,) = (one for one in viewers(port) if "attend" in one.cmdline())
        first.communicate("\n", timeout=LIMIT)
    with until_told_to_end(folder, port) as second:
        assert "the viewer that runs already" in said(second)
        with pytest.raises(psutil.TimeoutExpired):
            attendant.wait(2 * company.LAST_EXPORT)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/state", timeout=LIMIT) as answer:
            assert answer.status == 200
        second.communicate("\n", timeout=LIMIT)
    assert gone(port)
    assert not guests.path(port).exists()


@needs_the_viewer
@pytest.mark.usefixtures("strays")
def test_a_lock_that_is_somebody_else_s_is_a_sentence(folder: Path, port: int) -> None:
    """A link in the place of its file is not followed."""
    lock = guests.path(port)
    lock.symlink_to(folder / "elsewhere")
    try:
        ended = run("--view", "--view-port", str(port), "--", "python", "-c", "", folder=folder)
    finally:
        lock.unlink()
    assert ended.returncode == 125
    assert f"the viewer did not start: {lock}: " in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (folder / "elsewhere").exists()


def test_a_port_of_somebody_else_stops_the_start(folder: Path) -> None:
    """The program would send its telemetry to who knows whom."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        taken.close()
        with socket.create_server(("127.0.0.1", port)) as silent:
            silent.settimeout(0)
            refused = run(
                *("--view", "--view-port", str(port), "--", "python", "-c", "print('ran')"),
                folder=folder,
                env={"TCPWATCH_BANNER": "off"},
            )
    assert (refused.returncode, refused.stdout) == (125, "")
    assert "the viewer did not start" in refused.stderr


def test_an_endpoint_elsewhere_and_the_viewer_contradict_each_other(folder: Path) -> None:
    """One of the two has to go."""
    env = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}
    refused = run("--view", "--", "python", "-c", "print('ran')", folder=folder, env=env)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "sends telemetry elsewhere" in refused.stderr


def test_nothing_is_imported_of_the_viewer_without_it(folder: Path) -> None:
    """`tcpwatch run` is to start a program, soon."""
    ended = run("--", "python", "-c", "pass", folder=folder, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert "waitress" not in ended.stderr
