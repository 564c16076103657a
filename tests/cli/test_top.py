"""`tcpwatch top`: what servers tell over OTLP, live in a terminal, once in a pipe."""

from __future__ import annotations

import http.server
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tcpwatch.cli.live.picture import picture
from tcpwatch.cli.live.sources import Seen
from tcpwatch.view import now
from tcpwatch.view.receiver import Receiver
from tcpwatch.view.recording import Recording
from tcpwatch.view.store import Store
from tcpwatch.view.viewer import Viewer
from tests.cli.programs import environment, serving
from tests.cli.terminal import Terminal
from tests.live.harness import STRICT
from tests.live.wire import LIMIT

TOP = (sys.executable, "-m", "tcpwatch", "top")
SLOW = """\
import flask, threading
app = flask.Flask(__name__)

@app.get("/")
def hold():
    threading.Event().wait()

app.run(port=0, threaded=False)
"""


# -- OTLP by hand --------------------------------------------------------------------------------


def metrics(
    *,
    at: float,
    service: str = "shop",
    accepted: int = 10,
    idle: float = 8.0,
    phases: dict[str, int] | None = None,
    depth: int = 3,
) -> dict[str, Any]:
    """Return one export of a server's metrics in OTLP's JSON, made `at` (seconds)."""

    def attribute(key: str, value: object) -> dict[str, Any]:
        kind = "intValue" if isinstance(value, int) else "stringValue"
        return {"key": key, "value": {kind: value}}

    def point(value: float, **extra: str) -> dict[str, Any]:
        own = [attribute("server.address", "127.0.0.1"), attribute("server.port", 5000)]
        named = [attribute(key.replace("__", "."), text) for key, text in extra.items()]
        moment = str(int(at * 1e9))
        return {
            "startTimeUnixNano": "1",
            "timeUnixNano": moment,
            "asDouble": value,
            "attributes": own + named,
        }

    def total(name: str, *points: dict[str, Any]) -> dict[str, Any]:
        shape = {"dataPoints": points, "aggregationTemporality": 2, "isMonotonic": True}
        return {"name": f"tcpwatch.{name}", "sum": shape}

    def gauge(name: str, *points: dict[str, Any]) -> dict[str, Any]:
        return {"name": f"tcpwatch.{name}", "gauge": {"dataPoints": points}}

    opened = phases or {"app": 2, "idle": 1, "close": 0}
    return {
        "resourceMetrics": [
            {
                "resource": {"attributes": [attribute("service.name", service)]},
                "scopeMetrics": [
                    {
                        "scope": {"name": "tcpwatch"},
                        "metrics": [
                            total("connection.accepted", point(accepted)),
                            total(
                                "accept_loop.time",
                                point(idle, tcpwatch__loop__state="idle"),
                                point(at - idle, tcpwatch__loop__state="inline"),
                            ),
                            total(
                                "connection.active",
                                *(point(n, tcpwatch__phase__name=p) for p, n in opened.items()),
                            ),
                            gauge(
                                "connection.oldest",
                                *(point(1.5, tcpwatch__phase__name=p) for p in opened),
                            ),
                            gauge("accept_queue.depth", point(depth)),
                            gauge("accept_queue.limit", point(4)),
                            gauge("accept_loop.busy", point(2.5)),
                        ],
                    }
                ],
            }
        ]
    }


def send(endpoint: str, export: dict[str, Any]) -> None:
    """Send an export as a server would."""
    request = urllib.request.Request(
        f"{endpoint}/v1/metrics",
        json.dumps(export).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=LIMIT) as answer:
        assert answer.status == 200


# -- what is computed ----------------------------------------------------------------------------


def test_servers_that_have_ended_are_counted_and_not_shown() -> None:
    """After ten changes under a reloader there is one server; the last is shown, ended or not."""
    console = Console(width=80)
    ended = [
        now.Server("ended", str(number), "127.0.0.1", 5000, heard=100.0, every=1.0)
        for number in range(10)
    ]
    runs = now.Server("runs", "10", "127.0.0.1", 5000, heard=199.0, every=1.0)

    def shown(*servers: now.Server) -> str:
        with console.capture() as captured:
            console.print(picture(console, "http://here", Seen(servers), 200.0))
        return captured.get()

    both = shown(runs, *ended)
    assert "runs 127.0.0.1:5000" in both
    assert "ended 127.0.0.1:5000" not in both
    assert "10 more have ended, or told nothing for long" in both
    alone = shown(*ended[:2])
    assert alone.count("ended 127.0.0.1:5000") == 1
    assert "1 more has ended" in alone


def test_rates_are_those_of_the_last_two_exports() -> None:
    """The loop's shares and connections per second; a single export has none."""
    recording = Recording()
    with Receiver(recording) as receiver:
        send(receiver.endpoint, metrics(at=100.0, accepted=10, idle=80.0))
        (first,) = now.servers(recording.history(*now.METRICS))
        assert (first.every, first.rate, first.loop) == (None, None, {})
        send(receiver.endpoint, metrics(at=102.0, accepted=30, idle=80.5))
    (server,) = now.servers(recording.history(*now.METRICS))
    assert (server.name, server.heard, server.every) == ("shop 127.0.0.1:5000", 102.0, 2.0)
    assert server.rate == pytest.approx(10.0)
    assert server.loop == pytest.approx({"inline": 0.75, "idle": 0.25})
    assert (server.depth, server.limit, server.busy) == (3, 4, 2.5)


def test_open_connections_are_by_phase_in_the_order_of_a_life() -> None:
    """Phases in which nobody is are left out."""
    recording = Recording()
    with Receiver(recording) as receiver:
        send(receiver.endpoint, metrics(at=1.0))
    (server,) = now.servers(recording.history(*now.METRICS))
    assert [(one.phase, one.count, one.oldest) for one in server.open] == [
        ("idle", 1, 1.5),
        ("app", 2, 1.5),
    ]
    assert server.connections == 3


# -- in a terminal -------------------------------------------------------------------------------


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    started = Terminal(*TOP, "--port", "0")
    yield started
    started.child.close(force=True)


def test_it_says_how_to_begin_and_ends_with_q(terminal: Terminal) -> None:
    """Before any server has sent anything; the terminal is given back as it was."""
    endpoint = terminal.endpoint()
    terminal.wait(re.escape(f"OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}"))
    terminal.wait("q quits")
    terminal.child.send("q")
    assert terminal.end() == (0, None)
    assert terminal.raw.rindex("\x1b[?1049l") > terminal.raw.rindex("\x1b[?1049h")
    assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l")


def test_ctrl_c_ends_it_too(terminal: Terminal) -> None:
    """With the shell's code for it, and no traceback."""
    terminal.endpoint()
    terminal.child.sendintr()
    assert terminal.end() == (128 + signal.SIGINT, None)
    assert "Traceback" not in terminal.raw


def test_it_shows_a_real_server_that_is_stuck(terminal: Terminal, tmp_path: Path) -> None:
    """One connection in the view, two in the queue behind it, and for how long."""
    (tmp_path / "slow.py").write_text(SLOW)
    env = {
        **STRICT,
        "OTEL_EXPORTER_OTLP_ENDPOINT": terminal.endpoint(),
        "OTEL_SERVICE_NAME": "shop",
    }
    with serving("python", "slow.py", folder=tmp_path, env=env) as server:
        address = ("127.0.0.1", server.port())
        clients = [socket.create_connection(address, LIMIT) for _ in range(3)]
        clients[0].sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        terminal.wait(rf"shop 127\.0\.0\.1:{address[1]}")
        terminal.wait(r"app +1 +[\d.]+ s +your view at work")
        terminal.wait(r"queue .* 2 waiting, room for 128")
        terminal.wait(r"loop +inline \d+%.*busy for [\d.]+ s now")
        for client in clients:
            client.close()


def test_what_a_stranger_sends_cannot_reach_the_terminal(terminal: Terminal) -> None:
    """A service's name is anybody's; long ones are cut, so that every line fits."""
    service = "\x1b]0;owned\x07[bold red]" + "x" * 200
    send(terminal.endpoint(), metrics(at=time.time(), service=service))
    terminal.wait(r"\?\]0;owned\?\[bold red\]x+…")
    assert "\x1b]0;owned" not in terminal.raw
    assert max(map(len, terminal.screen.splitlines())) <= 80


def test_a_server_that_is_seldom_heard_is_said_to_be_one(terminal: Terminal) -> None:
    """With what makes it live."""
    endpoint = terminal.endpoint()
    send(endpoint, metrics(at=time.time() - 60))
    send(endpoint, metrics(at=time.time()))
    terminal.wait(r"metrics come every 60 s; OTEL_METRIC_EXPORT_INTERVAL=1000")


# -- in a pipe -----------------------------------------------------------------------------------


def piped(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*TOP, *arguments],
        env=environment({"COLUMNS": "80"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port: int = closed.getsockname()[1]
        return port


def test_into_a_pipe_it_prints_one_snapshot() -> None:
    """Plain, on 80 columns, as soon as a server has told of itself twice."""
    port = free_port()
    with piped("--port", str(port)) as top:
        until_it_listens(port)
        for second in range(2):
            send(f"http://127.0.0.1:{port}", metrics(at=time.time() + second, accepted=second))
        told, said = top.communicate(timeout=LIMIT)
    assert (top.returncode, said) == (0, "")
    assert "\x1b" not in told
    assert max(map(len, told.splitlines())) <= 80
    assert re.search(r"^shop 127\.0\.0\.1:5000 +1 accepted, 1\.0/s, heard", told, re.MULTILINE)
    assert re.search(r"^  queue +[█#]+[░.]+  3 waiting, room for 4$", told, re.MULTILINE)
    assert re.search(r"^  app +2 +1\.50 s  your view at work", told, re.MULTILINE)


def until_it_listens(port: int) -> None:
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            time.sleep(0.01)  # a port cannot be waited for
        else:
            return
    raise AssertionError(f"nobody listens on {port}")


def test_without_metrics_in_time_it_says_why() -> None:
    """And what the interval is."""
    with piped("--port", "0", "--wait", "0.1") as top:
        _, said = top.communicate(timeout=LIMIT)
    assert top.returncode == 1
    assert "OTEL_METRIC_EXPORT_INTERVAL" in said


# -- beside others on the port -------------------------------------------------------------------


@contextmanager
def answering(answer: Callable[[str], bytes | None]) -> Iterator[str]:
    """Serve GETs by `answer`; None is a 404."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answer(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(LIMIT)
        server.server_close()


@pytest.fixture
def viewer() -> Iterator[str]:
    with Store() as store, Viewer(store, port=0) as serving:
        yield serving.address


def test_a_viewer_on_the_port_is_asked_instead(viewer: str) -> None:
    """Found by itself, or named by its address; with the rates that our own door would have."""
    began = time.time()
    for second in range(2):
        send(viewer, metrics(at=began + second, accepted=second, idle=began))
    for arguments in ((viewer,), ("--port", viewer.rpartition(":")[2])):
        with piped(*arguments) as top:
            told, said = top.communicate(timeout=LIMIT)
        assert (top.returncode, said) == (0, "")
        assert re.search(r"^shop 127\.0\.0\.1:5000 +1 accepted, 1\.0/s, heard", told, re.MULTILINE)
        assert re.search(r"^  loop +inline 100%", told, re.MULTILINE)


def test_a_viewer_is_not_asked_for_all_that_it_has(viewer: str) -> None:
    """A second's answer is as long after a thousand exports as after two."""
    began, length = time.time() - 500, {}
    for export in range(500):
        send(viewer, metrics(at=began + export))
        if export in (1, 499):
            with urllib.request.urlopen(f"{viewer}/api/now", timeout=LIMIT) as answer:
                length[export] = len(answer.read())
    assert length[499] < length[1] * 1.1


def test_a_port_of_somebody_else_is_said() -> None:
    """There is nothing to read there."""
    with answering(lambda _: None) as address:
        for arguments in ((address,), ("--port", address.rpartition(":")[2])):
            with piped(*arguments) as top:
                _, said = top.communicate(timeout=LIMIT)
            assert top.returncode == 1
            assert "no tcpwatch viewer" in said or "cannot listen on" in said


@pytest.mark.parametrize("address", ["localhost:4318", "file:///etc/passwd", "http://127.0.0.1:1"])
def test_what_is_no_viewers_address_is_said(address: str) -> None:
    """Only http and https are opened."""
    with piped(address) as top:
        _, said = top.communicate(timeout=LIMIT)
    assert top.returncode == 1
    assert "is no tcpwatch viewer" in said
