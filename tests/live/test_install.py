"""Installing: any time, any number of times, on a live server, and back."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import Start
from tests.live.harness import ROOT, STRICT, LiveServer, clean_environment
from tests.live.seen import Seen, links
from tests.live.wire import LIMIT, local_port, read_response, request_bytes

KEEP = {"Connection": "keep-alive"}
N = 11


@pytest.mark.parametrize("when", ["first", "listening", "twice"])
@pytest.mark.parametrize("server", ["flask", "plain"])
def test_install_before_or_after(start: Start, seen: Seen, server: str, when: str) -> None:
    """Before or after the server's class and its instance exist, once or twice: watched once."""
    running = start("--server", server, "--install", when)
    for _ in range(N):
        running.get("/")
    seen.wait_connections(N)
    seen.wait_requests(N)
    running.flush()
    assert len(seen.connections) == len(seen.requests) == N
    assert running.stderr.count("tcpwatch: ") == 1


@pytest.mark.parametrize("dispatch", ["inline", "thread"])
def test_install_on_a_live_server(start: Start, seen: Seen, dispatch: str) -> None:
    """Installed under traffic, what is open passes through uncounted; what comes next is told."""
    server = start("--server", "plain", "--dispatch", dispatch, "--install", "never")
    server.get("/before")
    with server.connect() as client:
        client.sendall(request_bytes("/before", KEEP))
        read_response(client)
        server.tell("install")
        client.sendall(request_bytes("/still", KEEP))
        assert read_response(client).body == b"/still"
        assert server.connections() == []
    for _ in range(N):
        assert server.get("/after").status == 200
    seen.wait_connections(N)
    server.flush()
    assert len(seen.connections) == N
    assert {span.attributes["url.path"] for span in seen.requests} == {"/after"}
    seen.wait_total("tcpwatch.connection.accepted", N)
    seen.wait_total("tcpwatch.connection.active", 0)


def test_uninstall_in_mid_flight(start: Start, seen: Seen) -> None:
    """What is open at uninstall() ends as `uninstalled`, gauges are 0, and the server goes on."""
    server = start("--server", "plain")
    with server.connect() as held, server.connect() as idle:
        port = local_port(idle)
        idle.sendall(request_bytes("/", KEEP))
        read_response(idle)
        held.sendall(request_bytes("/hold", KEEP))
        seen.wait("both", lambda now: now.total("tcpwatch.connection.active") == 2)
        server.tell("uninstall")
        assert server.connections() == []
        server.tell("release")
        assert read_response(held).status == 200
        idle.sendall(request_bytes("/more", KEEP))
        assert read_response(idle).body == b"/more"
    assert server.get("/later").status == 200
    connections = seen.wait_connections(2)
    assert {s.attributes["tcpwatch.connection.outcome"] for s in connections} == {"uninstalled"}
    assert seen.connection_of(port) in connections
    for gauge in ("tcpwatch.connection.active", "http.server.active_requests"):
        seen.wait_total(gauge, 0)
    assert "/more" not in {span.attributes["url.path"] for span in seen.requests}


def test_install_and_uninstall_again_and_again_under_traffic(start: Start, seen: Seen) -> None:
    """Whatever the moment, every request is answered and nothing stays open."""
    server = start("--server", "plain", "--install", "never")
    statuses: set[int] = set()
    answered, enough = threading.Semaphore(0), threading.Event()

    def traffic() -> None:
        while not enough.is_set():
            statuses.add(server.get("/").status)
            answered.release()

    clients = [threading.Thread(target=traffic) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        for _ in range(5):
            server.tell("install")
            while answered.acquire(blocking=False):
                pass  # answered before
            assert all(answered.acquire(timeout=LIMIT) for _ in range(20))
            server.tell("uninstall")
    finally:
        enough.set()
        for client in clients:
            client.join(LIMIT)
    assert statuses == {200}
    assert server.connections() == []
    assert seen.wait_connections(1)
    seen.wait_total("tcpwatch.connection.active", 0)


def test_installed_again_it_watches_again(start: Start, seen: Seen) -> None:
    """After uninstall() a second install() is like the first."""
    server = start()
    server.get("/first")
    seen.wait_connections(1)
    server.tell("uninstall")
    server.get("/between")
    server.tell("install")
    server.get("/again")
    seen.wait_connections(2)
    paths = [span.attributes["url.path"] for span in seen.wait_requests(2)]
    assert paths == ["/first", "/again"]
    seen.wait("the counter", lambda now: now.total("tcpwatch.connection.accepted") >= 1)


def test_uninstall_gives_everything_back(start: Start) -> None:
    """After uninstall() the patched classes hold what they held before."""
    server = start("--server", "flask", "--install", "never")
    before = server.tell("patched")
    server.tell("install")
    assert server.tell("patched") != before
    server.get("/")
    server.tell("uninstall")
    assert server.tell("patched") == before


@pytest.mark.parametrize("own", ["before", "after"])
def test_the_applications_providers_are_used(start: Start, seen: Seen, own: str) -> None:
    """Providers that the application sets, before or after install(), get everything."""
    server = start("--own", own)
    server.get("/child")
    (connection,) = seen.wait_connections(1)
    (request,) = seen.wait_requests(1)
    assert connection.resource["app.own"] == request.resource["app.own"] == "yes"
    assert connection.span_id in links(request) | {request.parent_span_id}
    assert connection.scope == "tcpwatch"
    seen.wait_total("tcpwatch.connection.accepted", 1)
    assert {p.resource.get("app.own") for p in seen.points("tcpwatch.connection.accepted")} == {
        "yes"
    }


def test_nothing_happens_when_the_sdk_is_disabled(start: Start, seen: Seen) -> None:
    """OTEL_SDK_DISABLED is honoured."""
    server = start(env={"OTEL_SDK_DISABLED": "true"})
    assert server.get("/").body == b"hello"
    server.flush()
    assert not seen.recording.spans
    assert not seen.recording.points()


def printed(code: str, **environ: str) -> list[str]:
    """Run a program in a process of its own; return the words that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment(environ),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
    )
    return done.stdout.split()


def test_a_disabled_install_does_not_even_load_the_sdk() -> None:
    """It is 6 MB, and a tenth of a second at the start."""
    code = "import sys, tcpwatch; tcpwatch.install(); print('opentelemetry.sdk' in sys.modules)"
    assert printed(code, OTEL_SDK_DISABLED="true") == ["False"]
    assert printed(code, OTEL_SDK_DISABLED="false") == ["True"]


@pytest.mark.parametrize(
    ("server", "loaded"),
    [("TCPServer", "True"), ("ThreadingTCPServer", "True"), ("ForkingTCPServer", "False")],
)
def test_the_exporters_are_loaded_when_a_server_is_made_that_will_need_them(
    server: str, loaded: str
) -> None:
    """They are 10 MB: a process that serves nobody, and one whose helper exports, does without.

    It does not listen yet then: nobody can wait for them.
    """
    code = f"""
import socketserver, sys, tcpwatch
def loaded(): return any(name.startswith("opentelemetry.exporter.") for name in sys.modules)
class Server(socketserver.{server}):
    def server_bind(self):
        print(loaded())
        super().server_bind()
tcpwatch.install()
print(loaded())
server = Server(("127.0.0.1", 0), socketserver.BaseRequestHandler)
server.timeout = 0
server.handle_request()
print(loaded())
server.server_close()
"""
    assert printed(code) == ["False", loaded, loaded]


@pytest.mark.parametrize(
    ("server", "loaded"), [("ThreadingTCPServer", "True"), ("ForkingTCPServer", "False")]
)
def test_for_a_server_that_runs_already_they_are_loaded_by_install(
    server: str, loaded: str
) -> None:
    """Its loop would otherwise do it with the next client at the door."""
    code = f"""
import socketserver, sys, threading, tcpwatch
class Server(socketserver.{server}):
    served = threading.Event()
    def service_actions(self):
        self.served.set()
server = Server(("127.0.0.1", 0), socketserver.BaseRequestHandler)
thread = threading.Thread(target=server.serve_forever, args=(0.01,))
thread.start()
assert server.served.wait({LIMIT})
before = set(sys.modules)
tcpwatch.install()
print(any(name.startswith("opentelemetry.exporter.") for name in set(sys.modules) - before))
tcpwatch.uninstall()
server.shutdown()
thread.join()
server.server_close()
"""
    assert printed(code) == [loaded]


def test_one_line_says_what_is_watched_and_where_it_goes(start: Start) -> None:
    """install() prints one line on stderr: what is patched, and the endpoint."""
    server = start(env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    (line,) = [line for line in server.stderr.splitlines() if line.startswith("tcpwatch")]
    assert "socketserver" in line
    assert "http://127.0.0.1:9" in line
    assert "tcpwatch" not in start(env={"TCPWATCH_BANNER": "off"}).stderr


def test_a_setting_that_makes_no_sense_says_so(tmp_path: Path) -> None:
    """A wrong TCPWATCH_* value is refused by install() with its name and what it may hold."""
    with pytest.raises(AssertionError, match="TCPWATCH_STALL='soon'"):
        LiveServer("--install", "first", folder=tmp_path, env={"TCPWATCH_STALL": "soon"})


APP = """\
from flask import Flask
app = Flask(__name__)
@app.get("/item/<int:number>")
def item(number):
    return {"number": number}
"""


@pytest.fixture
def without_code(tmp_path: Path, seen: Seen, request: pytest.FixtureRequest) -> Iterator[str]:
    """Run `opentelemetry-instrument flask run` on an application without a line about telemetry."""
    endpoint = request.getfixturevalue("receiver").endpoint
    (tmp_path / "app.py").write_text(APP)
    program = Path(sys.executable).with_name("opentelemetry-instrument")
    command = [sys.executable, str(program), "flask", "run", "--port", "0"]
    env = clean_environment(
        {
            **STRICT,
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask,wsgi",
            "PATH": f"{program.parent}:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT / "src"),
        }
    )
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=out, stderr=out)
    try:
        while not (found := re.search(r"Running on http://127\.0\.0\.1:(\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            threading.Event().wait(0.01)  # a file cannot be waited for
        yield found.group(1)
    finally:
        process.terminate()
        process.wait(LIMIT)


def test_opentelemetry_instrument_needs_no_code(without_code: str, seen: Seen) -> None:
    """`opentelemetry-instrument flask run` watches an application that knows nothing about it."""
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{without_code}/item/7") as answer:
        assert answer.read() == b'{"number":7}\n'
    (connection,) = seen.wait_connections(1)
    (request,) = seen.wait_requests(1)
    assert request.attributes["http.route"] == "/item/<int:number>"
    assert connection.span_id in links(request) | {request.parent_span_id}
