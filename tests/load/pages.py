"""Locust with its web page, as somebody uses it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import run
from stack.translation import free_port

PATIENCE = 30.0


class Page:
    """What somebody does on Locust's page, and reads there and in its log."""

    def __init__(self, url: str, log: Path) -> None:
        self._url = url
        self._log = log

    @property
    def log(self) -> str:
        """What Locust has written."""
        return self._log.read_text()

    def begin(self, users: int, **options: str) -> None:
        """Start a run, or change the one that goes on."""
        said = {"user_count": users, "spawn_rate": users, **options}
        self._ask("/swarm", urllib.parse.urlencode(said).encode())

    def stop(self) -> None:
        """End the run."""
        self._ask("/stop", b"")
        self.wait(lambda page: page["state"] == "stopped")

    def wait(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read the page until it is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while not wanted(page := self._ask("/stats/requests")):
            assert time.monotonic() < deadline, f"{page}\n{self.log}"
            time.sleep(0.1)  # the page is read again and again, by browsers too
        return page

    def read(self, said: str, times: int = 1) -> None:
        """Wait until Locust has written something so many times."""
        deadline = time.monotonic() + PATIENCE
        while self.log.count(said) < times:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.1)  # nothing but its log tells that Locust is done with a change

    def ready(self, workers: int) -> bool:
        """Say whether it is there, with so many workers."""
        try:
            return len(self._ask("/stats/requests").get("workers", ())) == workers
        except urllib.error.URLError:
            return False

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        with urllib.request.urlopen(self._url + path, body, timeout=PATIENCE) as answer:
            found = json.load(answer)
        assert isinstance(found, dict)
        return found


@contextmanager
def locust(folder: Path, host: str, *, workers: int = 0, **said: Any) -> Iterator[Page]:
    """Run Locust while the context lasts; `said` are values in load/bounds.py that are replaced."""
    locustfile = folder / "bounded.py"
    replaced = [f"bounds.{name} = {value!r}" for name, value in said.items()]
    path = f"sys.path.insert(0, {str(run.LOCUSTFILE.parent)!r})"
    lines = ["import sys", path, "import bounds", *replaced, "from locustfile import *", ""]
    locustfile.write_text("\n".join(lines))
    words = ["locust", f"--locustfile={locustfile}", f"--host={host}"]
    if workers:
        words += [f"--processes={workers}", *at_port("--master-port", "--master-bind-port")]
    with running(folder, words, workers=workers) as page:
        yield page


@contextmanager
def running(folder: Path, words: list[str], *others: list[str], workers: int) -> Iterator[Page]:
    """Run a command of Locust's that has a page, and others, while the context lasts."""
    [web] = at_port("--web-port")
    commands = [[*words, "--web-host=127.0.0.1", web], *others]
    page = Page(f"http://127.0.0.1:{web.partition('=')[2]}", folder / "locust.log")
    with (folder / "locust.log").open("wb") as output:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            for command in commands
        ]
    try:
        deadline = time.monotonic() + PATIENCE
        while not page.ready(workers):
            assert processes[0].poll() is None, page.log
            assert time.monotonic() < deadline, page.log
            time.sleep(0.1)  # nothing tells when it listens
        yield page
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def at_port(*options: str) -> list[str]:
    """Return options of Locust's with one and the same port, which is free."""
    port = free_port(set())
    return [f"{option}={port}" for option in options]
