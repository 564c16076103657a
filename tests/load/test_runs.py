"""A run of Locust is bounded and the same as the one before, from its page and with workers too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.trace import SpanKind

import behaviours
import run
from scenarios import SCENARIOS
from stack import compose, programs
from tests.load.pages import at_port, locust, running
from tests.load.recorder import Recorder, recording

pytestmark = pytest.mark.usefixtures("locust_there")
FEW = 3
SHORT = 6.0
"""Seconds, for bounds.LONGEST."""
BY_HAND = {("GET", "/export"), ("POST", "/upload"), ("GET", "/report")}
"""What only raw clients of the mix ask for."""


@pytest.fixture
def server() -> Iterator[Recorder]:
    """A server that answers everything at once."""
    with recording() as recorder:
        yield recorder


def test_a_run_cannot_be_made_larger_than_the_limit(tmp_path: Path, server: Recorder) -> None:
    """Who edits a run on the page and asks for too many is refused; the run goes on as it was."""
    with locust(tmp_path, server.url, MOST_USERS=FEW) as page:
        page.begin(FEW, scenario="idle")
        page.wait(lambda page: page["state"] == "running" and page["user_count"] == FEW)
        page.begin(FEW + 1, scenario="idle")
        page.read(f"{FEW + 1} users are more than the {FEW} of MOST_USERS")
        page.read(f'All users spawned: {{"Visitor": {FEW}}}', times=2)


def test_too_many_from_the_start_are_nobody(tmp_path: Path, server: Recorder) -> None:
    """A run that would begin beyond the limit ends at once."""
    with locust(tmp_path, server.url, MOST_USERS=FEW) as page:
        page.begin(FEW + 1, scenario="steady")
        page.wait(lambda page: page["state"] == "stopped")
        assert "Refused" in page.log
    assert server.asked == []


def test_a_run_has_its_whole_time_whatever_was_before_it(tmp_path: Path, server: Recorder) -> None:
    """The limit of one that was stopped by hand does not end the next; the next has its own."""
    with locust(tmp_path, server.url, LONGEST=SHORT) as page:
        page.begin(1, scenario="idle")
        page.wait(lambda page: page["state"] == "running")
        page.stop()
        began = time.monotonic()
        page.begin(1, scenario="idle")
        page.wait(lambda page: page["state"] == "running")
        page.wait(lambda page: page["state"] == "stopped")
        assert time.monotonic() - began >= SHORT


def test_a_burst_is_held_up_by_one_in_each_run(tmp_path: Path, server: Recorder) -> None:
    """Of all users of all workers one asks for the long report; in the next run one again."""
    with locust(tmp_path, server.url, workers=2) as page:
        for _ in range(2):
            server.asked.clear()
            page.begin(6, scenario="burst")
            page.wait(lambda page: len(server.asked) >= 6)
            assert Counter(server.paths()) == {"/report": 1, "/": 5}
            page.stop()


def test_the_words_of_the_containers_make_a_page_with_a_worker(
    tmp_path: Path, server: Recorder
) -> None:
    """What starts in compose.yaml starts here, but for addresses and places, and loads."""
    if not programs.COMPOSE.there:
        pytest.skip("not built: compose (make stack-test builds it; it needs Go)")
    services = compose.services()
    page, worker = services["locust"], services["locust-worker"]
    place = str(page.binds["/load"])
    master, master_host = at_port("--master-bind-port", "--master-port")
    words = [word.replace("/load", place, 1) for word in page.command]
    others = [word.replace("/load", place, 1) for word in worker.command]
    others += ["--master-host=127.0.0.1", master_host]
    words += [f"--host={server.url}", master]
    with running(tmp_path, words, others, workers=1) as shown:
        shown.begin(FEW, scenario="burst")
        shown.wait(lambda page: len(server.asked) >= FEW)
        shown.stop()
    assert Counter(server.paths()) == {"/report": 1, "/": FEW - 1}


def headless(scenario: str, host: str, users: int, seconds: int, *more: str) -> str:
    """Run a scenario without a page; return what Locust counted, as JSON."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "locust", f"--locustfile={run.LOCUSTFILE}", "--headless"),
            *(f"--scenario={scenario}", f"--host={host}", f"--users={users}"),
            *(f"--spawn-rate={users}", f"--run-time={seconds}s", "--json", "--skip-log", *more),
        ],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": host},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_turn_that_the_end_cuts_off_is_no_success(server: Recorder) -> None:
    """Nobody has finished in so short a time, so nothing is counted."""
    assert behaviours.SILENCE > 1
    counted = headless("idle", server.url, FEW, 1, "--stop-timeout=0")
    assert json.loads(counted) == []


def test_who_asks_by_hand_has_a_span_too(server: Recorder) -> None:
    """Each request of a raw client carries the traceparent of a client span that was exported."""
    users = SCENARIOS["mixed"].users
    headless("mixed", server.url, users, 2, "--stop-timeout=30")
    spans = {(span.trace_id.hex(), span.span_id.hex()): span for span in server.spans}
    assert {(asked.method, asked.path) for asked in server.asked} >= BY_HAND
    for asked in server.asked:
        assert asked.traceparent, asked
        _, trace_id, span_id, _ = asked.traceparent.split("-")
        span = spans[trace_id, span_id]
        assert span.kind == SpanKind.CLIENT.value + 1  # the protocol has a kind more, before all
        assert span.name == f"{asked.method} {asked.path}" or span.name.startswith("GET /item/")


def test_the_mix_is_whole_however_many_workers_share_it() -> None:
    """By their numbers the visitors of a run are all that the mix lists, as often as it says."""
    size = sum(behaviours.MIX.values())
    assert SCENARIOS["mixed"].users == size
    assert Counter(map(behaviours.mixed, range(size))) == behaviours.MIX
