"""The post and its relay: bounded, and at home in large processes."""

from __future__ import annotations

import fcntl
import resource
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tcpwatch.hub.post import Post
from tcpwatch.hub.relay import Message, Relay, answer, receive
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


def test_an_answer_that_comes_late_is_nobody_elses() -> None:
    """Who asks next gets the answer to the own question, whatever is still in the pipe."""
    relay = Relay()
    with relay.sock, relay.far_end as far_end:
        assert relay.ask(("flush", 0.0), 0.0) is None
        late = receive(far_end)
        assert late[2] == ("flush", 0.0)

        def answer_both() -> None:
            asked = receive(far_end)
            answer(far_end, late[1], False)
            answer(far_end, asked[1], ["answered"])

        answering = threading.Thread(target=answer_both)
        answering.start()
        assert relay.ask(("connections", 1.0), LIMIT) == ["answered"]
        answering.join(LIMIT)


def test_who_asks_while_another_waits_gets_the_own_answer() -> None:
    """Several threads may ask at the same time."""
    relay = Relay()
    with relay.sock, relay.far_end as far_end, ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(relay.ask, (word,), LIMIT) for word in "abcd"]
        for _ in asking:
            _, number, question = receive(far_end)
            answer(far_end, number, question)
        assert [each.result(LIMIT) for each in asking] == [(word,) for word in "abcd"]


def test_a_relay_that_is_closed_meanwhile_has_no_answer() -> None:
    """Asking is no error when another thread uninstalls."""
    relay = Relay()
    relay.far_end.close()
    relay.sock.close()
    assert relay.ask(("connections", 1.0), LIMIT) is None
