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

from stack.programs import BINARIES, ROOT

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
    """Return what is still there: files, and processes of the stack that know this folder."""
    found = [str(path) for path in folder.iterdir()]
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if words and Path(words[0]).parent == BINARIES and any(str(folder) in w for w in words):
            found.append(" ".join(words))
    return found


def test_a_burst_shows_in_jaeger_and_in_prometheus_and_has_a_culprit(tmp_path: Path) -> None:
    """Jaeger has as many requests as Locust; the waits have a culprit with a name."""
    process = start(tmp_path)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    answered = re.search(r"Locust: (\d+) requests were answered", said)
    assert answered, said
    requests = int(answered[1])
    assert requests > 100
    assert f"Jaeger has {requests + 1} connections" in said, said
    assert f"and {requests} requests" in said, said
    assert re.search(r"waited [1-9]?\d\.\d\d s or longer for accept\(\)", said), said
    assert re.search(r"connections waited [\d.]+ s behind GET /report", said), said
    assert left_behind(tmp_path) == []


def test_told_to_stop_it_stops_all(tmp_path: Path) -> None:
    """SIGTERM in the middle ends every program and removes every file."""
    process = start(tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Locust:"):
            break
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert left_behind(tmp_path) == []
