"""The post and its relay: bounded, and at home in large processes."""

from __future__ import annotations

import fcntl
import resource
import socket
import threading
import time

import pytest

from tcpwatch.hub.post import Post
from tcpwatch.hub.relay import Message, Relay
from tests.live.wire import LIMIT

BEYOND = 1_024
"""FD_SETSIZE of glibc: select() takes no descriptor from here on."""


def test_what_children_send_is_bounded_too() -> None:
    """Messages that come by the relay lose their oldest; after a reset no descriptor is left."""
    post, arrived = Post(capacity=3), threading.Event()

    def take(message: Message) -> bool:
        last: bool = message[0] == "last"
        if last:
            arrived.set()
        return last

    post.open_relay(take)
    relay = post.relay
    assert relay is not None
    for number in range(5):
        assert relay.send(("marks", number, []), LIMIT)
    assert relay.send(("last",), LIMIT)
    assert arrived.wait(LIMIT)
    assert [message[1] for message in post.queue] == [2, 3, 4]
    assert post.dropped == {"queue_full": 2}
    post.reset()
    deadline = time.monotonic() + LIMIT
    while relay.far_end.fileno() != -1:
        assert time.monotonic() < deadline, "the collecting thread has not ended"
        time.sleep(0.001)  # nobody else can be waited for


def test_a_relay_among_many_descriptors_still_waits() -> None:
    """A full relay whose descriptor is beyond what select() knows drops, and raises nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < BEYOND + 100:
        pytest.skip("not enough descriptors allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, BEYOND + 100), hard))
    relay = Relay()
    try:
        low = relay.sock
        relay.sock = socket.socket(fileno=fcntl.fcntl(low, fcntl.F_DUPFD, BEYOND))
        low.close()
        relay.sock.setblocking(False)
        assert relay.sock.fileno() >= BEYOND
        assert relay.ask(("nobody answers",), 0.001) is None
        while relay.send(("marks", 1, ["x" * 10_000]), 0.001):
            pass
        assert relay.unreported == 1
    finally:
        relay.sock.close()
        relay.far_end.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
