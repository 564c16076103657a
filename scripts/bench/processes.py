"""The processes of a measurement, servers, load and sink: each is asked line by line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import psutil

from bench.rungs import Rung

if TYPE_CHECKING:
    from typing_extensions import Self

SCRIPTS = Path(__file__).resolve().parents[1]
PATIENCE = 300.0
"""Seconds in which a process that should end has ended."""
CLEARED = ("OTEL_", "TCPWATCH_", "PYTHON", "BENCH_")
"""Beginnings of variables that no process of a measurement inherits."""
MEGABYTE = 1024**2


@dataclass(frozen=True)
class Subject:
    """What is measured: an interpreter and, if it is not the installed one, a source tree."""

    python: Path = Path(sys.executable)
    source: Path | None = None

    def environ(self, extra: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a process of the measurement."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(CLEARED)}
        path = [str(SCRIPTS), *([str(self.source / "src")] if self.source else [])]
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONHASHSEED": "0",
            "PYTHONNOUSERSITE": "1",
            **extra,
        }

    def server(
        self,
        kind: str,
        rung: Rung,
        endpoint: str,
        under: Sequence[str] = (),
        extra: Mapping[str, str] | None = None,
    ) -> Server:
        """Start a server that exports to `endpoint`; `under` comes before the command."""
        settings = {"TCPWATCH_BANNER": "off", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        environ = self.environ({**settings, **rung.environ, **(extra or {})})
        return Server([*under, str(self.python), "-m", "bench.server", kind, rung.watch], environ)

    def module(self, name: str) -> Process:
        """Start another module of this package."""
        return Process([str(self.python), "-m", f"bench.{name}"], self.environ({}))


class Process:
    """A process that says a line when it is ready, and another for each line that it is told.

    What it prints on stderr is shown only if it fails: exporters are noisy where none answers.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed at the end
        self._popen = subprocess.Popen(
            command,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            bufsize=1,
        )
        self.pid = self._popen.pid
        self._command = " ".join(command)
        self._said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._popen.kill()
        with self._popen, self._stderr:
            pass

    def ready(self) -> str:
        """Return its first line, waiting for it."""
        self._said = self._said or self._read().strip()
        return self._said

    def ask(self, line: str) -> Any:
        """Return what it answers, from JSON."""
        self.ready()
        assert self._popen.stdin is not None
        self._popen.stdin.write(line + "\n")
        return json.loads(self._read())

    def end(self) -> None:
        """Let it end by itself; what it does then is done when this returns."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        if self._popen.wait(PATIENCE):
            raise self._failed()

    def _read(self) -> str:
        assert self._popen.stdout is not None
        return self._popen.stdout.readline() or self._raise()

    def _raise(self) -> str:
        raise self._failed()

    def _failed(self) -> RuntimeError:
        self._stderr.seek(0)
        said = self._stderr.read()[-4000:]
        return RuntimeError(f"exit status {self._popen.wait()} of {self._command}:\n{said}")


@dataclass(frozen=True)
class Usage:
    """What a server, its children and its helper have used so far, in seconds of CPU time."""

    whole: float
    serving: float
    """The thread that accepts, alone."""


class Server(Process):
    """A server under measurement, and what it uses by the operating system's accounting."""

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(self.ready())

    def usage(self) -> Usage:
        """Return what it has used."""
        return self._usage("usage")

    def flush(self) -> Usage:
        """Make it export all that it holds; return what it has used by then."""
        return self._usage("flush")

    def _usage(self, line: str) -> Usage:
        self.settle()
        said = self.ask(line)
        return Usage(
            said["own"] + said["children"] + sum(map(cpu_seconds, self.helpers())),
            said["serving"],
        )

    def helpers(self) -> list[int]:
        """Return the processes that it has started and that are still there, forks not included."""
        return [child.pid for child in self._children() if not self._is_fork(child)]

    def settle(self) -> None:
        """Wait until it has collected the children that it has forked for a connection each."""
        deadline = time.monotonic() + PATIENCE
        while any(map(self._is_fork, self._children())):
            if time.monotonic() > deadline:
                raise RuntimeError(f"server {self.pid} has not collected its children")
            time.sleep(0.02)

    def _children(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def _is_fork(self, child: psutil.Process) -> bool:
        try:
            return child.cmdline() in ([], psutil.Process(self.pid).cmdline())
        except psutil.ZombieProcess:
            return True
        except psutil.NoSuchProcess:
            return False

    def peak(self) -> float:
        """Return the largest resident size so far, the helper's included, in MB.

        Pages that both share count twice.
        """
        return sum(map(peak_memory, (self.pid, *self.helpers())))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a living process and its ended threads, to the nanosecond.

    The clock's id is what clock_getcpuclockid(3) makes of a pid; /proc/PID/stat counts in 10 ms.
    """
    return time.clock_gettime((~pid << 3) | 2)


def peak_memory(pid: int) -> float:
    """Return VmHWM of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / MEGABYTE
    raise RuntimeError(f"/proc/{pid}/status has no VmHWM")
