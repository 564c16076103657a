"""Hard case 10: applications that end their process, or make others, in the middle of a request."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tcpwatch.session import UNINSTALL_PATIENCE
from tcpwatch.view.receiver import Receiver
from tests.hard.apps_b_start import Start, prepared
from tests.hard.apps_b_views import CHILDREN
from tests.live.harness import ROOT, clean_environment
from tests.live.seen import Seen
from tests.live.test_forking import children
from tests.live.wire import LIMIT

N = 5


@pytest.fixture
def begin(receiver: Receiver, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a server whose views exit and fork."""
    with prepared("views", receiver.endpoint, tmp_path) as start:
        yield start


def test_an_exit_in_the_view_of_a_forking_server(begin: Start, seen: Seen) -> None:
    """`os._exit` in a view ends the child alone: its connection ends as `child_died`."""
    server = begin("--dispatch", "process")
    for _ in range(N):
        assert server.exchange(b"GET /exit HTTP/1.1\r\nHost: test\r\n\r\n") == b""
    assert server.get("/").status == 200
    spans = seen.wait_connections(N + 1)
    outcomes = [str(span.attributes["tcpwatch.connection.outcome"]) for span in spans]
    assert sorted(outcomes) == ["child_died"] * N + ["completed"]
    seen.wait_total("tcpwatch.connection.active", 0)
    seen.wait_total("tcpwatch.handler.active", 0)


def test_a_forking_server_is_watched_again(receiver: Receiver, seen: Seen, tmp_path: Path) -> None:
    """Each uninstall() waits for its export and not for its patience; the next install tells on."""
    with prepared("tool", receiver.endpoint, tmp_path) as start:
        server = start("--server", "plain", "--dispatch", "process", "--install", "never")
        for count in (1, 2, 3):
            server.tell("install")
            assert server.get("/").status == 200
            began = time.monotonic()
            server.tell("uninstall")
            assert time.monotonic() - began < UNINSTALL_PATIENCE / 2
            assert len(seen.wait_connections(count)) == count


def test_an_exit_in_the_view_of_a_threaded_server(begin: Start, seen: Seen) -> None:
    """`os._exit` in a view ends the process at once with its status, as without us."""
    server = begin()
    server.get("/")
    seen.wait_connections(1)
    assert server.exchange(b"GET /exit HTTP/1.1\r\nHost: test\r\n\r\n") == b""
    assert server.wait() == 7


@pytest.mark.parametrize("dispatch", ["inline", "thread"])
def test_a_view_that_forks(begin: Start, seen: Seen, dispatch: str) -> None:
    """The child has none of our connections, the parent's goes on, and each is told once."""
    server = begin("--dispatch", dispatch)
    for _ in range(N):
        assert server.get("/fork").json == {"status": 0}
    spans = seen.wait_connections(N)
    server.flush()
    assert len(seen.connections) == len(seen.requests) == N
    assert {span.attributes["tcpwatch.connection.outcome"] for span in spans} == {"completed"}
    seen.wait_total("tcpwatch.connection.accepted", N)
    seen.wait_total("tcpwatch.connection.active", 0)
    assert children(server.process.pid) == {}


@pytest.mark.parametrize("dispatch", ["thread", "process"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_view_that_uses_multiprocessing(
    begin: Start, seen: Seen, method: str, dispatch: str
) -> None:
    """Children of either kind start, answer and end as ever, and tell nothing."""
    server = begin("--dispatch", dispatch)
    assert server.get(f"/multiprocessing/{method}").json == {"found": 0}
    seen.wait_connections(1)
    server.flush()
    assert len(seen.connections) == len(seen.requests) == 1
    seen.wait_total("tcpwatch.connection.accepted", 1)


@pytest.mark.parametrize("dispatch", ["inline", "thread"])
def test_a_child_can_be_terminated_from_its_first_moment(begin: Start, dispatch: str) -> None:
    """A SIGTERM that reaches a child before its first line ends it, as it does without us."""
    server = begin("--dispatch", dispatch)
    assert server.get("/terminated").json == {"ended": [-signal.SIGTERM] * CHILDREN}


def test_a_sigterm_that_meets_a_lock_of_the_sdk_ends_the_process(receiver: Receiver) -> None:
    """Its handler ends the open request, whose span the interrupted thread itself may hold."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hard.apps_b_terminated"],
        cwd=ROOT,
        env=clean_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}),
        capture_output=True,
        text=True,
        timeout=2 * LIMIT,
        check=False,
    )
    assert done.returncode == -signal.SIGTERM, done.stderr


def test_children_ask_nothing_that_others_are_answered(begin: Start) -> None:
    """connections() and flush() in the views of a forking server tell of the child's own."""
    server = begin("--dispatch", "process")
    with ThreadPoolExecutor(4) as clients:
        told = list(clients.map(lambda _: server.get("/own").json, range(20)))
    assert told == [{"open": 1, "flushed": True}] * 20


def test_a_fork_waits_for_no_thread_of_ours(begin: Start) -> None:
    """Whatever our threads hold at the fork, the child does not wait for it: they are gone."""
    assert begin().get("/fork/locked").json == {"ended": True}
