"""Hard case 11: `flask run --debug` starts the application again at each change of a file."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from tcpwatch.view.receiver import Receiver
from tests.live.harness import BROKEN, ROOT, STRICT, clean_environment
from tests.live.seen import Seen
from tests.live.test_forking import children
from tests.live.wire import LIMIT

RELOADS = 20
APP = """\
import functools
import os
import flask.cli
import tcpwatch

# `flask run` has no option for how often it looks at the files.
flask.cli.run_simple = functools.partial(flask.cli.run_simple, reloader_interval=0.02)
tcpwatch.install()
app = flask.Flask(__name__)

@app.get("/")
def where():
    import threading
    return {"pid": os.getpid(), "listener": os.environ["WERKZEUG_SERVER_FD"],
            "threads": sorted(thread.name for thread in threading.enumerate())}
"""
BANNER = "tcpwatch: watching"


class Reloaded:
    """`flask run --debug` on an application that installs tcpwatch."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.source = folder / "app.py"
        self.source.write_text(APP)
        self.log = folder / "log"
        flask = Path(sys.executable).with_name("flask")
        env = clean_environment(
            {**STRICT, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "PYTHONPATH": str(ROOT / "src")}
        )
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(flask), "run", "--debug", "--port", "0"],
                cwd=folder,
                env=env,
                stdout=out,
                stderr=out,
            )
        self.seen_banners = 0
        found = self.wait_log(r"Running on http://127\.0\.0\.1:(\d+)")
        self.port = int(found.group(1))

    def wait_log(self, pattern: str) -> re.Match[str]:
        """Wait until the processes have written this."""
        deadline = time.monotonic() + LIMIT
        while not (found := re.search(pattern, self.log.read_text())):
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.005)  # a file cannot be waited for
        return found

    def ask(self, path: str = "/") -> dict[str, object]:
        """Do one request; the listener is open all the time, so it may have to wait."""
        import json

        client = HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        client.request("GET", path)
        answer: dict[str, object] = json.loads(client.getresponse().read())
        client.close()
        return answer

    def reload(self, before: object) -> dict[str, object]:
        """Touch the source and ask until another process answers."""
        later = self.source.stat().st_mtime + 10
        os.utime(self.source, (later, later))
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            try:
                answer = self.ask()
            except (ConnectionError, OSError):
                continue  # the old process has accepted it and gone
            if answer["pid"] != before:
                return answer
        raise AssertionError(self.log.read_text())


@pytest.fixture
def reloaded(receiver: Receiver, tmp_path: Path) -> Iterator[Reloaded]:
    """Run the application under the reloader."""
    running = Reloaded(tmp_path, receiver.endpoint)
    try:
        yield running
    finally:
        for pid in children(running.process.pid):
            os.kill(pid, signal.SIGKILL)
        running.process.kill()
        running.process.wait(LIMIT)
    assert not [words for words in BROKEN if words in running.log.read_text()]


def test_twenty_reloads(reloaded: Reloaded, seen: Seen) -> None:
    """Each child has one install and its worker, the parent none; nothing grows, nothing is lost.

    The listening socket is the parent's, inherited by number.
    """
    parent = psutil.Process(reloaded.process.pid)
    answer = reloaded.ask()
    first, memory, files = answer, parent.memory_info().rss, parent.num_fds()
    pids = {answer["pid"]}
    for _ in range(RELOADS):
        answer = reloaded.reload(answer["pid"])
        pids.add(answer["pid"])
        assert answer["listener"] == first["listener"]
        assert answer["threads"] == first["threads"]
    assert len(pids) == RELOADS + 1
    assert parent.num_threads() == 1
    assert parent.num_fds() == files
    assert parent.memory_info().rss - memory < 1 << 20
    assert [child.pid for child in parent.children()] == [answer["pid"]]

    log = reloaded.log.read_text()
    assert log.count(BANNER) == RELOADS + 2  # the parent has imported the application, too
    seen.wait("each process's last request", lambda now: len(processes(now)) == RELOADS + 1)
    spans = seen.requests
    assert len({span.span_id for span in spans}) == len(spans)


def processes(seen: Seen) -> set[object]:
    """Return the processes that have told of a request."""
    return {span.resource.get("service.instance.id") for span in seen.requests}


@pytest.mark.parametrize("way", ["Ctrl-C", "SIGTERM to the child"])
def test_the_end_of_a_reloaded_server(reloaded: Reloaded, seen: Seen, way: str) -> None:
    """When the child ends, the parent does, and everything is told.

    Not so with SIGTERM to the parent: on that, `subprocess.call` kills the child.
    """
    child = psutil.Process(int(str(reloaded.ask()["pid"])))
    if way == "Ctrl-C":
        child.send_signal(signal.SIGINT)
        reloaded.process.send_signal(signal.SIGINT)
    else:
        child.terminate()
    reloaded.process.wait(LIMIT)
    child.wait(LIMIT)
    assert len(seen.wait_requests(1)) == 1
    assert len(seen.wait_connections(1)) == 1
