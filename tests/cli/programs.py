"""Programs for `tcpwatch run`, and the running of them: they know nothing of tcpwatch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.live.harness import clean_environment
from tests.live.wire import LIMIT

_APP = """\
import os
from flask import Flask
app = Flask(__name__)

@app.get("/")
def where():
    return {"pid": os.getpid()}
"""
PROGRAMS = {
    "hello.py": _APP + "\nif __name__ == '__main__':\n    app.run(port=0)\n",
    "package/__init__.py": "",
    "package/__main__.py": "from hello import app\napp.run(port=0)\n",
    "watched.py": "import tcpwatch\ntcpwatch.install()\n" + _APP + "\napp.run(port=0)\n",
    "parent.py": "import subprocess, sys\nsubprocess.run([sys.executable, 'hello.py'])\n",
}
"""Files of a folder: an application, alone, as a package, watched by itself, and in a child."""

BIN = Path(sys.executable).parent
RUN = (sys.executable, "-m", "tcpwatch", "run", "--")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which the test's own Python comes first on PATH."""
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
    return clean_environment({"PATH": path, "PYTHONUNBUFFERED": "1", **(extra or {})})


def run(
    *command: str, folder: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command under `tcpwatch run` to its end."""
    return subprocess.run(
        [*RUN, *command],
        cwd=folder,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


class Running:
    """A server that runs; `log` is what it writes."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def said(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace")

    def wait(self, pattern: str) -> re.Match[str]:
        """Wait until it has written this."""
        deadline = time.monotonic() + LIMIT
        while not (found := re.search(pattern, self.said)):
            assert time.monotonic() < deadline, f"never written: {pattern} in\n{self.said}"
            assert self.process.poll() is None, self.said
            time.sleep(0.01)  # a file cannot be waited for
        return found

    def port(self) -> int:
        """Wait for the server's port, as werkzeug and http.server write it."""
        return int(self.wait(r"(?:Running|Serving) .*http://[\d.]+:(\d+)")[1])


@contextmanager
def serving(*command: str, folder: Path, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Start a command under `tcpwatch run`; at the end it and its children are killed."""
    log = folder / f"log-{time.monotonic_ns()}"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*RUN, *command],
            cwd=folder,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        yield Running(process, log)
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait(LIMIT)
