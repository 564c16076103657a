"""Hard case 18: the wall clock is stepped while connections are open."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tcpwatch.view.receiver import Receiver
from tests.hard.apps_b import HOUR
from tests.hard.apps_b_start import prepared
from tests.live.seen import Seen
from tests.live.wire import LIMIT, local_port, read_response, request_bytes

KEEP = {"Connection": "keep-alive"}
SECOND = 1_000_000_000


@pytest.mark.parametrize("order", [("hour forward", "hour back"), ("hour back", "hour forward")])
def test_a_step_of_the_wall_clock_bends_no_span(
    receiver: Receiver, seen: Seen, tmp_path: Path, order: tuple[str, str]
) -> None:
    """A connection and its phases keep their lengths; requests after the step have the new time."""
    began = time.time_ns()
    with prepared("clock", receiver.endpoint, tmp_path) as start:
        server = start("--server", "plain")
        with server.connect() as client:
            port = local_port(client)
            for step in (*order, ""):
                client.sendall(request_bytes("/", KEEP))
                read_response(client)
                if step:
                    server.tell(step)
        connection = seen.connection_of(port)
        requests = seen.wait_requests(3)
    took = time.time_ns() - began

    assert 0 < connection.end_ns - connection.start_ns < took
    assert began - SECOND < connection.start_ns < began + took
    inside = [s for s in seen.children(connection) if s.kind != "SERVER"]
    assert inside
    for span in (*inside, *requests):
        assert 0 <= span.end_ns - span.start_ns < took
    for span in inside:
        assert connection.start_ns <= span.start_ns <= span.end_ns <= connection.end_ns
    stepped = HOUR * SECOND * (1 if order[0] == "hour forward" else -1)
    ahead = {round((span.start_ns - began - took) / SECOND / HOUR) for span in requests}
    assert ahead == {0, stepped // (HOUR * SECOND)}


def test_after_a_step_everything_has_the_new_time(
    receiver: Receiver, seen: Seen, tmp_path: Path
) -> None:
    """A connection that comes after the step is an hour later, as the host's clock says."""
    with prepared("clock", receiver.endpoint, tmp_path) as start:
        server = start()
        before = time.time_ns()
        server.tell("hour forward")
        server.get("/")
        (connection,) = seen.wait_connections(1)
        (request,) = seen.wait_requests(1)
    for span in (connection, request):
        late = (span.start_ns - before) / SECOND - HOUR
        assert -1 < late < LIMIT
        assert 0 <= span.end_ns - span.start_ns < LIMIT * SECOND
