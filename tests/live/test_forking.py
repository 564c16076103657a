"""Forking servers: everything arrives once, and the accepting process stays fit to fork."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.live.conftest import Start
from tests.live.harness import LiveServer
from tests.live.seen import Seen
from tests.live.wire import read_response, request_bytes

N = 23


def burst(server: LiveServer, path: str, count: int) -> None:
    """Do this many requests, four at a time."""
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: server.get(path).status, range(count)))
    assert answers == [200] * count


def children(pid: int) -> dict[int, str]:
    """Return the state of each child process of one process."""
    done = subprocess.run(
        ["ps", "-o", "pid=,stat=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    rows = (line.split() for line in done.stdout.splitlines())
    return {int(child): state for child, state in rows}


def test_everything_arrives_once(start: Start, seen: Seen) -> None:
    """Connections, requests and the application's own spans in the children arrive exactly once."""
    server = start("--dispatch", "process")
    burst(server, "/child", N)
    seen.wait_connections(N)
    seen.wait_requests(N)
    seen.wait(
        "the application's spans",
        lambda now: len([s for s in now.recording.spans if s.name == "own work"]) >= N,
    )
    server.flush()
    spans = seen.recording.spans
    assert len({span.span_id for span in spans}) == len(spans)
    assert len([span for span in spans if span.name == "own work"]) == N
    assert len(seen.connections) == len(seen.requests) == N
    assert {span.attributes["tcpwatch.dispatch"] for span in seen.connections} == {"process"}


def test_no_metric_is_counted_twice(start: Start, seen: Seen) -> None:
    """One process speaks for all: each series has one sender, and the sums are the requests."""
    server = start("--dispatch", "process")
    burst(server, "/", N)
    for name in (
        "tcpwatch.connection.accepted",
        "tcpwatch.connection.duration",
        "http.server.request.duration",
        "tcpwatch.accept_queue.wait_time",
    ):
        seen.wait_total(name, N)
    senders = {point.resource.get("service.instance.id") for point in seen.recording.points()}
    assert len(senders) == 1
    for name in ("tcpwatch.connection.active", "tcpwatch.handler.active"):
        seen.wait_total(name, 0)


def test_a_child_has_no_garbage_of_its_parents_to_collect(start: Start) -> None:
    """What was imported for us is no reason for each child to run through all objects."""
    server = start("--dispatch", "process", "--server", "plain")
    _, *older = json.loads(server.get("/collector").body)
    assert older == [0, 0]


def test_no_fork_warning_and_no_zombie(start: Start, seen: Seen) -> None:
    """The accepting process has one thread, so Python 3.12+ does not warn; children are reaped."""
    server = start("--dispatch", "process")
    burst(server, "/", N)
    seen.wait_connections(N)
    assert len(list(Path(f"/proc/{server.process.pid}/task").iterdir())) == 1
    assert "DeprecationWarning" not in server.stderr
    # socketserver reaps at the next turn of its loop.
    seen.wait("reaping", lambda _: not zombies(server.process.pid))


def zombies(pid: int) -> list[int]:
    """Return the dead children that nobody has waited for."""
    return [child for child, state in children(pid).items() if state.startswith("Z")]


def test_a_child_that_is_killed_is_told(start: Start, seen: Seen) -> None:
    """A connection whose child dies without a word ends as `child_died`, an error."""
    server = start("--dispatch", "process", "--server", "plain")
    with server.connect() as client:
        client.sendall(request_bytes("/", {"Connection": "keep-alive"}))
        assert read_response(client).status == 200
        own = server.process.pid  # a child may have answered before its parent says that it forked
        (snapshot,) = server.wait_connections(lambda found: any(s["pid"] != own for s in found))
        os.kill(snapshot["pid"], signal.SIGKILL)
        assert client.recv(1) == b""
    (connection,) = seen.wait_connections(1)
    assert connection.attributes["tcpwatch.connection.outcome"] == "child_died"
    assert connection.attributes["error.type"]
    assert connection.status == "ERROR"


def test_an_application_with_its_own_providers(start: Start, seen: Seen) -> None:
    """With providers of the application's, everything still arrives once, through them."""
    server = start("--dispatch", "process", "--own", "before")
    burst(server, "/", N)
    seen.wait_connections(N)
    seen.wait_requests(N)
    server.flush()
    assert len(seen.connections) == len(seen.requests) == N
    assert {span.resource.get("app.own") for span in seen.connections} == {"yes"}


def test_children_do_not_wait_for_the_collector(start: Start) -> None:
    """With a collector that refuses, a forking server answers as ever and ends when told to."""
    server = start(
        "--dispatch", "process", env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    )
    burst(server, "/child", N)
    assert server.stop() == -signal.SIGTERM


def test_nothing_is_left_behind(start: Start) -> None:
    """When a forking server is told to go, it leaves no process of ours."""
    server = start("--dispatch", "process")
    burst(server, "/", 3)
    descendants = children(server.process.pid)
    server.stop()
    alive = [pid for pid in descendants if Path(f"/proc/{pid}").exists()]
    for pid in alive:
        # What is still flushing has at most two seconds for it.
        for _ in range(30):
            if not Path(f"/proc/{pid}").exists():
                break
            signal.sigtimedwait([], 0.1)
        assert not Path(f"/proc/{pid}").exists()
