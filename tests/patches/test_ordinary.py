"""The hooks in C say what those in Python say, leave nothing behind, and keep to their own."""

from __future__ import annotations

import gc
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from itertools import pairwise
from time import monotonic, monotonic_ns, sleep, time_ns
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, request
from werkzeug.serving import make_server

from tcpwatch import names
from tcpwatch.core.marks import Accepted
from tcpwatch.core.record import ConnectionRecord, RequestRecord
from tcpwatch.hub import hub
from tcpwatch.hub.connection import APP, HEAD, RAW, RESPONDING, WAITING, Connection
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.patches import ordinary, twins
from tcpwatch.settings import Settings
from tcpwatch.testing import FakeKernel, RecordingSink, recording
from tests.apps.handlers import Plain
from tests.live.wire import LIMIT, request_bytes

pytestmark = pytest.mark.skipif(
    not ordinary.built(), reason="the hooks are not built in C here; tcpwatch doctor says why"
)

Make = Callable[[], Any]


def flask(threaded: bool) -> Any:
    """Return werkzeug's server of an application with views of every kind."""
    app = Flask(__name__)

    @app.route("/item/<int:number>", methods=["GET", "POST"])
    def item(number: int) -> str:
        return f"{number} {len(request.get_data())}"

    @app.route("/fails")
    def fails() -> str:
        raise ValueError("as asked")

    return make_server("127.0.0.1", 0, app, threaded=threaded)


def kept_alive(cls: type[HTTPServer]) -> Any:
    """Return one of http.server's."""
    return cls(("127.0.0.1", 0), Plain)


SERVERS: dict[str, Make] = {
    "werkzeug, threaded": lambda: flask(True),
    "werkzeug, single": lambda: flask(False),
    "http.server": lambda: kept_alive(HTTPServer),
    "http.server, threaded": lambda: kept_alive(ThreadingHTTPServer),
}
LAST = request_bytes("/item/4")
CONVERSATIONS: dict[str, list[bytes]] = {
    "a request": [request_bytes("/item/1")],
    "a body": [request_bytes("/item/2", method="POST", body=b"x" * 5000)],
    "nowhere": [request_bytes("/nowhere")],
    "an exception": [request_bytes("/fails")],
    "a method that nobody has": [request_bytes("/", method="BREW")],
    "three on one connection": [
        *[request_bytes("/item/3", {"Connection": "keep-alive"})] * 2,
        LAST,
    ],
    "no request": [b"nonsense\r\n\r\n"],
    "HTTP/0.9": [b"GET /item/4\r\n\r\n"],
    "half a head": [b"GET /item/5 HT"],
    "nothing at all": [],
}


MEETINGS = [
    pytest.param(make, said, id=f"{server}: {conversation}")
    for server, make in SERVERS.items()
    for conversation, said in CONVERSATIONS.items()
    # werkzeug answers once, and waits for a client who says more to leave.
    if len(said) < 2 or "werkzeug" not in server
]


@pytest.fixture(autouse=True)
def _no_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing logged: pytest keeps every record."""
    monkeypatch.setattr(logging.getLogger("werkzeug"), "disabled", True)
    monkeypatch.setattr(logging.getLogger(__name__), "disabled", True)


@contextmanager
def serving(make: Make) -> Iterator[Any]:
    """Have a server of this kind serve on a thread of its own."""
    with make() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(LIMIT)


def talk(server: Any, said: list[bytes]) -> None:
    """Say it, one after the other, and hear all that is answered; hang up first in its middle."""
    with socket.create_connection(server.server_address[:2], LIMIT) as client:
        for words in said[:-1]:
            client.sendall(words)
            client.recv(4096)
        with suppress(ConnectionError):
            client.sendall(b"".join(said[-1:]))
            if not said or b"\r\n\r\n" not in said[-1]:
                client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass


def settle() -> None:
    """Wait until every connection is over, and the worker has seen it."""
    deadline = monotonic() + LIMIT
    while hub.connections and monotonic() < deadline:
        sleep(0.001)  # a handler's thread closes its connection when its client has left
    assert hub.post.worker is not None
    assert hub.post.worker.settle(LIMIT)


def told(seen: RecordingSink) -> list[Any]:
    """Return what does not differ from one run to the next."""
    return [*map(_of_connection, seen.connections), *map(_of_request, seen.requests)]


def _of_connection(record: ConnectionRecord) -> Any:
    accepted, closing = record.accepted, record.closing
    return (
        *(record.outcome, record.error, record.dispatch, record.requests, record.anomalies),
        *(record.server_errors, sorted(record.phases), accepted.local is not None),
        *([type(value).__name__ for value in accepted], accepted.limit),
        *(closing.bytes_received, record.flags),
    )


def _of_request(record: RequestRecord) -> Any:
    exchanged = record.exchanged._replace(body_wait_ns=0, host=None)
    return record.sequence, exchanged, record.end_ns >= record.start_ns > 0, len(record.legs)


@pytest.mark.parametrize(("make", "said"), MEETINGS)
def test_hooks_in_c_say_what_those_in_python_say(make: Make, said: list[bytes]) -> None:
    """Whatever is said to whichever server, the records are the same."""
    found = []
    for c_hooks in (True, False):
        with recording(Settings(c_hooks=c_hooks)) as seen, serving(make) as server:
            for _ in range(3):
                talk(server, said)
                settle()  # else the next one's first word may come before its last
        found.append(told(seen))
    assert len(found[0]) >= 3
    assert found[0] == found[1]


def test_connections_leave_nothing_behind() -> None:
    """Two hundred connections later there are as many blocks of memory as before."""
    said = CONVERSATIONS["a body"]
    with recording() as seen, serving(lambda: flask(False)) as server:

        def blocks() -> int:
            for _ in range(200):
                talk(server, said)
            settle()
            seen.connections.clear()
            seen.requests.clear()
            seen.phases.clear()
            gc.collect()
            return sys.getallocatedblocks()

        # What each connection forgets to drop would be two hundred, and every time. Caches of the
        # interpreter and of other libraries grow too, but ever less.
        grown: list[int] = []
        for before, after in pairwise(blocks() for _ in range(12)):
            grown.append(after - before)
            if grown[-1] < 100:
                return
    pytest.fail(f"blocks left by each two hundred connections: {grown}")


def test_what_is_missing_is_said() -> None:
    """A name that ordinary.h has and nobody gives, and a class without the slot or the field."""

    class Other:
        __slots__ = ("key",)

    things = twins._things()
    with pytest.raises(KeyError, match="hub"):
        ordinary.connect({name: it for name, it in things.items() if name != "hub"}, twins._HOOKS)
    with pytest.raises(KeyError, match="service_began"):
        ordinary.connect(things, {})
    with pytest.raises(TypeError, match=r"has not the fields of .*Connection"):
        ordinary.connect({**things, "Connection": Other}, twins._HOOKS)
    with pytest.raises(AttributeError, match="_crowd"):
        ordinary.connect({**things, "Post": Other}, twins._HOOKS)
    twins.connect()


@pytest.mark.parametrize("name", twins._HOOKS)
def test_what_it_does_not_know_it_leaves_to_python(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server, handler or token that is nobody's: the hook in Python gets all the arguments."""
    calls: list[tuple[Any, ...]] = []

    def twin(*args: Any) -> str:
        calls.append(args)
        return "Python's"

    monkeypatch.setattr(ordinary, "_twins", {})
    ordinary.connect(twins._things(), dict.fromkeys(twins._HOOKS, twin))
    try:
        found = getattr(ordinary._ordinary, name)(*(given := (object(), object(), object())))
    finally:
        twins.connect()
    assert (found, calls) == ("Python's", [given])


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Connection:
    """Return a connection that this thread serves, with a request whose head was read."""
    nothing: Any = None
    connection = Connection(1, nothing, 0, 0, (0,) * len(Accepted._fields))
    exchange = connection.first_byte(1)
    exchange.head_ns = 1
    connection.stage = APP
    monkeypatch.setitem(hub.serving.by_thread, threading.get_ident(), connection)
    return connection


class Stays:
    """A handler whose connection stays open."""

    close_connection = False


def of_both(name: str) -> list[Callable[..., Any]]:
    """Return a hook in C and its twin."""
    return [getattr(ordinary._ordinary, name), twins._HOOKS[name]]


def interrupted(*args: Any) -> None:
    """Be a place in which a signal handler of the host's raises."""
    raise KeyboardInterrupt


def test_what_is_raised_in_its_middle_ends_a_request_all_the_same(
    served: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was current while the application ran is taken back, and the exception goes on."""
    monkeypatch.setattr(hub.post, "_crowd", 0)
    monkeypatch.setattr(type(hub.post), "_hurry", interrupted)
    twins.connect()
    for ended in of_both("handle_ended"):
        released: list[bool] = []
        exchange = served.first_byte(1)
        exchange.head_ns, exchange.release = 1, lambda to=released: to.append(True)
        with pytest.raises(KeyboardInterrupt):
            ended((served, Stays()), None, None)
        assert (released, served.exchange) == ([True], None)
    hub.post.queue.clear()


def test_a_signal_handler_goes_before_what_a_read_has_raised(
    served: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither swallowed nor printed."""

    def reset(buffer: bytearray) -> int:
        raise ConnectionResetError

    monkeypatch.setattr(Connection, "failed", interrupted)
    twins.connect()
    for read in of_both("watched_readinto"):
        with pytest.raises(KeyboardInterrupt):
            read(served, reset, bytearray(1))


@pytest.mark.parametrize("stage", [RAW, RESPONDING])
def test_what_is_read_outside_a_request_is_the_hosts_affair(served: Connection, stage: int) -> None:
    """A reader of its own may return what it likes; so it may while no request is under way."""
    twins.connect()
    served.stage = stage
    for read in of_both("watched_readinto"):
        assert read(served, lambda buffer: 1.5, bytearray(1)) == 1.5
    served.stage, served.exchange = HEAD, None
    for read in of_both("watched_readinto"):
        assert read(served, lambda buffer: 1.5, bytearray(1)) == 1.5


def test_settings_of_another_class_are_left_to_python(
    served: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C knows where the fields of ours are, and of no others."""
    twins.connect()
    monkeypatch.setattr(hub, "settings", SimpleNamespace(blame_min=1e9))
    for ended in of_both("close_ended"):
        served.loop = Loop(Listener(1, "", 80, "ipv4", "tcp", "", False, ()), None, FakeKernel())
        served.exchange, served.dispatch, served.over = None, names.INLINE, False
        ended((served, None), None, None)
        assert served.over
    hub.post.queue.clear()


def test_hooks_given_anew_are_given_the_same() -> None:
    """One may be at work with what it was given, and hold no reference to it."""
    first = twins._things()
    twins.connect()
    again = twins._things()
    assert all(again[name] is it for name, it in first.items())


WITHOUT_FIELDS = """
import sys
sys.modules["tcpwatch.hub.compiled._compiled"] = None
import tcpwatch
from tcpwatch.emit import compiled
from tcpwatch.patches import ordinary
tcpwatch.install()
print(ordinary.built(), compiled.pack)
"""


def test_without_typed_fields_nothing_else_writes_on_them() -> None:
    """A build may have failed halfway; then it is the one without C."""
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_FIELDS],
        env={**os.environ, "OTEL_SDK_DISABLED": "true", "TCPWATCH_BANNER": "off"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (said.stdout, said.returncode) == ("False None\n", 0), said.stderr


def test_a_status_may_be_any_number(served: Connection) -> None:
    """However large: that is the application's affair."""
    twins.connect()
    for responds in of_both("responds"):
        exchange = served.first_byte(1)
        responds(object(), 1 << 70)
        assert exchange.status == 1 << 70


def test_a_handle_of_other_tools_is_still_the_standard_one(
    served: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A method that nobody has is refused, whoever has replaced http.server's own handle()."""
    theirs = BaseHTTPRequestHandler.handle

    def handle(self: BaseHTTPRequestHandler) -> None:
        theirs(self)

    monkeypatch.setattr(BaseHTTPRequestHandler, "handle", handle)

    class Handler(BaseHTTPRequestHandler):
        def __init__(self) -> None:
            self.command, self.path, self.request_version = "BREW", "/", "HTTP/1.1"
            self.requestline, self.raw_requestline = "BREW / HTTP/1.1", b"BREW / HTTP/1.1\r\n"
            self.headers: Any = Message()

    twins.connect()
    with socket.socket() as sock:
        handler = Handler()
        handler.request = sock
        for parsed in of_both("parsed"):
            exchange = served.first_byte(1)
            parsed(handler, True, None)
            assert exchange.refused


@pytest.mark.parametrize(("ahead", "is_stepped"), [(0, False), (3600, True), (-3600, True)])
def test_a_request_has_the_connections_time_unless_the_clock_was_stepped(
    served: Connection, ahead: int, is_stepped: bool
) -> None:
    """Its time on the wall is the connection's plus what has gone by; after a step a new one."""
    second = 1_000_000_000
    twins.connect()
    for read in of_both("watched_readinto"):
        served.stage, served.accepted_ns = WAITING, monotonic_ns() - second
        wall_ns = time_ns() - second + second // 100 + ahead * second
        served.accepted = served.accepted._replace(wall_ns=wall_ns)
        read(served, lambda buffer: 1, bytearray(1))
        exchange = served.exchange
        assert exchange is not None
        expected = wall_ns + exchange.first_byte_ns - served.accepted_ns
        assert (exchange.wall_ns == expected) is not is_stepped
        assert abs(exchange.wall_ns - time_ns()) < second // 10
