"""Hard case 22: gevent has patched the process, before or after install()."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tcpwatch.view.receiver import Receiver
from tests.hard import apps_b_greenlets
from tests.hard.apps_b_gevent import CLIENTS, NAP
from tests.live.harness import BROKEN, ROOT, STRICT, clean_environment
from tests.live.seen import Seen, links
from tests.live.wire import LIMIT


def run(receiver: Receiver, when: str, kind: str) -> tuple[dict[str, Any], str]:
    """Run the program; return what it told, and its stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hard.apps_b_gevent", when, kind],
        cwd=ROOT,
        env=clean_environment({**STRICT, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}),
        capture_output=True,
        text=True,
        timeout=2 * LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not [words for words in BROKEN if words in done.stderr], done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert [answer for answer, _ in told["answers"]] == [str(n) for n in range(CLIENTS)]
    assert told["after"] == str(CLIENTS)
    assert told["took"] < CLIENTS * NAP
    return told, done.stderr


def test_patched_before_install_it_works(receiver: Receiver, seen: Seen) -> None:
    """Werkzeug's threads are greenlets then; each connection is told with its own request."""
    told, _ = run(receiver, "before", "werkzeug")
    for number, (_, port) in enumerate(told["answers"]):
        connection, request = seen.connection_of(port), seen.request_of(port)
        assert request.attributes["url.path"] == f"/{number}"
        assert connection.span_id in links(request) | {request.parent_span_id}
        assert connection.attributes["tcpwatch.connection.outcome"] == "completed"
        assert connection.attributes["tcpwatch.connection.requests"] == 1
    assert len(seen.connections) == len(seen.requests) == CLIENTS
    seen.wait_total("tcpwatch.connection.active", 0)


def test_greenlets_that_take_turns_are_told_apart() -> None:
    """All are one thread to the system; each has its own connection, with all of its requests."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hard.apps_b_greenlets"],
        cwd=ROOT,
        env=clean_environment({}),
        capture_output=True,
        text=True,
        timeout=2 * LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [apps_b_greenlets.REQUESTS] * apps_b_greenlets.CLIENTS


def test_patched_after_install_it_says_that_it_cannot(receiver: Receiver, seen: Seen) -> None:
    """Locks and thread-locals are of two kinds then: one sentence says so, and all is served."""
    _, stderr = run(receiver, "after", "werkzeug")
    said = [line for line in stderr.splitlines() if "gevent" in line and "tcpwatch" in line]
    assert len(said) == 1
    assert not seen.connections


@pytest.mark.parametrize("when", ["before", "after"])
def test_gevents_own_server_is_left_alone(receiver: Receiver, seen: Seen, when: str) -> None:
    """`pywsgi` accepts by itself: nothing is seen of it, and nothing is in its way."""
    run(receiver, when, "pywsgi")
    assert not seen.connections
