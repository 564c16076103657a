"""Hard case 12: installing and uninstalling over and over while many servers serve, come and go."""

from __future__ import annotations

import http.client
import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import HTTPServer, ThreadingHTTPServer
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server

import tcpwatch
from tcpwatch.hub import hub
from tcpwatch.patches.wrap import patches
from tcpwatch.testing import recording
from tests.apps.handlers import Plain
from tests.hard.apps_a_watch import serving
from tests.live.wire import LIMIT

ROUNDS = 100


class Overriding(ThreadingHTTPServer):
    """Has methods of its own, which are wrapped when it is first seen."""

    daemon_threads = True

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Say yes."""
        return super().verify_request(request, client_address)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Go on."""
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Go on."""
        super().shutdown_request(request)


class OwnHandler(Plain):
    """Has a method of its own, too."""

    def handle(self) -> None:
        """Go on."""
        super().handle()


def plain() -> HTTPServer:
    """Make a server on one thread."""
    return HTTPServer(("127.0.0.1", 0), Plain)


def overriding() -> HTTPServer:
    """Make a server of which much is wrapped later than at install()."""
    return Overriding(("127.0.0.1", 0), OwnHandler)


def flask() -> HTTPServer:
    """Make werkzeug's server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "hello")
    return make_server("127.0.0.1", 0, app, threaded=True)


def noting(server: HTTPServer, troubles: list[str]) -> HTTPServer:
    """Have a server note what it has to complain of, and print nothing."""

    def complain(request: Any, client_address: Any) -> None:
        troubles.append(repr(sys.exc_info()[1]))

    server.handle_error = complain  # type: ignore[method-assign]  # as for any kind of server
    return server


def ask(port: int) -> None:
    """Ask once, on a connection of its own."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    try:
        client.request("GET", "/")
        answer = client.getresponse()
        answer.read()
        assert answer.status == 200
    finally:
        client.close()


@pytest.fixture
def hasty() -> Iterator[None]:
    """Have threads switch as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_over_and_over_while_servers_serve_come_and_go(hasty: None) -> None:
    """Every request is answered, nobody is told twice, and what was patched is given back."""
    answered, enough = threading.Semaphore(0), threading.Event()
    troubles: list[str] = []

    def ask_on(port: int) -> None:
        while not enough.is_set():
            ask(port)
            answered.release()

    def come_and_go() -> None:
        while not enough.is_set():
            with serving(noting(overriding(), troubles)) as (_, port):
                ask(port)
            answered.release()

    told = 0
    with ExitStack() as running, ThreadPoolExecutor(4) as clients:
        servers = [noting(make(), troubles) for make in (plain, overriding, flask)]
        addresses = [running.enter_context(serving(server)) for server in servers]
        asking = [clients.submit(ask_on, port) for _, port in addresses]
        asking.append(clients.submit(come_and_go))
        try:
            for turn in range(ROUNDS):
                while answered.acquire(blocking=False):
                    pass  # answered before
                with recording() as sink:
                    for _ in range(turn % 5):  # not at all, or in the middle of more and more
                        assert answered.acquire(timeout=LIMIT)
                    tcpwatch.connections()
                assert patches.names() == []
                assert not hub.connections
                assert not list(hub.loops)
                assert len({record.key for record in sink.connections}) == len(sink.connections)
                told += len(sink.connections)
        finally:
            enough.set()
        for client in asking:
            client.result(LIMIT)
    assert troubles == []
    assert told
