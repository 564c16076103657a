"""Tables and properties of the timeline: marks in, phases and an outcome out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.core.marks import Accepted, Closing, Exchanged, Marks
from tcpwatch.core.record import INTERVALS_KEPT, ConnectionRecord
from tcpwatch.core.timeline import Timeline
from tcpwatch.core.transitions import OVER, TRANSITIONS, phase_after

ACCEPTED = Accepted(
    wall_ns=1_000_000_000,
    listener=1,
    wait_ns=50,
    depth=0,
    limit=128,
    state=1,
    peer=("127.0.0.1", 1234),
    local=("127.0.0.1", 80),
    cookie="1f",
    handshake_rtt_us=20,
    synack_retransmits=0,
    trace_id=1,
    span_id=2,
)

EXCHANGED = Exchanged(
    method="GET",
    target="/",
    version="HTTP/1.1",
    scheme="http",
    host="localhost",
    forwarded_host=None,
    forwarded_for=None,
    user_agent="test",
    status=200,
    route=None,
    error=None,
    refused=False,
    body_wait_ns=0,
    peer_instrumented=False,
    excluded=False,
    trace_id=1,
    span_id=3,
    parent_span_id=2,
    parent_is_remote=False,
    flags=1,
    trace_state=(),
    exported=False,
)


Mark = tuple[int, int, Any]


def flat(marks: Iterable[Mark]) -> Marks:
    """Write marks one after the other, as serving threads do."""
    return [value for mark in marks for value in mark]


def accepted(**changes: Any) -> Mark:
    """Make the first mark, at time 100."""
    return (kinds.ACCEPTED, 100, tuple(ACCEPTED._replace(**changes)))


def exchange(start: int, **changes: Any) -> list[Mark]:
    """Make the marks of one request that takes 40 from its first byte at `start`."""
    return [
        (kinds.FIRST_BYTE, start, 5_000),
        (kinds.HEAD_PARSED, start + 5, ("GET", "http")),
        (kinds.FIRST_WRITE, start + 25, None),
        (kinds.LAST_WRITE, start + 30, None),
        (kinds.EXCHANGE_ENDED, start + 40, tuple(EXCHANGED._replace(**changes))),
    ]


HANDLER: list[Mark] = [(kinds.HANDLER_BEGAN, 110, "thread"), (kinds.HTTP_READY, 115, None)]


def ending(start: int, closing: Closing | None = None) -> list[Mark]:
    """Make the marks of a handler that returns at `start` and a socket closed 10 later."""
    told = closing and (closing.state, closing.bytes_received, tuple(closing))
    return [(kinds.HANDLER_ENDED, start, None), (kinds.CLOSED, start + 10, told)]


def record(*marks: Mark) -> ConnectionRecord:
    """Feed marks to a new timeline and return its record."""
    timeline = Timeline(1)
    timeline.feed(flat(marks))
    return timeline.record()


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


def test_a_request_ends_with_its_last_byte() -> None:
    """The drain is the connection's, not the request's."""
    timeline = Timeline(1)
    timeline.feed(flat([accepted(), *HANDLER, *exchange(130)]))

    (request,) = timeline.requests

    assert (request.start_ns, request.end_ns, request.wall_ns) == (130, 160, 5_000)
    assert request.phases == {"read_head": 5, "app": 20, "respond": 5, "drain": 10}


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


RESET = Closing(state=7)

OUTCOMES: dict[str, tuple[list[Mark], str, str | None]] = {
    "reset before accept": ([accepted(state=7), *ending(120)], "client_gone_in_queue", None),
    "half-closed before accept may still read": (
        [accepted(state=8), *HANDLER, *exchange(130), *ending(175)],
        "completed",
        None,
    ),
    "verify_request said no": (
        [accepted(), (kinds.REJECTED, 105, True), (kinds.CLOSED, 110, None)],
        "rejected",
        None,
    ),
    "handshake failed": (
        [
            accepted(),
            (kinds.TLS_BEGAN, 101, None),
            (kinds.TLS_ENDED, 104, ("SSLError", None)),
            (kinds.CLOSED, 110, None),
        ],
        "tls_failed",
        "SSLError",
    ),
    "handler raised": (
        [
            accepted(),
            *HANDLER,
            (kinds.HANDLER_ENDED, 120, ("KeyError", False)),
            (kinds.CLOSED, 125, None),
        ],
        "handler_error",
        "KeyError",
    ),
    "the client left the handler": (
        [
            accepted(),
            *HANDLER,
            (kinds.HANDLER_ENDED, 120, ("BrokenPipeError", True)),
            (kinds.CLOSED, 125, None),
        ],
        "client_disconnected",
        None,
    ),
    "reset seen at close": (
        [accepted(), *HANDLER, *exchange(130), *ending(175, RESET)],
        "client_disconnected",
        None,
    ),
    "EOF inside a head": (
        [
            accepted(),
            *HANDLER,
            (kinds.FIRST_BYTE, 120, 1),
            (kinds.READ_FAILED, 121, "EOF"),
            (kinds.NO_REQUEST, 125, True),
            *ending(130),
        ],
        "client_disconnected",
        None,
    ),
    "timeout inside a head": (
        [
            accepted(),
            *HANDLER,
            (kinds.FIRST_BYTE, 120, 1),
            (kinds.READ_FAILED, 160, "TimeoutError"),
            (kinds.NO_REQUEST, 165, True),
            *ending(170),
        ],
        "timeout",
        "TimeoutError",
    ),
    "timeout while idle is no timeout": (
        [accepted(), *HANDLER, (kinds.READ_FAILED, 160, "TimeoutError"), *ending(170)],
        "no_request",
        None,
    ),
    "refused by http.server": (
        [accepted(), *HANDLER, *exchange(130, status=400, refused=True), *ending(175)],
        "bad_request",
        "400",
    ),
    "a blank line": (
        [
            accepted(),
            *HANDLER,
            (kinds.FIRST_BYTE, 120, 1),
            (kinds.NO_REQUEST, 125, True),
            *ending(130),
        ],
        "bad_request",
        "bad_request",
    ),
    "server stopped": (
        [accepted(), *HANDLER, (kinds.ABANDONED, 150, "server_shutdown")],
        "server_shutdown",
        None,
    ),
    "child died": (
        [accepted(), (kinds.ABANDONED, 150, "child_died")],
        "child_died",
        "child_died",
    ),
    "uninstalled": ([accepted(), (kinds.ABANDONED, 150, "uninstalled")], "uninstalled", None),
    "sent nothing": (
        [accepted(), *HANDLER, *ending(130, Closing(state=8, bytes_received=0))],
        "no_request",
        None,
    ),
    "a 500 is still an answer": (
        [accepted(), *HANDLER, *exchange(130, status=500, error="ValueError"), *ending(175)],
        "completed",
        None,
    ),
}


@pytest.mark.parametrize("case", OUTCOMES.values(), ids=OUTCOMES.keys())
def test_the_outcome_is_the_first_that_applies(
    case: tuple[list[Mark], str, str | None],
) -> None:
    """Each end of a connection has its word and, if it is an error, its error.type."""
    marks, outcome, error = case

    done = record(*marks)

    assert (done.outcome, done.error) == (outcome, error)


PAYLOADS: dict[int, Any] = {
    kinds.ACCEPTED: tuple(ACCEPTED),
    kinds.TLS_ENDED: (None, None),
    kinds.HANDLER_BEGAN: "thread",
    kinds.FIRST_BYTE: 1,
    kinds.HEAD_PARSED: ("GET", "http"),
    kinds.EXCHANGE_ENDED: tuple(EXCHANGED),
    kinds.READ_FAILED: "EOF",
    kinds.REJECTED: True,
    kinds.NO_REQUEST: True,
    kinds.BLOCKING: ("inline", 1.0, 2),
    kinds.ABANDONED: "uninstalled",
    kinds.SAMPLED: (1, ()),
}
KINDS = list(kinds.ALL)


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 1_000)), max_size=60),
    st.one_of(st.none(), st.integers(0, 100)),
)
def test_any_order_of_marks_gives_a_record(noise: list[tuple[int, int]], wait: int | None) -> None:
    """Whatever a program does: no exception, no overlap, and the phases add up to the lifetime."""
    timeline = Timeline(1)
    timeline.feed(flat([accepted(wait_ns=wait)]))
    for kind, when in noise:
        timeline.feed([kind, when, PAYLOADS.get(kind)])
    timeline.feed([kinds.ABANDONED, 2_000, "server_shutdown"])

    assert timeline.phase == OVER
    done = timeline.record()
    assert sum(done.phases.values()) == done.end_ns - done.start_ns
    for earlier, later in zip(done.intervals, done.intervals[1:], strict=False):
        assert earlier.start_ns <= earlier.end_ns == later.start_ns


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 1_000)), max_size=40),
    st.lists(st.integers(0, 40), max_size=4),
)
def test_how_marks_are_cut_into_messages_changes_nothing(
    noise: list[tuple[int, int]], cuts: list[int]
) -> None:
    """One message or many, in order or not: the same record and the same requests."""
    marks = [accepted(), *((kind, when, PAYLOADS.get(kind)) for kind, when in noise)]
    marks.append((kinds.ABANDONED, 2_000, "server_shutdown"))
    whole, cut = Timeline(1), Timeline(1)
    whole.feed(flat(marks))
    edges = [0, *sorted(cuts), len(marks)]
    for start, end in itertools.pairwise(edges):
        if marks[start:end]:
            cut.feed(flat(marks[start:end]))

    assert cut.record() == whole.record()
    assert [(r.sequence, r.start_ns, r.end_ns, r.phases) for r in cut.requests] == [
        (r.sequence, r.start_ns, r.end_ns, r.phases) for r in whole.requests
    ]


@given(st.lists(st.sampled_from(KINDS), max_size=30))
def test_a_look_at_pending_marks_agrees_with_the_timeline(kinds: list[int]) -> None:
    """phase_after says what the timeline will say once it has the marks."""
    marks = [(kind, 101 + n, PAYLOADS.get(kind)) for n, kind in enumerate(kinds) if kind]
    timeline = Timeline(1)
    timeline.feed(flat([accepted(), *marks]))

    assert phase_after(names.ACCEPT_QUEUE, 50, flat([accepted(), *marks]))[0] == timeline.phase


def test_every_phase_can_be_entered_and_left() -> None:
    """The table has no phase that is a trap or that nobody reaches."""
    left = {phase for phase, _ in TRANSITIONS}
    entered = set(TRANSITIONS.values()) | {names.ACCEPT_QUEUE}

    assert left == set(names.PHASES)
    assert set(names.PHASES) <= entered
