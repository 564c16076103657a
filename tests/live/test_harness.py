"""The harness itself: every server of tests/apps serves, without tcpwatch, in every form."""

from __future__ import annotations

import signal
import socket
import xmlrpc.client

import pytest

from tests.live.conftest import Start
from tests.live.wire import parse, read_all, read_response, request_bytes

BARE = ("--install", "never")


@pytest.mark.parametrize("dispatch", ["inline", "thread", "process"])
@pytest.mark.parametrize("family", ["ipv4", "ipv6", "unix"])
def test_flask_answers(start: Start, socket_path: str, dispatch: str, family: str) -> None:
    """The Flask application answers over each family, however connections are dispatched."""
    where = ("--path", socket_path) if family == "unix" else ()
    server = start(*BARE, "--dispatch", dispatch, "--family", family, *where)
    assert server.get("/").body == b"hello"


@pytest.mark.parametrize("server", ["flask", "plain"])
def test_tls_answers(start: Start, certificate: str, server: str) -> None:
    """A server with a certificate speaks HTTPS."""
    assert start(*BARE, "--server", server, "--certificate", certificate).get("/").status == 200


@pytest.mark.parametrize("dispatch", ["inline", "thread", "process"])
def test_plain_keeps_alive(start: Start, dispatch: str) -> None:
    """The plain server answers several requests on one connection."""
    server = start(*BARE, "--server", "plain", "--dispatch", dispatch)
    with server.connect() as client:
        for path in ("/a", "/b"):
            client.sendall(request_bytes(path, {"Connection": "keep-alive"}))
            assert read_response(client).body == path.encode()


@pytest.mark.parametrize("family", ["ipv4", "unix"])
def test_echo_echoes(start: Start, socket_path: str, family: str) -> None:
    """The echo server echoes."""
    where = ("--path", socket_path) if family == "unix" else ()
    server = start(*BARE, "--server", "echo", "--family", family, *where)
    with server.connect() as client:
        client.sendall(b"one\n")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"one\n"


def test_other_servers_answer(start: Start) -> None:
    """So do wsgiref, XML-RPC, UDP, and a server that overrides a method."""
    assert start(*BARE, "--server", "wsgiref").get("/x").body == b"/x"
    assert start(*BARE, "--server", "overriding", "--override", "ProcessRequestOwn").get("/").status
    host, port = start(*BARE, "--server", "xmlrpc").address
    with xmlrpc.client.ServerProxy(f"http://{host}:{port}") as proxy:
        assert proxy.double(21) == 42
    server = start(*BARE, "--server", "udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(b"x", tuple(server.address))
        assert client.recv(10) == b"x"


def test_hold_and_release(start: Start) -> None:
    """A request on /hold is answered when the test says so."""
    server = start(*BARE)
    with server.connect() as client:
        client.sendall(request_bytes("/hold"))
        server.tell("release")
        assert parse(read_all(client)).body == b"released"


def test_stop(start: Start) -> None:
    """A server dies of SIGTERM, and leaves by `shutdown`."""
    assert start(*BARE).stop() == -signal.SIGTERM
    server = start(*BARE)
    server.tell("shutdown")
    assert server.wait() == 0
