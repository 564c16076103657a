"""The viewer and the report as commands: real processes, real files, and what they say."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tcpwatch import names
from tcpwatch.view.store import Store
from tcpwatch.view.store.files import write_lines
from tests.view.telemetry import Server, blocked

COMMAND = (sys.executable, "-m", "tcpwatch")
ENVIRONMENT = os.environ | {"COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}


@contextmanager
def viewing(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `tcpwatch view` and give the process and the page's address."""
    process = subprocess.Popen(
        [*COMMAND, "view", "--port", "0", "--grpc-port", "0", *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        first = process.stdout.readline()
        found = re.search(r"http://\S+", first)
        assert found, first + process.communicate(timeout=30)[1]
        for line in process.stdout:
            if "Ctrl-C" in line:  # it has said all and listens everywhere
                break
        try:
            yield process, found[0]
        finally:
            process.kill()


def tcpwatch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


class Posting:
    """Sends spans to a viewer, each request acknowledged before it returns."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address.partition("//")[2], timeout=30)

    def add_traces(self, request: ExportTraceServiceRequest) -> int:
        headers = {"Content-Type": "application/x-protobuf"}
        self._connection.request("POST", "/v1/traces", request.SerializeToString(), headers)
        answer = self._connection.getresponse()
        answer.read()
        assert answer.status == 200
        return 0

    def add_metrics(self, _: ExportMetricsServiceRequest) -> int:
        raise NotImplementedError

    def add_logs(self, _: ExportLogsServiceRequest) -> int:
        raise NotImplementedError


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A file in which client B waited for client A."""
    path = tmp_path / "recording.jsonl"
    with Store() as store:
        blocked(Server(store))
        Server(store).total(names.M_LOOP_TIME, 3, tcpwatch__loop__state="inline")
        path.write_bytes(b"".join(write_lines(store)))
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_viewer_ends_in_peace_and_its_file_is_whole(
    tmp_path: Path, recording: Path, number: signal.Signals
) -> None:
    """Ctrl-C and a service manager's stop are both usual ends."""
    kept = tmp_path / "kept.db"
    with viewing("--db", str(kept), str(recording)) as (process, address):
        with urllib.request.urlopen(f"{address}/api/state", timeout=30) as answer:
            assert b'"shop' in answer.read()
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    with Store(kept) as store:
        assert store.read("SELECT count(*) FROM connections") == [(2,)]


def test_what_was_acknowledged_is_in_the_file_after_a_kill(tmp_path: Path) -> None:
    """Sent over HTTP until somebody kills the viewer in the middle of it."""
    kept = tmp_path / "kept.db"
    acknowledged = 0
    with viewing("--db", str(kept)) as (process, address):
        killer = threading.Timer(1.5, process.kill)
        killer.start()
        sender = Server(Posting(address))
        with contextlib.suppress(OSError, http.client.HTTPException):
            for number in range(1, 100_000):
                sender.connection(number, {names.APP: 1.0})
                acknowledged = number
        killer.join()
        assert process.wait(30) == -signal.SIGKILL
    with Store(kept) as store:
        ((there,),) = store.read("SELECT count(*) FROM connections")
    assert acknowledged > 10
    # The one that was in the making may be there, too.
    assert there in (acknowledged, acknowledged + 1)


def test_what_strangers_sent_cannot_reach_a_terminal(tmp_path: Path) -> None:
    """A service, an agent and a path are anybody's to choose."""
    hostile = "\x1b]0;owned\x07[bold]"
    path = tmp_path / "hostile.db"
    with Store(path) as store:
        shop = Server(store, hostile)
        shop.connection(1, {names.APP: 1.0})
        shop.request(1, "/" + hostile, parent=1, agent=hostile)
        shop.connection(
            2, {names.ACCEPT_QUEUE: 0.9}, start=0.1, link=1, blocked_by__activity="inline"
        )
    told = tcpwatch("report", str(path))
    assert told.returncode == 0, told.stderr
    assert "\x1b" not in told.stdout
    assert "\x07" not in told.stdout
    assert "?]0;owned?[bold]" in told.stdout


def test_a_taken_port_a_foreign_file_and_a_missing_one_are_sentences(tmp_path: Path) -> None:
    """With exit code 1 and no traceback."""
    letters = tmp_path / "letters.txt"
    letters.write_bytes(b"Dear reader" * 1000)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        cases = (
            (("view", "--port", port), "in use"),
            (("view", "--db", str(letters)), "left as it is"),
            (("view", "--port", "0", str(letters)), "line 1"),
            (("report", str(letters)), "line 1"),
            (("report", str(tmp_path / "nothing")), f"there is no file {tmp_path / 'nothing'}."),
            (("report", "localhost:4318"), "or a viewer's address with its http://"),
            (("report", "http://127.0.0.1:1"), "nothing answers at http://127.0.0.1:1"),
        )
        for arguments, words in cases:
            ended = tcpwatch(*arguments)
            assert ended.returncode == 1, arguments
            assert words in ended.stderr
            assert "Traceback" not in ended.stderr
            assert "Errno" not in ended.stderr
    assert letters.read_bytes() == b"Dear reader" * 1000


def test_the_report_begins_with_the_sentence(recording: Path) -> None:
    """From a file, on 80 columns, without colours in a pipe."""
    ended = tcpwatch("report", str(recording))
    assert ended.returncode == 0
    words = " ".join(ended.stdout.split())
    assert "1 of 2 connections waited 50 ms or more, 0.90 s of 0.90 s together for GET /slow." in (
        words
    )
    assert "it was busy with client A at 127.0.0.1:40001 (GET /slow)" in words
    assert words.index("Client B") < words.index("accept_queue")
    assert max(map(len, ended.stdout.splitlines())) <= 80
    assert "\x1b" not in ended.stdout


def test_the_report_of_a_running_viewer_is_the_same(recording: Path) -> None:
    """Asked over its page's port."""
    with viewing(str(recording)) as (_, address):
        ended = tcpwatch("report", address)
    assert ended.stdout == tcpwatch("report", str(recording)).stdout


def test_the_report_as_html_needs_nothing_else_and_obeys_nobody(tmp_path: Path) -> None:
    """One file without scripts and references; what clients wrote is text in it."""
    hostile = "</title><script>alert(1)</script><svg onload=alert(1)>"
    path, out = tmp_path / "hostile.db", tmp_path / "report.html"
    with Store(path) as store:
        shop = Server(store, hostile)
        shop.connection(1, {names.APP: 1.0}, outcome=hostile)
        shop.request(1, "/" + hostile, parent=1, agent="<b>agent</b>")
        shop.connection(
            2, {names.ACCEPT_QUEUE: 0.9}, start=0.1, link=1, blocked_by__activity="inline"
        )
    ended = tcpwatch("report", str(path), "--html", str(out))
    assert ended.returncode == 0, ended.stderr
    page = out.read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert "<svg onload" not in page
    assert "<b>agent" not in page
    assert not re.search(r"""(src|href)\s*=|@import|url\(""", page)
    assert page.count("<svg") == 1


def test_a_recording_without_connections_is_said_to_be_empty(tmp_path: Path) -> None:
    """With exit code 1, so that a script notices."""
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(b"\n")
    ended = tcpwatch("report", str(empty))
    assert ended.returncode == 1
    assert "there is no connection in" in ended.stderr
