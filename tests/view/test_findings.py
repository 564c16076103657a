"""Findings and their sentences, from recordings written span by span."""

from __future__ import annotations

import pytest

from tcpwatch import names
from tcpwatch.view import glossary
from tcpwatch.view.connections import Connection
from tcpwatch.view.findings import find
from tcpwatch.view.queries.chosen import Chosen
from tcpwatch.view.queries.connection import load
from tcpwatch.view.queries.servers import servers
from tcpwatch.view.sentences import compared, duration, sentences, summary
from tcpwatch.view.store import Store
from tests.view.telemetry import Server, blocked


def whole(store: Store) -> list[Connection]:
    """All connections of a store."""
    return list(
        load(store, [span for (span,) in store.read("SELECT span FROM connections")]).values()
    )


def test_the_sentence_says_who_waited_how_long_for_whom(store: Store, shop: Server) -> None:
    """In words for someone who has never heard of a backlog."""
    blocked(shop)
    (said,) = map(str, sentences(find(store)))
    assert said == (
        "Client B at 127.0.0.1:40002 (GET /fast) waited 0.90 s before anybody answered its "
        "connection: the server has one thread, and it was busy with client A at "
        "127.0.0.1:40001 (GET /slow)."
    )


@pytest.mark.parametrize(
    ("phases", "words"),
    [
        ({names.IDLE: 2.0}, "127.0.0.1:40001, which had connected and sent nothing"),
        ({names.APP: 0.1, names.RESPOND: 2.0}, "127.0.0.1:40001, which was slow to read"),
        ({names.READ_HEAD: 2.0}, "127.0.0.1:40001, which was slow to send its request"),
    ],
)
def test_the_sentence_says_what_the_blocker_did(
    store: Store, shop: Server, phases: dict[str, float], words: str
) -> None:
    """The longest part of its life after the queue is what it did."""
    shop.connection(1, {names.ACCEPT_QUEUE: 9.0, **phases})
    shop.connection(
        2,
        {names.ACCEPT_QUEUE: 1.9},
        blocked_by__activity=names.LOOP_INLINE,
        blocked_by__connection__id="1",
    )
    assert words in str(sentences(find(store))[0])


def test_a_silent_tls_client_is_named(store: Store, shop: Server) -> None:
    """Threads do not help there: the handshake is in the loop."""
    shop.connection(1, {names.TLS_HANDSHAKE: 1.5}, outcome=names.TLS_FAILED)
    shop.connection(2, {names.ACCEPT_QUEUE: 1.4}, blocked_by__activity="tls_handshake", link=1)
    (said,) = map(str, sentences(find(store)))
    assert "still in the encryption handshake of 127.0.0.1:40001, which had connected" in said


def test_a_convoy_has_no_culprit(store: Store, shop: Server) -> None:
    """Many short connections are nobody's fault."""
    for number in range(2, 5):
        shop.connection(
            number,
            {names.ACCEPT_QUEUE: number / 10},
            blocked_by__activity=names.BLAME_CONVOY,
            blocked_by__count=number,
        )
    (said,) = map(str, sentences(find(store)))
    assert "waited 0.40 s" in said
    assert "nobody was slow, but 4 other connections had to be served first" in said
    assert "2 other clients waited for the same reason" in said


def test_of_several_slow_ones_nobody_is_called_quick(store: Store, shop: Server) -> None:
    """Two views of half a second each are no single culprit, and not nobody's fault either."""
    shop.connection(
        2,
        {names.ACCEPT_QUEUE: 1.0},
        blocked_by__activity=names.BLAME_CONVOY,
        blocked_by__count=2,
    )
    (said,) = map(str, sentences(find(store)))
    assert (
        "2 other connections had to be served first, one after another, about 0.50 s each" in said
    )
    assert "nobody was slow" not in said


def test_who_waited_for_whom_comes_first_then_convoys_then_the_rest(
    store: Store, shop: Server
) -> None:
    """A wait with a culprit that has a name can be looked at; each kind by its longest wait."""
    blocked(shop)
    for number, wait in ((3, 5.0), (4, 0.5)):
        shop.connection(
            number, {names.ACCEPT_QUEUE: wait}, start=10.0, blocked_by__activity="convoy"
        )
    shop.total(names.M_QUEUE_DROPS, 7)
    first, second, third = map(str, sentences(find(store)))
    assert first.startswith("Client B")
    assert second.startswith("127.0.0.1:40003 waited 5.00 s")
    assert "nobody was slow" in second
    assert "7 packets" in third


def test_a_blocker_that_was_not_recorded_is_still_explained(store: Store, shop: Server) -> None:
    """Its span may have been sampled out, or evicted."""
    shop.connection(
        2,
        {names.ACCEPT_QUEUE: 1.0},
        blocked_by__activity=names.LOOP_INLINE,
        blocked_by__connection__id="dead",
    )
    assert "the server has one thread, and it was busy." in str(sentences(find(store))[0])


def test_a_server_where_nobody_waited_says_so(store: Store, shop: Server) -> None:
    """Good news is a finding too."""
    shop.connection(1, {names.ACCEPT_QUEUE: 0.002})
    assert [*map(str, sentences(find(store)))] == [
        "Nobody waited: the longest of 1 connection was in the queue for 2.0 ms."
    ]


def test_a_wait_that_nobody_measured_is_not_called_none(store: Store, shop: Server) -> None:
    """The kernel does not tell it of an AF_UNIX socket, and not on every platform."""
    shop.connection(1, {names.APP: 0.1})
    findings = find(store)
    assert findings.waited is None
    assert summary(findings) == "1 connection came."
    assert [*map(str, sentences(findings))] == [
        "How long anybody waited in the queue is not known: the kernel did not say."
    ]
    (seen,) = servers(store, 0.05)
    assert seen.waited is None


def test_clients_turned_away_and_clients_that_gave_up_are_told(store: Store, shop: Server) -> None:
    """Neither is visible to the server's own code."""
    shop.connection(1, {names.ACCEPT_QUEUE: 0.3}, outcome=names.CLIENT_GONE_IN_QUEUE)
    shop.total(names.M_QUEUE_DROPS, 7)
    shop.request(1, "/fast", parent=1)
    dropped, gone = map(str, sentences(find(store)))
    assert "room for 16" in dropped
    assert "7 packets" in dropped
    assert "1 client gave up" in gone
    assert "did the work all the same" in gone


def test_an_empty_recording_has_findings_that_claim_nothing(store: Store) -> None:
    """Absent, not 0."""
    findings = find(store)
    assert (findings.queue, findings.depth, findings.limit, findings.drops) == (None,) * 4
    assert (findings.loop_seconds, findings.loop_busy) == (0, 0)
    assert sentences(findings) == []
    assert "nothing to compare" in compared("one", findings, "other", findings)


@pytest.mark.parametrize(("parent", "link"), [(1, 0), (0, 1), (0, 0)], ids=["parent", "link", "id"])
def test_a_request_is_found_by_its_parent_its_link_or_its_connection_s_id(
    store: Store, shop: Server, parent: int, link: int
) -> None:
    """In a caller's trace only link and id are left."""
    shop.request(1, "/here", parent=parent, link=link)
    shop.connection(1, {names.APP: 0.1})
    (connection,) = whole(store)
    assert (connection.asked, connection.status) == ("GET /here", 200)


def test_what_a_client_wrote_cannot_reach_the_terminal_as_a_command(
    store: Store, shop: Server
) -> None:
    """Paths and names come from whoever connects: no escape sequences, no endless lines."""
    shop.request(1, "/\x1b[2J" + "x" * 5000, agent="\x1b]0;owned\x07")
    shop.connection(1, {names.APP: 0.1})
    (connection,) = whole(store)
    assert connection.asked.startswith("GET /?[2Jxxx")
    assert len(connection.asked) == 60
    assert connection.agent == "?]0;owned?"


def test_the_loop_s_time_is_summed_by_state_in_the_contract_s_order(
    store: Store, shop: Server
) -> None:
    """Over the listeners; the share away from its post is all but idle."""
    shop.total(names.M_LOOP_TIME, 3, tcpwatch__loop__state="inline", server__port="80")
    shop.total(names.M_LOOP_TIME, 1, tcpwatch__loop__state="inline", server__port="81")
    shop.total(names.M_LOOP_TIME, 4, tcpwatch__loop__state="idle", server__port="80")
    findings = find(store)
    assert list(findings.loop.items()) == [("idle", 4), ("inline", 4)]
    assert (findings.loop_seconds, findings.loop_busy) == (8, 0.5)


def test_findings_are_of_one_service_where_one_is_asked_for(store: Store) -> None:
    """Two servers may send to one receiver."""
    Server(store, "one").connection(1, {names.APP: 1.0})
    Server(store, "two").connection(2, {names.APP: 2.0})
    two = next(one.id for one in store.servers.values() if one.service == "two")
    assert find(store, Chosen(server=two)).phases[names.APP].longest == 2
    assert find(store).connections == 2


def test_the_deepest_queue_and_its_limit_come_from_the_connections(
    store: Store, shop: Server
) -> None:
    """Each connection says how many were behind it."""
    shop.connection(3, {names.ACCEPT_QUEUE: 0.0})
    shop.connection(9, {names.ACCEPT_QUEUE: 0.0})
    findings = find(store)
    assert (findings.depth, findings.limit) == (9, 16)


def test_the_worst_are_one_for_each_culprit(store: Store, shop: Server) -> None:
    """Three victims of one blocker would be the same story three times."""
    blocked(shop)
    shop.connection(3, {names.ACCEPT_QUEUE: 0.8}, blocked_by__activity=names.LOOP_INLINE, link=1)
    shop.connection(4, {names.ACCEPT_QUEUE: 0.2}, blocked_by__activity=names.BLAME_CONVOY)
    chosen = find(store).worst
    assert [connection.peer for connection in chosen] == ["127.0.0.1:40002", "127.0.0.1:40004"]


def test_stretches_follow_each_other_where_no_phase_span_was_sent(
    store: Store, shop: Server
) -> None:
    """The totals are all there is then."""
    shop.connection(1, {names.ACCEPT_QUEUE: 0.5, names.APP: 1.0})
    (connection,) = whole(store)
    assert [(one.phase, one.start, one.end) for one in connection.stretches] == [
        (names.ACCEPT_QUEUE, 0.0, 0.5),
        (names.APP, 0.5, 1.5),
    ]


def test_percentiles_are_values_that_occurred(store: Store, shop: Server) -> None:
    """Nearest rank: no invented number between two waits."""
    for number in range(100, 0, -1):
        shop.connection(number, {names.APP: float(number)})
    spread = find(store).phases[names.APP]
    assert (spread.count, spread.p50, spread.p95, spread.longest) == (100, 50, 95, 100)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0.0 ms"), (0.0042, "4.2 ms"), (0.042, "42 ms"), (0.9, "0.90 s"), (12.34, "12.3 s")],
)
def test_a_duration_has_the_unit_a_person_would_use(seconds: float, words: str) -> None:
    """Two or three digits, never more."""
    assert duration(seconds) == words


def test_every_word_of_the_contract_is_in_the_glossary() -> None:
    """A phase, state or outcome without an explanation would be jargon."""
    assert set(glossary.PHASES) == set(names.PHASES)
    assert set(glossary.LOOP_STATES) == set(names.LOOP_STATES)
    blames = {value for name, value in vars(names).items() if name.startswith("BLAME_")}
    assert set(glossary.ACTIVITIES) == blames | (set(names.LOOP_STATES) - {names.LOOP_IDLE})
