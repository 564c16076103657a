"""A minute of server-sent events, which passes while the other hard cases are tried."""

from __future__ import annotations

import pytest

from tests.hard.apps_a_pair import outcome
from tests.hard.apps_a_wsgi import EVENT_GAP, EVENTS
from tests.hard.conftest import Minute
from tests.live.seen import phases

LASTED = EVENT_GAP * (EVENTS - 1)


@pytest.mark.timeout(2 * LASTED)
def test_a_minute_of_server_sent_events_is_one_long_respond(minute: Minute) -> None:
    """Same bytes and same log as bare; the gauge says `respond` meanwhile, and so does the span."""
    assert LASTED >= 60
    both = minute.both
    (during,) = minute.meanwhile.result(LASTED)
    assert during["phase"] == "respond"
    bare, watched = (told.result(1.5 * LASTED) for told in (minute.bare, minute.watched))
    assert watched.wire == bare.wire
    assert watched.wire.count("data: ") == EVENTS
    assert watched.stderr == bare.stderr
    connection, request = both.spans(watched.port)
    assert outcome(connection) == ("completed", "UNSET", None)
    assert LASTED <= phases(request)["respond"] <= LASTED + 30
    assert phases(connection)["respond"] >= LASTED
    assert phases(request)["app"] < 2 * EVENT_GAP
    assert (request.end_ns - request.start_ns) / 1e9 >= LASTED
