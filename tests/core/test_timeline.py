"""The timeline: marks in, phases and requests out."""

from __future__ import annotations

from typing import Any

import pytest

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.core.record import INTERVALS_KEPT
from tcpwatch.core.timeline import Timeline
from tests.core.lives import HANDLER, accepted, ending, exchange, flat, record


def test_a_request_passes_through_every_phase() -> None:
    """One ordinary connection has each phase once, in order, with the marks' durations."""
    done = record(accepted(), *HANDLER, *exchange(130), *ending(175))

    assert [(i.phase, i.end_ns - i.start_ns) for i in done.intervals] == [
        ("accept_queue", 50),
        ("dispatch", 10),
        ("idle", 20),
        ("read_head", 5),
        ("app", 20),
        ("respond", 5),
        ("drain", 10),
        ("idle", 5),
        ("close", 10),
    ]
    assert (done.start_ns, done.end_ns, done.outcome) == (50, 185, "completed")


BEFORE = {"accept_queue": 50, "dispatch": 10}
"""How long the first request has waited."""


def test_a_request_ends_with_its_last_byte() -> None:
    """The drain is the connection's, not the request's."""
    timeline = Timeline(1)
    timeline.feed(flat([accepted(), *HANDLER, *exchange(130)]))

    (request,) = timeline.requests

    assert (request.start_ns, request.end_ns, request.wall_ns) == (130, 160, 5_000)
    assert timeline.phases_of(request) == {**BEFORE, "read_head": 5, "app": 20, "respond": 5}


def test_requests_on_one_connection_are_numbered() -> None:
    """Keep-alive: N exchanges, sequence 1 to N, one connection."""
    timeline = Timeline(1)
    timeline.feed(flat([accepted(), *HANDLER]))
    for number in range(5):
        timeline.feed(flat(exchange(200 + 100 * number)))
    timeline.feed(flat(ending(900)))

    assert [request.sequence for request in timeline.requests] == [1, 2, 3, 4, 5]
    assert timeline.record().requests == 5


def test_only_the_last_intervals_are_kept_and_the_rest_counted() -> None:
    """An hour of keep-alive has bounded memory; totals stay exact."""
    requests = 40
    done = record(
        accepted(),
        *HANDLER,
        *(mark for n in range(requests) for mark in exchange(200 + 100 * n)),
        *ending(9_000),
    )

    assert len(done.intervals) == INTERVALS_KEPT
    assert done.intervals_dropped == 3 + 5 * requests + 1 - INTERVALS_KEPT
    assert sum(done.phases.values()) == done.end_ns - done.start_ns
    assert done.phases["app"] == 20 * requests


def test_what_is_forgotten_on_the_way_is_what_the_end_would_not_keep() -> None:
    """A worker that gets each request by itself tells the same as one that gets all at once."""
    requests, kept = 300, []
    marks = [flat(exchange(200 + 100 * number)) for number in range(requests)]
    timeline = Timeline(1)
    timeline.feed(flat([accepted(), *HANDLER]))
    for each in marks:
        timeline.feed(each)
        kept.append(len(timeline._legs))
    timeline.feed(flat(ending(200 + 100 * requests)))

    at_once = Timeline(1)
    at_once.feed(flat([accepted(), *HANDLER]) + [part for each in marks for part in each])
    at_once.feed(flat(ending(200 + 100 * requests)))

    assert timeline.record() == at_once.record()
    assert max(kept) < requests / 10


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"status": 499}, 0),
        ({"status": 500}, 1),
        ({"status": None}, 0),
        ({"status": 501, "refused": True}, 0),  # http.server's own answer to a wrong client
    ],
)
def test_a_server_error_is_a_status_of_500_or_more_that_the_application_gave(
    changes: dict[str, Any], errors: int
) -> None:
    """Such a connection is worth keeping."""
    done = record(accepted(), *HANDLER, *exchange(130, **changes), *exchange(180), *ending(230))

    assert done.server_errors == errors


@pytest.mark.parametrize(
    ("head", "flags", "sampled"),
    [(None, 0, False), (0, 0, False), (1, 0, True), (0, 1, True), (None, 1, True), (1, 1, True)],
)
def test_a_connection_is_sampled_if_its_head_or_one_of_its_requests_is(
    head: int | None, flags: int, sampled: bool
) -> None:
    """A caller may want a request of a connection that we would not have exported."""
    decided = [] if head is None else [(kinds.SAMPLED, 131, (head, ()))]
    timeline = Timeline(1)
    first, *rest = exchange(130, flags=flags)
    timeline.feed(flat([accepted(), *HANDLER, first, *decided, *rest, *ending(180)]))

    assert timeline.record().sampled == timeline.sampled == sampled
    assert timeline.record().requests_exported == bool(flags)


def test_what_delays_the_first_request_came_before_it() -> None:
    """Queue, handshake and dispatch, also when the marks came one by one; never the idle wait."""
    marks = [
        accepted(),
        (kinds.TLS_BEGAN, 102, None),
        (kinds.TLS_ENDED, 108, (None, None)),
        *HANDLER,
        *exchange(130),
        *exchange(190),
    ]
    whole, cut = Timeline(1), Timeline(1)
    whole.feed(flat(marks))
    for mark in marks:
        cut.feed(flat([mark]))

    own = {"read_head": 5, "app": 20, "respond": 5}
    delays = {"accept_queue": 50, "dispatch": 4, "tls_handshake": 6}
    for timeline in (whole, cut):
        first, second = timeline.requests
        assert timeline.phases_of(first) == {**delays, **own}
        assert timeline.phases_of(second) == own


def test_what_was_read_of_no_request_is_no_request_s() -> None:
    """A blank line before a request, or after it, adds nothing to its phases."""
    blank = [(kinds.FIRST_BYTE, 120, 1), (kinds.NO_REQUEST, 125, True)]
    again = [(kinds.FIRST_BYTE, 175, 1), (kinds.NO_REQUEST, 185, True)]
    timeline = Timeline(1)
    timeline.feed(flat([accepted(), *HANDLER, *blank, *exchange(130), *again, *ending(190)]))

    (request,) = timeline.requests
    assert timeline.phases_of(request) == {**BEFORE, "read_head": 5, "app": 20, "respond": 5}
    done = timeline.record()
    assert done.phases["read_head"] == 5 + 5 + 10
    read = [(one.seconds * 1e9, one.sequence) for one in done.intervals if one.phase == "read_head"]
    assert read == [(5, 0), (5, 1), (10, 0)]


def test_a_handshake_inside_accept_precedes_dispatch() -> None:
    """Werkzeug shakes hands in accept(); the phase is its own, the rest stays dispatch."""
    done = record(
        accepted(),
        (kinds.TLS_BEGAN, 102, None),
        (kinds.TLS_ENDED, 108, (None, ("TLSv1.3", "AES", False))),
        *HANDLER,
        *ending(120),
    )

    assert done.phases == {
        "accept_queue": 50,
        "dispatch": 4,
        "tls_handshake": 6,
        "idle": 10,
        "close": 10,
    }


def test_a_handshake_by_the_handler_follows_dispatch() -> None:
    """A handler may shake hands itself; afterwards it is where it was."""
    done = record(
        accepted(),
        (kinds.HANDLER_BEGAN, 110, "thread"),
        (kinds.TLS_BEGAN, 112, None),
        (kinds.TLS_ENDED, 118, (None, None)),
        (kinds.HTTP_READY, 119, None),
        *ending(130),
    )

    assert [i.phase for i in done.intervals] == [
        *("accept_queue", "dispatch", "handle", "tls_handshake", "idle", "close"),
    ]


def test_a_raw_handler_has_one_phase() -> None:
    """A handler that speaks no HTTP is `handle` from first to last line."""
    done = record(accepted(), (kinds.HANDLER_BEGAN, 110, "inline"), *ending(140))

    assert done.phases == {"accept_queue": 50, "dispatch": 10, "handle": 30, "close": 10}


def test_an_unknown_wait_is_absent() -> None:
    """Without the kernel's word there is no accept_queue phase, not one of 0."""
    done = record(accepted(wait_ns=None), *HANDLER, *ending(130))

    assert names.ACCEPT_QUEUE not in done.phases
    assert done.start_ns == 100


def test_time_never_runs_backwards() -> None:
    """A mark from before the last one is clamped to it."""
    done = record(accepted(), (kinds.HANDLER_BEGAN, 90, "inline"), *ending(140))

    assert done.phases["dispatch"] == 0
    assert sum(done.phases.values()) == done.end_ns - done.start_ns


def test_an_impossible_mark_is_an_anomaly_and_nothing_else() -> None:
    """What the table does not expect changes no phase."""
    done = record(accepted(), (kinds.LAST_WRITE, 105, None), *HANDLER, *ending(130))

    assert done.anomalies == 1
    assert done.phases == record(accepted(), *HANDLER, *ending(130)).phases


def test_a_record_is_final() -> None:
    """An open connection has none yet."""
    timeline = Timeline(1)
    timeline.feed(flat([accepted()]))

    with pytest.raises(ValueError, match="in phase dispatch, not over"):
        timeline.record()
