"""The load is what was ordered, and a request's latency begins when it is due."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

import pytest

from bench.load import Load, run


class Counting(BaseHTTPRequestHandler):
    """Says hello; the server that is held says it when it is let go."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    body = b"hello"
    connections = 0
    requests = 0
    gate = threading.Event()

    def setup(self) -> None:
        super().setup()
        type(self).connections += 1

    def do_GET(self) -> None:
        self.gate.wait(10)
        type(self).requests += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def serving(handler: type[Counting], kind: type[HTTPServer] = ThreadingHTTPServer) -> Iterator[int]:
    with kind(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def handler() -> type[Counting]:
    """A class of its own for each test, that answers at once."""

    class Own(Counting):
        gate = threading.Event()

    Own.gate.set()
    return Own


@pytest.mark.parametrize(("keep_alive", "connections"), [(False, 12), (True, 3)])
def test_so_many_requests_on_so_many_connections(
    handler: type[Counting], keep_alive: bool, connections: int
) -> None:
    with serving(handler) as port:
        outcome = run(Load(port, 12, clients=3, keep_alive=keep_alive))
    assert len(outcome.latencies) == handler.requests == 12
    # A client that is quick may do all the work before another one has connected.
    assert 1 <= handler.connections <= connections
    assert keep_alive or handler.connections == connections


def test_no_request_is_sent_before_it_is_due(handler: type[Counting]) -> None:
    with serving(handler) as port:
        outcome = run(Load(port, 11, clients=2, rate=100))
    assert outcome.seconds >= 10 / 100


def test_a_server_that_stalls_makes_all_wait_that_were_due(handler: type[Counting]) -> None:
    handler.gate.clear()
    with serving(handler) as port:
        stall = threading.Timer(0.5, handler.gate.set)
        stall.start()
        outcome = run(Load(port, 21, clients=1, rate=100))
        stall.join()
    # The last one was due 0.3 s before the stall was over and could not even be sent.
    assert min(outcome.latencies) > 0.25
    assert max(outcome.latencies) > 0.45


def test_another_answer_than_the_expected_one_is_a_failure(handler: type[Counting]) -> None:
    handler.body = b"other"
    handler.protocol_version = "HTTP/1.0"
    with serving(handler) as port, pytest.raises(RuntimeError, match="instead of b'hello'"):
        run(Load(port, 1))
