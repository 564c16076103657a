"""Django's `runserver`, which is wsgiref's server with threads."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tcpwatch.view.receiver import Receiver
from tests.live.harness import BROKEN, ROOT, STRICT, clean_environment
from tests.live.seen import Seen, phases
from tests.live.wire import LIMIT, local_port, read_all, read_response, request_bytes

KEEP = {"Connection": "keep-alive"}
RUNSERVER = ("-m", "tests.hard.apps_b_django", "runserver", "--noreload", "127.0.0.1:0")


@pytest.fixture
def address(receiver: Receiver, tmp_path: Path) -> Iterator[tuple[str, int]]:
    """Run the project and return where it listens."""
    log = tmp_path / "log"
    env = clean_environment({**STRICT, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint})
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-u", *RUNSERVER], cwd=ROOT, env=env, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + LIMIT
        while not (found := re.search(r"server at http://127\.0\.0\.1:(\d+)", log.read_text())):
            assert time.monotonic() < deadline, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.005)  # a file cannot be waited for
        yield "127.0.0.1", int(found.group(1))
    finally:
        process.kill()
        process.wait(LIMIT)
    assert not [words for words in BROKEN if words in log.read_text()]


def test_the_requests_of_runserver(address: tuple[str, int], seen: Seen) -> None:
    """Requests on one connection, one with a body that nobody reads, each with its own phases."""
    with socket.create_connection(address, LIMIT) as client:
        port = local_port(client)
        for data in (
            request_bytes("/", KEEP),
            request_bytes("/", KEEP, method="POST", body=b"x" * 1000),
        ):
            client.sendall(data)
            assert read_response(client).body == b"hello"
        client.sendall(request_bytes("/broken", KEEP))
        assert b"ZeroDivisionError" in read_all(client)  # a page without a length, then the end
    connection = seen.connection_of(port)
    requests = seen.wait_requests(3)
    assert connection.attributes["tcpwatch.connection.outcome"] == "completed"
    assert connection.attributes["tcpwatch.connection.requests"] == 3
    assert connection.attributes["tcpwatch.dispatch"] == "thread"
    statuses = [span.attributes["http.response.status_code"] for span in requests]
    assert statuses == [200, 200, 500]
    assert [span.status for span in requests] == ["UNSET", "UNSET", "ERROR"]
    assert all(phases(span)["app"] > 0 for span in requests)
    seen.wait_total("tcpwatch.connection.active", 0)


def test_a_stream_of_runserver(address: tuple[str, int], seen: Seen) -> None:
    """A streamed response is `respond` after its first piece, and a caller's trace goes on."""
    caller = {"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}
    with socket.create_connection(address, LIMIT) as client:
        client.sendall(request_bytes("/stream", caller))
        assert read_all(client).endswith(b"one two")
    (request,) = seen.wait_requests(1)
    assert request.trace_id == "1" * 32
    assert request.attributes["http.response.status_code"] == 200
    assert "respond" in phases(request)
