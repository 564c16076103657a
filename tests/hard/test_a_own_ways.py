"""Servers that go their own ways between accept and close: nobody is lost, or told as open."""

from __future__ import annotations

import http.server
import socket
import socketserver
import ssl
import threading
from typing import Any

import pytest
from flask import Flask
from werkzeug.exceptions import InternalServerError
from werkzeug.serving import make_server

from tcpwatch.hub import hub
from tests.apps.handlers import Plain
from tests.hard.apps_a_watch import LIMIT, Watch, serving
from tests.live.wire import read_all, request_bytes

OUTCOME = "tcpwatch.connection.outcome"


class Threaded(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """A threaded server that waits for its threads at its end, so that all is told by then."""


class Choosy(Threaded):
    """Accepts clients until it likes one."""

    liked = 2

    def get_request(self) -> Any:
        """Drop the first ones at once."""
        for _ in range(self.liked):
            dropped, _ = self.socket.accept()
            dropped.close()
        self.liked = 0
        return self.socket.accept()


class Patient(Threaded):
    """Goes on accepting when a handshake fails, inside get_request()."""

    def get_request(self) -> Any:
        """Let only those in who speak TLS."""
        while True:
            try:
                return self.socket.accept()
            except ssl.SSLError:
                continue


class Disguised:
    """What get_request() of some programs returns: no socket, but enough for their handlers."""

    def __init__(self, sock: socket.socket) -> None:
        self.makefile, self.sendall = sock.makefile, sock.sendall
        self.shutdown, self.close = sock.shutdown, sock.close


class Disguising(Threaded):
    """Serves what is no socket."""

    def get_request(self) -> Any:
        """Wrap it up."""
        sock, address = super().get_request()
        return Disguised(sock), address


class OwnHead(Plain):
    """Parses the request's head by itself, into what it likes."""

    likes: Any = dict
    raw_requestline: bytes

    def parse_request(self) -> bool:
        """Read the head; a body goes on until the client has said all."""
        self.close_connection = True
        self.requestline = str(self.raw_requestline, "latin-1").rstrip()
        self.command, self.path, self.request_version = self.requestline.split()
        lines = iter(lambda: self.rfile.readline().strip(), b"")
        pairs = (line.decode("latin-1").partition(":")[::2] for line in lines)
        self.headers = self.likes((name, value.strip()) for name, value in pairs)
        return True

    def do_POST(self) -> None:
        """Answer how much came."""
        self.answer(b"%d" % len(self.rfile.read()))


class Guarded(Threaded):
    """Remembers whom it serves, so that a guard can close the connection."""

    serves: Any = None

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember."""
        self.serves = request
        super().process_request(request, client_address)


def get(address: Any) -> bytes:
    """Do one request and return what came."""
    with socket.create_connection(address[:2], LIMIT) as client:
        client.sendall(request_bytes("/"))
        return read_all(client)


def outcomes(watch: Watch) -> list[Any]:
    """Return how connections ended, in the order in which they did."""
    return [(span.attributes or {})[OUTCOME] for span in watch.connections]


def test_who_is_dropped_inside_get_request_is_rejected(watch: Watch) -> None:
    """An override may accept several clients and return one: the others are told, and not open."""
    with serving(Choosy(("127.0.0.1", 0), Plain)) as address:
        dropped = [socket.create_connection(address[:2], LIMIT) for _ in range(2)]
        assert get(address).startswith(b"HTTP/1.1 200")
        for client in dropped:
            client.close()
        assert outcomes(watch) == ["rejected", "rejected", "completed"]
        assert not any(watch.metric("tcpwatch.connection.active").values())


def test_an_interrupted_turn_hides_no_later_one(watch: Watch) -> None:
    """A signal handler may raise in the middle of an accept; whom the loop accepts then is told."""
    server = Threaded(("127.0.0.1", 0), Plain)
    with serving(server) as address:
        assert get(address).startswith(b"HTTP/1.1 200")
        hub.loops.by_server[id(server)].getting = True
        assert get(address).startswith(b"HTTP/1.1 200")
        assert outcomes(watch) == ["completed"] * 2


def test_a_failed_handshake_that_get_request_survives_is_told(
    watch: Watch, certificate: str
) -> None:
    """It ends as `tls_failed`, although the accept loop hears of no error."""
    server = Patient(("127.0.0.1", 0), Plain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    trusting = ssl._create_unverified_context()
    with serving(server) as address:
        assert b"200" not in get(address)
        with (
            socket.create_connection(address[:2], LIMIT) as plain,
            trusting.wrap_socket(plain) as client,
        ):
            client.sendall(request_bytes("/"))
            assert read_all(client).startswith(b"HTTP/1.1 200")
    assert outcomes(watch) == ["tls_failed", "completed"]


def test_what_is_no_socket_is_served_and_told(watch: Watch) -> None:
    """What it cannot be asked for is absent; its request and its end are told."""
    with serving(Disguising(("127.0.0.1", 0), Plain)) as address:
        assert get(address).startswith(b"HTTP/1.1 200")
    (connection,) = watch.connections
    told = connection.attributes or {}
    assert (told[OUTCOME], told["tcpwatch.connection.requests"]) == ("completed", 1)
    assert "tcpwatch.tcp.bytes_sent" not in told
    assert len(watch.requests) == 1


@pytest.mark.parametrize("likes", [dict, list, lambda head: list(head) and None])
def test_a_handler_may_parse_its_head_by_itself(watch: Watch, likes: Any) -> None:
    """Whatever its `headers` are, it reads its body to the end and is told; a mapping is read."""
    handler = type("Made", (OwnHead,), {"likes": staticmethod(likes)})
    head = b"POST /own HTTP/1.1\r\nHost: there.test\r\n\r\n"
    with (
        serving(Threaded(("127.0.0.1", 0), handler)) as address,
        socket.create_connection(address[:2], LIMIT) as client,
    ):
        client.sendall(head + b"body")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).endswith(b"\r\n\r\n4")
    (request,) = watch.requests
    told = request.attributes or {}
    assert (told["url.path"], told["http.response.status_code"]) == ("/own", 200)
    assert told.get("server.address") == ("there.test" if likes is dict else None)
    assert outcomes(watch) == ["completed"]


def test_a_view_may_raise_what_it_likes(watch: Watch) -> None:
    """An exception whose class has no module reaches the application's error handler as ever."""
    app, caught = Flask(__name__), list[BaseException]()
    nowhere = type("Nowhere", (Exception,), {"__module__": None})

    @app.get("/")
    def view() -> str:
        raise nowhere

    @app.errorhandler(500)
    def answer(error: InternalServerError) -> tuple[str, int]:
        caught.append(error.original_exception or error)
        return "sorry", 500

    with serving(make_server("127.0.0.1", 0, app, threaded=True)) as address:
        assert get(address).endswith(b"sorry")
    (request,) = watch.requests
    assert list(map(type, caught)) == [nowhere]
    assert (request.attributes or {})["error.type"] == "Nowhere"


def test_a_handler_that_serves_others_goes_on(watch: Watch) -> None:
    """A server inside a handler, on its thread: both requests are told whole."""
    called: list[bytes] = []

    class Outer(Plain):
        """Serves one client of its own before it answers."""

        def do_GET(self) -> None:
            """Serve, then answer."""
            with http.server.HTTPServer(("127.0.0.1", 0), Plain) as inner:
                client = threading.Thread(target=lambda: called.append(get(inner.server_address)))
                client.start()
                inner.handle_request()
                client.join(LIMIT)
            self.answer(b"outer")

    with serving(http.server.HTTPServer(("127.0.0.1", 0), Outer)) as address:
        assert get(address).endswith(b"outer")
    assert len(called) == 1
    told = [(span.attributes or {})["http.response.status_code"] for span in watch.requests]
    assert told == [200, 200]
    assert outcomes(watch) == ["completed"] * 2


@pytest.mark.parametrize("who", ["the handler", "a guard"])
def test_a_request_that_its_server_cuts_off_is_told(watch: Watch, who: str) -> None:
    """Closed by another thread, or by its own handler, a connection takes its request along."""
    serving_it, closed = threading.Event(), threading.Event()

    class Cut(Plain):
        """Is closed in the middle of its request."""

        def do_GET(self) -> None:
            """Answer, close if nobody else does, and go on for a while."""
            self.answer(b"done")
            serving_it.set()
            if who == "the handler":
                self.server.shutdown_request(self.request)
            else:
                assert closed.wait(LIMIT)

    server = Guarded(("127.0.0.1", 0), Cut)
    with (
        serving(server) as address,
        socket.create_connection(address[:2], LIMIT) as client,
    ):
        client.sendall(request_bytes("/"))
        assert serving_it.wait(LIMIT)
        if who == "a guard":
            server.shutdown_request(server.serves)
        assert read_all(client).endswith(b"done")
        closed.set()
    (request,) = watch.requests
    assert (request.attributes or {})["http.response.status_code"] == 200
    assert sum(watch.metric("http.server.request.duration").values()) == 1
    assert outcomes(watch) == ["completed"]
    assert not any(watch.metric("http.server.active_requests").values())
