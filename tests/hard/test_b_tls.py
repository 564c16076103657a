"""Hard case 2: encryption that does not come about."""

from __future__ import annotations

import select
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import HTTPServer

import pytest

from tcpwatch.testing import FakeKernel, recording
from tests.apps.handlers import Plain
from tests.live.conftest import Start
from tests.live.harness import LiveServer
from tests.live.seen import Seen
from tests.live.wire import LIMIT, local_port, read_all, request_bytes, reset

STORM = 200
RESET = {"client_gone_in_queue", "client_disconnected"}
"""How a connection may end whose client resets, if not in the middle of its handshake."""
CLIENT_HELLO = bytes.fromhex("16030100050100000100")


def growing(seen: Seen, name: str) -> bool:
    """Say whether a gauge's last three different values have grown."""
    values = [point.value or 0 for point in seen.recording.history(name)]
    tail = values[-3:]
    return len(tail) == 3 and tail == sorted(set(tail)) and tail[0] > 0


@pytest.mark.parametrize("dispatch", ["thread", "process"])
def test_gauges_move_while_a_handshake_stalls(
    start: Start, seen: Seen, certificate: str, dispatch: str
) -> None:
    """A silent client holds the loop; until it goes the gauges say so, and how long already."""
    server = start("--certificate", certificate, "--dispatch", dispatch)
    assert server.get("/").status == 200
    with server.raw() as silent, ThreadPoolExecutor(1) as pool:
        next_one = pool.submit(lambda: server.get("/").status)
        seen.wait("the loop's time away", lambda now: growing(now, "tcpwatch.accept_loop.busy"))
        seen.wait("the connection's age", lambda now: growing(now, "tcpwatch.connection.oldest"))
        stalled = {"tcpwatch__phase__name": "tls_handshake"}
        assert seen.total("tcpwatch.connection.active", **stalled) == 1
        seen.wait("the queue", lambda now: now.total("tcpwatch.accept_queue.depth") == 1)
        port = local_port(silent)
        silent.shutdown(socket.SHUT_RDWR)
        assert next_one.result() == 200
    assert seen.connection_of(port).attributes["tcpwatch.connection.outcome"] == "tls_failed"
    seen.wait_total("tcpwatch.connection.active", 0)
    seen.wait("a free loop", lambda now: now.points("tcpwatch.accept_loop.busy")[0].value == 0)


def plain_http(server: LiveServer) -> None:
    """Speak HTTP where TLS is spoken."""
    with server.raw() as client:
        client.sendall(request_bytes("/"))
        read_all(client)


def half_a_hello(server: LiveServer) -> None:
    """Begin a handshake and reset."""
    client = server.raw()
    client.sendall(CLIENT_HELLO[:6])
    reset(client)


def nothing(server: LiveServer) -> None:
    """Connect and go."""
    server.raw().close()


@pytest.mark.parametrize("dispatch", ["thread", "process"])
@pytest.mark.parametrize("fail", [plain_http, half_a_hello, nothing])
def test_a_storm_of_failed_handshakes(
    start: Start,
    seen: Seen,
    certificate: str,
    fail: Callable[[LiveServer], None],
    dispatch: str,
) -> None:
    """Each is one accepted connection and one error, `tls_failed` or gone; others are answered."""
    server = start("--certificate", certificate, "--dispatch", dispatch)
    good = 10
    with ThreadPoolExecutor(4) as pool:
        failing = [pool.submit(fail, server) for _ in range(STORM)]
        assert [server.get("/").status for _ in range(good)] == [200] * good
        for each in failing:
            each.result()
    seen.wait_total("tcpwatch.connection.accepted", STORM + good)
    seen.wait_total("tcpwatch.connection.duration", STORM + good)
    assert seen.total("tcpwatch.accept.errors") == STORM
    spans = seen.wait_connections(STORM + good)
    ends = Counter(span.attributes["tcpwatch.connection.outcome"] for span in spans)
    assert ends.pop("completed") == good
    assert sum(ends.values()) == STORM
    assert set(ends) <= ({*RESET, "tls_failed"} if fail is half_a_hello else {"tls_failed"})
    seen.wait_total("tcpwatch.connection.active", 0)


class Hasty(FakeKernel):
    """A kernel on which the client has reset when accept() has just returned."""

    client: socket.socket

    def cookie(self, sock: socket.socket) -> None:
        """Reset, and wait until that has come."""
        reset(self.client)
        arrived = select.poll()
        arrived.register(sock, 0)  # errors only
        assert arrived.poll(LIMIT * 1000)


# ssl itself leaves such a socket to the collector.
@pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning")
@pytest.mark.parametrize("data", [b"", CLIENT_HELLO[:6]], ids=["nothing", "half a hello"])
def test_a_reset_between_accept_and_handshake(certificate: str, data: bytes) -> None:
    """The client has left, or its handshake has failed; no handler did wrong, there was none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    kernel = Hasty()
    with recording(kernel=kernel) as seen, HTTPServer(("127.0.0.1", 0), Plain) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        kernel.client = socket.create_connection(("127.0.0.1", server.server_port), LIMIT)
        kernel.client.sendall(data)
        server.handle_request()
    (connection,) = seen.connections
    assert connection.outcome in {*RESET, "tls_failed"}


@pytest.mark.parametrize("server", ["flask", "plain"])
def test_tls_on_a_plain_port(start: Start, seen: Seen, server: str) -> None:
    """A handshake is no request: http.server refuses it, without a route, a path or a parent."""
    running = start("--server", server)
    with running.raw() as client:
        port = local_port(client)
        client.sendall(CLIENT_HELLO + b"\n")
        read_all(client)
    connection = seen.connection_of(port)
    assert connection.attributes["tcpwatch.connection.outcome"] == "bad_request"
    assert "url.path" not in seen.request_of(port).attributes
    seen.wait_total("tcpwatch.connection.active", 0)
