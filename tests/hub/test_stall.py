"""The stall watch, on a loop and a clock of our own."""

from __future__ import annotations

import logging
import socket

import pytest

from tcpwatch import names
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.hub.stall import Holder, StallWatch
from tcpwatch.testing import FakeKernel

SECOND = 1_000_000_000
LISTENER = Listener(1, "127.0.0.1", 80, "ipv4", "tcp", "test.Server", False, ())


@pytest.fixture
def kernel() -> FakeKernel:
    """Return a kernel whose queue has three connections."""
    kernel = FakeKernel()
    kernel.depth_and_limit = (3, 128)
    return kernel


@pytest.fixture
def loop(kernel: FakeKernel) -> Loop:
    """Return a loop that has left select at second 10 and serves connection 7 itself."""
    loop = Loop(LISTENER, socket.socket(), kernel)
    assert loop.sock is not None
    loop.sock.close()
    loop.enter_select(9 * SECOND)
    loop.leave_select(10 * SECOND, names.LOOP_ACCEPT)
    loop.turn(names.LOOP_INLINE, 10 * SECOND, 7)
    return loop


def watch(loop: Loop) -> StallWatch:
    """Return a watch over this loop that warns after a second."""
    return StallWatch(
        lambda: [loop],
        lambda key: Holder(f"connection {key}", "c0ffee", ("127.0.0.1", 4000), names.APP),
        1.0,
    )


def test_a_stall_is_told_while_it_happens(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """The blocker, the activity, how many wait."""
    watch(loop).look(12 * SECOND)

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("tcpwatch", logging.WARNING)
    for words in ("for 2.0 s", "connection 7", "inline", "3 connection(s)", "limit 128"):
        assert words in record.getMessage()


def test_a_look_says_whether_somebody_is_to_be_looked_at_again_soon(loop: Loop) -> None:
    """A loop that is not in select may get stuck there; one that is may sleep, and we too."""
    stall = watch(loop)
    assert stall.look(10 * SECOND)

    loop.enter_select(11 * SECOND)
    assert not stall.look(11 * SECOND)


def told(record: logging.LogRecord) -> dict[str, object]:
    """Return a record's attributes, as OpenTelemetry's handler would export them."""
    return {name: value for name, value in vars(record).items() if "." in name}


def test_a_program_need_not_read_the_words(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """What the warning and its end say is in attributes of the contract's names, too."""
    stall = watch(loop)
    stall.look(12 * SECOND)
    loop.enter_select(15 * SECOND)
    stall.look(16 * SECOND)

    server = {
        names.SERVER_ADDRESS: "127.0.0.1",
        names.SERVER_PORT: 80,
        names.SERVER_CLASS: "test.Server",
    }
    assert [told(record) for record in caplog.records] == [
        {
            **server,
            names.STALL_STATE: names.STALL_STUCK,
            names.STALL_DURATION: 2.0,
            names.BLOCKED_BY_ACTIVITY: names.LOOP_INLINE,
            names.BLOCKED_BY_CONNECTION_ID: "c0ffee",
            names.NETWORK_PEER_ADDRESS: "127.0.0.1",
            names.NETWORK_PEER_PORT: 4000,
            names.PHASE_NAME: names.APP,
            names.ACCEPT_QUEUE_DEPTH: 3,
            names.ACCEPT_QUEUE_LIMIT: 128,
        },
        {**server, names.STALL_STATE: names.STALL_OVER, names.STALL_DURATION: 5.0},
    ]


def test_nobody_waiting_is_no_stall(
    loop: Loop, kernel: FakeKernel, caplog: pytest.LogCaptureFixture
) -> None:
    """A long request on an otherwise quiet server is not worth a line."""
    kernel.depth_and_limit = (0, 128)

    watch(loop).look(12 * SECOND)

    assert not caplog.records


def test_a_short_absence_is_no_stall(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """Below the threshold nothing is said."""
    watch(loop).look(10 * SECOND + SECOND // 2)

    assert not caplog.records


def test_a_long_stall_is_repeated_every_half_minute(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    """Once a minute twice, not ten times a second."""
    stall = watch(loop)
    for second in range(12, 73):
        stall.look(second * SECOND)

    assert len(caplog.records) == 3


def test_the_end_of_a_stall_is_told(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """Only of one that was told, and once."""
    stall = watch(loop)
    stall.look(12 * SECOND)
    loop.enter_select(15 * SECOND)
    stall.look(16 * SECOND)
    stall.look(17 * SECOND)

    assert [record.getMessage() for record in caplog.records[1:]] == [
        "accept loop of test.Server on 127.0.0.1:80 goes on after 5.0 s"
    ]
