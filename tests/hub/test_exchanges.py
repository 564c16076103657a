"""The end of a request: what the worker gets of it, and when that is settled."""

from __future__ import annotations

from typing import Any

import pytest

from tcpwatch.core.marks import Exchanged
from tcpwatch.hub import exchanges
from tcpwatch.hub.connection import KEPT, Connection, Exchange
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.testing import FakeKernel

LISTENER = Listener(1, "127.0.0.1", 80, "ipv4", "tcp", "test.Server", False, ())


def answered(received: int) -> tuple[Connection, Exchange]:
    """Return a connection and its exchange, of which so many bytes were seen."""
    connection = Connection(1, Loop(LISTENER, None, FakeKernel()), 0, 1, (0,) * 13)
    exchange = connection.first_byte(5)
    exchange.head_ns, exchange.status, exchange.received = 10, 200, received
    return connection, exchange


def test_a_request_is_frozen_when_the_worker_has_time() -> None:
    """Its thread is in a hurry after the last byte; nobody changes it any longer."""
    connection, exchange = answered(received=100)

    exchanges.end(connection, exchange, None)

    assert connection.marks[-1] is exchange
    assert Exchanged(*exchanges.frozen(connection.marks)[-1]).status == 200


@pytest.mark.parametrize("received", [0, KEPT + 1], ids=["unseen", "large"])
def test_what_may_be_large_does_not_wait_whole(received: int) -> None:
    """A full queue of heads of 64 kB would be half a gigabyte."""
    connection, exchange = answered(received)
    exchange.target = "/" * 60_000

    exchanges.end(connection, exchange, None)

    told: Any = connection.marks[-1]
    assert len(Exchanged(*told).target or "") == KEPT


def test_a_request_that_goes_on_is_told_as_it_was() -> None:
    """At a shutdown its thread answers it all the same, later."""
    connection, exchange = answered(received=100)

    exchanges.end(connection, exchange, None, at_once=True)
    exchange.status = 500

    assert Exchanged(*connection.marks[-1]).status == 200
