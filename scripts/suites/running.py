"""One run of one suite, bare or watched, in bounded time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from suites.catalogue import PATIENCE, Suite
from suites.outcomes import WHOLE, environment, read
from suites.place import HOOK_FILE, LOADED, SWITCH, WATCHED, Place
from suites.receiver import Received, Receiver

GRACE = 5.0
"""Seconds for processes that outlive their suite."""

SETTINGS = {
    SWITCH: WATCHED,
    "TCPWATCH_STRICT": "on",
    "TCPWATCH_BANNER": "off",
    # Often, so that exports happen while tests run and not only after them.
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
}
BROKEN = ("tcpwatch internal error", f"{HOOK_FILE}:")
"""What a watched run must not print: an error of ours, or that the hook could not install us."""


@dataclass
class Run:
    """What one run came to."""

    results: dict[str, str]
    seconds: float
    log: Path
    received: Received = field(default_factory=Received)

    def complaints(self, suite: Suite) -> list[str]:
        """Return why this watched run proves nothing or shows an error of ours."""
        found = [f"{part} raised ({count:.0f})" for part, count in self.received.errors.items()]
        text = self.log.read_text(errors="replace")
        found += [f"printed {words!r}, see {self.log}" for words in BROKEN if words in text]
        if suite.serves and not self.received.connections:
            found.append("no connection was watched")
        return found


def run_bare(suite: Suite, place: Place, attempt: int) -> Run:
    """Run a suite without tcpwatch."""
    return _run(suite, place, f"bare-{attempt}", {})


def run_loaded(suite: Suite, place: Place) -> Run:
    """Run a suite without tcpwatch, each process of which begins by importing `logging`."""
    return _run(suite, place, "loaded", {SWITCH: LOADED})


def run_watched(suite: Suite, place: Place, attempt: int) -> Run:
    """Run a suite with tcpwatch in every process, and a receiver beside."""
    with Receiver(place.environment.python) as receiver:
        extra = {**SETTINGS, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
        run = _run(suite, place, f"watched-{attempt}", extra)
        run.received = receiver.close()
    return run


def _run(suite: Suite, place: Place, name: str, extra: Mapping[str, str]) -> Run:
    log = place.logs / f"{suite.name}-{name}.txt"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "OTEL_", "TCPW"))}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, log.open("w") as output:
        report = Path(scratch) / "report.xml"
        process = subprocess.Popen(
            suite.command(place.environment.python, report),
            cwd=place.folder(suite.name) if suite.distribution else scratch,
            env={**kept, "TMPDIR": scratch, **extra},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = str(process.wait(PATIENCE))
        except subprocess.TimeoutExpired:
            status = f"no end within {PATIENCE} s"
        finally:
            _end_group(process)
        results = read(report)
    results.update(environment(log.read_text(errors="replace")))
    results[WHOLE] = status
    return Run(results, time.monotonic() - began, log)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the run and what it has left behind; who is about to end by himself may do so.

    The helper of a forking server exports after the server is gone.
    """
    deadline = time.monotonic() + GRACE
    with contextlib.suppress(ProcessLookupError):
        while process.poll() is not None and time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
