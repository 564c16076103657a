"""`make stack`: what it prints is so, and nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from scenarios import BACKLOG, SCENARIOS
from stack.programs import ROOT

pytestmark = [pytest.mark.timeout(150), pytest.mark.usefixtures("built")]


def start(folder: Path) -> subprocess.Popen[str]:
    """Start it with nobody at the terminal; its own files go below `folder`."""
    return subprocess.Popen(
        [sys.executable, "-m", "stack"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "scripts", "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def left_behind(folder: Path) -> list[str]:
    """Return what is still there: files, and processes that know this folder."""
    found = [str(path) for path in folder.iterdir()]
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(str(folder) in word for word in words):
            found.append(" ".join(words))
    return found


def test_a_burst_shows_in_jaeger_and_in_prometheus_and_has_a_culprit(tmp_path: Path) -> None:
    """The scenario `burst`: Jaeger has each of its requests, Prometheus what it states, and why."""
    process = start(tmp_path)
    said, _ = process.communicate()
    assert process.returncode == 0, said

    def number(sentence: str) -> int:
        found = re.search(sentence.replace("N", r"(\d+)"), said)
        assert found, f"{sentence} is not in:\n{said}"
        return int(found[1])

    requests = number("Locust: N requests were answered")
    assert requests == SCENARIOS["burst"].users
    assert number("Jaeger: N connections") == requests + 1, said
    assert number("and N requests of shop-inline") == requests, said
    assert number("N of them in a caller's trace") == requests, said
    assert number(f"N connections were in the queue .* the limit is {BACKLOG}") == BACKLOG + 1
    assert number("N packets were dropped") >= requests - 1 - (BACKLOG + 1)
    assert number("N connections waited more than 10 s") >= BACKLOG
    assert number(r"who was waited for: N\.\d s of inline") >= BACKLOG * 10
    assert number("Jaeger: N connections waited .* behind GET /report") >= BACKLOG
    fired = re.search("alerts that fired: (.*)", said)
    assert fired, said
    assert set(SCENARIOS["burst"].alerts) <= set(fired[1].split(", ")), said
    assert left_behind(tmp_path) == []


def test_told_to_stop_it_stops_all(tmp_path: Path) -> None:
    """SIGTERM in the middle ends every program, Locust too, and removes every file."""
    process = start(tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("burst on"):
            break
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert left_behind(tmp_path) == []
