"""The reader on real sockets of this kernel."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from tcpwatch.kernel.reader import Kernel

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is Linux's")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen on loopback with a backlog of 7."""
    with socket.create_server(("127.0.0.1", 0), backlog=7) as sock:
        yield sock


def test_the_queue_counts_who_waits(listener: socket.socket) -> None:
    """Two connections that nobody accepts are a depth of 2 of 7."""
    clients = [socket.create_connection(listener.getsockname()) for _ in range(2)]

    assert Kernel().queue(listener) == (2, 7)
    assert Kernel().depth_of_port(listener.getsockname()[1]) == 2
    for client in clients:
        client.close()


def test_a_connection_tells_its_bytes(listener: socket.socket) -> None:
    """What was received and sent, and nothing in flight once it is read."""
    with socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            client.sendall(b"x" * 17)
            server.recv(17)
            server.sendall(b"y" * 23)
            client.recv(23)
            client.shutdown(socket.SHUT_WR)
            assert server.recv(1) == b""

            found = Kernel().closing(server)

    assert (found.state, found.bytes_received, found.bytes_sent, found.bytes_unacked) == (
        *(8, 17, 23, 0),
    )


def test_both_ends_have_cookies_of_their_own(listener: socket.socket) -> None:
    """SO_COOKIE is unique to a socket and stays."""
    kernel = Kernel()

    assert kernel.cookie(listener) == kernel.cookie(listener) is not None
    with socket.socket() as other:
        assert kernel.cookie(other) != kernel.cookie(listener)


def test_unix_sockets_have_no_tcp_facts() -> None:
    """Absent, not 0."""
    kernel = Kernel()
    one, other = socket.socketpair()
    with one, other:
        assert kernel.queue(one) is None
        assert kernel.drops(one) is None
        assert kernel.accepted(one) is None
        assert kernel.closing(one).bytes_sent is None


def test_a_closed_socket_is_no_error() -> None:
    """Whoever closed it was faster than we."""
    kernel, sock = Kernel(), socket.socket()
    sock.close()

    assert kernel.queue(sock) is None
    assert kernel.cookie(sock) is None
