"""`tcpwatch explain` tells the truth: what it shows is what a real server really calls."""

from __future__ import annotations

import http.client
import http.server
import importlib.metadata
import json
import socketserver
import ssl
import sys
import wsgiref.simple_server
import xmlrpc.client
import xmlrpc.server
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import flask
import pytest
from click.testing import CliRunner, Result

from tcpwatch.cli import anonymous_tls
from tcpwatch.cli.chain.origin import place
from tcpwatch.cli.chain.steps import Step, walk
from tcpwatch.cli.chain.subject import UnknownError, Wishes, resolve
from tcpwatch.cli.commands import tcpwatch
from tcpwatch.view.store import Store
from tcpwatch.view.store.files import read_lines
from tcpwatch.view.viewer import Viewer
from tests.cli.observed import Observed
from tests.live.wire import LIMIT


class Pooled(http.server.HTTPServer):
    """A server with a pool of threads, as people write them."""

    pool = ThreadPoolExecutor(1)
    request_queue_size = 3

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand over to the pool."""
        self.pool.submit(self.serve_one, request, client_address)

    def serve_one(self, request: Any, client_address: Any) -> None:
        """Run in the pool."""
        self.finish_request(request, client_address)
        self.shutdown_request(request)


class Careful(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """A server that looks at who comes, and passes everything on."""

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Say yes."""
        return super().verify_request(request, client_address)

    def get_request(self) -> Any:
        """Accept."""
        return socketserver.TCPServer.get_request(self)


def application() -> flask.Flask:
    app = flask.Flask("explained")

    @app.get("/")
    def hello() -> str:
        return "hello"

    return app


def get(address: Any) -> None:
    host, port = address
    client = http.client.HTTPConnection(host, port, timeout=LIMIT)
    client.request("GET", "/", headers={"Connection": "close"})
    client.getresponse().read()
    client.close()


def get_encrypted(address: Any) -> None:
    context = anonymous_tls.context(ssl.PROTOCOL_TLS_CLIENT)
    host, port = address
    client = http.client.HTTPSConnection(host, port, timeout=LIMIT, context=context)
    client.request("GET", "/", headers={"Connection": "close"})
    client.getresponse().read()
    client.close()


def call(address: Any) -> None:
    host, port = address
    with (
        xmlrpc.client.ServerProxy(f"http://{host}:{port}") as proxy,
        pytest.raises(xmlrpc.client.Fault),
    ):
        proxy.nothing_such()


def can_encrypt() -> bool:
    try:
        anonymous_tls.context(ssl.PROTOCOL_TLS_SERVER)
    except ssl.SSLError:
        return False
    return True


def flask_run(**options: Any) -> Callable[[], None]:
    return lambda: application().run(port=0, **options)


def flask_run_encrypted() -> None:
    application().run(port=0, ssl_context=anonymous_tls.context(ssl.PROTOCOL_TLS_SERVER))


def forever(server: type[Any], *arguments: Any) -> Callable[[], None]:
    return lambda: server(("127.0.0.1", 0), *arguments).serve_forever(poll_interval=0.01)


def simple() -> None:
    server = wsgiref.simple_server.make_server("127.0.0.1", 0, application())
    server.serve_forever(poll_interval=0.01)


HERE = "tests.cli.test_explain:"
LIVE: dict[str, tuple[str | None, Wishes, Callable[[], None], Callable[[Any], None]]] = {
    "Flask, threads": (None, Wishes(), flask_run(), get),
    "Flask, one thread": (None, Wishes(threaded=False), flask_run(threaded=False), get),
    "Flask, threads and TLS": (
        None,
        Wishes(tls=True),
        flask_run_encrypted,
        get_encrypted,
    ),
    "http.server": (
        "http.server:ThreadingHTTPServer",
        Wishes(),
        forever(http.server.ThreadingHTTPServer, http.server.SimpleHTTPRequestHandler),
        get,
    ),
    "wsgiref": ("wsgiref.simple_server:WSGIServer", Wishes(), simple, get),
    "xmlrpc": (
        "xmlrpc.server.SimpleXMLRPCServer",
        Wishes(),
        forever(xmlrpc.server.SimpleXMLRPCServer),
        call,
    ),
    "a pool of one's own": (
        f"{HERE}Pooled",
        Wishes(),
        forever(Pooled, http.server.SimpleHTTPRequestHandler),
        get,
    ),
    "overriding with super": (
        f"{HERE}Careful",
        Wishes(),
        forever(Careful, http.server.SimpleHTTPRequestHandler),
        get,
    ),
}


def ancestors(steps: Sequence[Step], number: int) -> list[Step]:
    """Return the steps that the picture shows above this one, as far as they are in its thread."""
    found: list[Step] = []
    depth = steps[number].depth
    for step in reversed(steps[:number]):
        if step.depth < depth:
            depth = step.depth
            if in_another_thread(step):
                break
            found.append(step)
    return found


def in_another_thread(above: Step) -> bool:
    """Say whether what comes below a step runs in a thread that it has handed over to."""
    return above.phases == ("dispatch",) and not above.name.endswith("BaseServer.process_request")


def names_of(steps: Sequence[Step]) -> list[str]:
    return [step.name for step in steps]


def assert_true(steps: Sequence[Step], seen: Observed) -> None:
    """Each step is really called, in this order, and below the step that it is shown under."""
    moments = []
    for number, step in enumerate(steps):
        above = ancestors(steps, number)
        codes = {one.code for one in above}
        calls = [when for when, callers in seen.called.get(step.code, []) if codes <= callers]
        assert calls, f"{step.name} is not called below {names_of(above)}"
        moments.append(calls[0])
    in_order = sorted(zip(moments, names_of(steps), strict=True))
    assert [name for _, name in in_order] == names_of(steps)


@pytest.fixture
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # run_simple leaves its descriptor to a reloader there.
    monkeypatch.setenv("WERKZEUG_SERVER_FD", "")
    monkeypatch.delenv("WERKZEUG_SERVER_FD")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("case", LIVE)
def test_the_chain_is_what_a_real_server_calls(case: str) -> None:
    """The interpreter's profiler sees the same functions, in the same order and nesting."""
    name, wishes, serve, ask = LIVE[case]
    if wishes.tls and not can_encrypt():
        pytest.skip("this machine's OpenSSL has no anonymous ciphers")
    steps = walk(resolve(name, wishes))
    assert_true(steps, Observed(serve, ask))


# -- which server --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wishes", "server"),
    [
        (Wishes(), "ThreadedWSGIServer"),
        (Wishes(threaded=False), "BaseWSGIServer"),
        (Wishes(processes=3), "ForkingWSGIServer"),
    ],
)
def test_the_server_is_the_one_that_werkzeug_makes(wishes: Wishes, server: str) -> None:
    """It is asked to make one, on a port of its own, with what Flask.run really passes."""
    assert resolve(None, wishes).server.__name__ == server


def test_a_forking_server_collects_its_children_in_the_loop() -> None:
    """What only this kind of server does is in its chain, told of the class that does it."""
    steps = walk(resolve(None, Wishes(processes=2)))
    told = {step.name: step for step in steps}
    assert "waitpid" in told["socketserver.ForkingMixIn.service_actions"].kernel
    assert "fork(2)" in told["socketserver.ForkingMixIn.process_request"].kernel
    assert not [name for name in told if name.endswith("_thread")]


APPLICATIONS = {
    "flask.py": "import flask\napp = flask.Flask(__name__)\napp.run()\n",
    "factory.py": "import flask\ndef create_app():\n    return flask.Flask(__name__)\n",
    "wsgi.py": "def serve(environ, start):\n    start('200 OK', [])\n    return []\n",
    "installs.py": "import flask, tcpwatch\ntcpwatch.install()\napp = flask.Flask('x')\n",
    "runs.py": "import flask\nclass Own(flask.Flask):\n"
    "    def run(self, *a, **k):\n        1 / 0\napp = Own('x')\n",
}


@pytest.fixture
def applications(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder with applications, which is the current one."""
    for name, text in APPLICATIONS.items():
        (tmp_path / f"explained_{name}").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in APPLICATIONS:
        sys.modules.pop(f"explained_{name.removesuffix('.py')}", None)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("explained_flask", "flask.app.Flask.run"),
        ("explained_flask:app", "flask.app.Flask.run"),
        ("explained_factory:create_app()", "flask.app.Flask.run"),
        ("explained_factory:create_app", "flask.app.Flask.run"),
        ("explained_factory", "flask.app.Flask.run"),
        ("explained_wsgi:serve", "werkzeug.serving.run_simple"),
        ("explained_runs:app", "explained_runs.Own.run"),
    ],
)
@pytest.mark.usefixtures("applications")
def test_an_application_is_found_as_flask_finds_it_and_never_served(name: str, first: str) -> None:
    """Also one that calls run() when it is imported."""
    assert names_of(walk(resolve(name, Wishes())))[0] == first


@pytest.mark.usefixtures("applications")
def test_the_view_of_a_plain_wsgi_application_is_in_the_chain() -> None:
    """With its own file and line, and no package to credit."""
    steps = walk(resolve("explained_wsgi:serve", Wishes()))
    (step,) = [step for step in steps if step.name == "explained_wsgi.serve"]
    assert str(step.place) == "explained_wsgi.py:1"
    assert step.place.package.name == "your code"


@pytest.mark.usefixtures("applications")
def test_what_a_run_of_ones_own_asks_for_is_not_guessed() -> None:
    """It is not called: it may do anything."""
    assert "has a `run` of its own" in resolve("explained_runs:app", Wishes()).notes[0]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing_such", "there is no nothing_such from here"),
        ("http.server:Nothing", "there is no http.server:Nothing from here"),
        ("socketserver:UDPServer", "serves datagrams"),
        ("math:pi", "math:pi is float"),
        ("os.path", "os.path is module"),
        ("os:getcwd", "os:getcwd is builtin_function_or_method; expected a WSGI application"),
        ("json:JSONDecoder", "json:JSONDecoder is type; expected a WSGI application"),
        ("json:loads", "The factory .loads. .* could not be called"),
    ],
)
def test_what_is_no_server_is_said(name: str, words: str) -> None:
    """What was looked for, and what was found."""
    with pytest.raises(UnknownError, match=words):
        resolve(name, Wishes())


# -- where the code comes from -------------------------------------------------------------------


def test_each_line_is_the_line_of_the_function_in_the_installed_file() -> None:
    """Lines are read, not remembered."""
    for step in walk(resolve(None, Wishes(tls=True))):
        lines = Path(step.code.co_filename).read_text().splitlines()
        assert f"def {step.name.rpartition('.')[2]}(" in lines[step.place.line - 1]


def test_packages_are_described_by_their_own_metadata() -> None:
    """Version, licence and source are those that the package itself states."""
    told = place(flask.Flask.run.__code__)
    assert told.package.version == importlib.metadata.version("flask")
    assert told.package.licence == "BSD-3-Clause"
    assert told.package.source == "https://github.com/pallets/flask/"
    python = place(socketserver.BaseServer.serve_forever.__code__)
    assert python.link.endswith(f"/Lib/socketserver.py#L{python.line}")


# -- the command ---------------------------------------------------------------------------------


def explain(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(tcpwatch, ["explain", *arguments])


def connection(server: str, number: int, **phases: float) -> dict[str, Any]:
    """Return a connection's span in OTLP's JSON."""
    found = {f"tcpwatch.phase.{phase}": spent for phase, spent in phases.items()}
    return {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "tcp.connection",
        "startTimeUnixNano": "1",
        "endTimeUnixNano": "2",
        "attributes": [
            {"key": "tcpwatch.server.class", "value": {"stringValue": server}},
            *({"key": key, "value": {"doubleValue": value}} for key, value in found.items()),
        ],
    }


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return a recording of three connections to Flask's server and one to another."""
    threaded = "werkzeug.serving.ThreadedWSGIServer"
    lines = [
        {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "tcpwatch"}, "spans": [span]}]}]}
        for span in (
            connection(threaded, 1, accept_queue=0.5, app=1.0),
            connection(threaded, 2, accept_queue=0.25, app=3.0),
            connection(threaded, 3, accept_queue=0.001, app=2.0),
            connection("somebody.elses\x1b[31mServer", 4, app=100.0),
        )
    ]
    file = tmp_path / "recording.jsonl"
    file.write_text("\n".join(map(json.dumps, [*lines, {"resourceLogs": []}])))
    return file


def test_with_a_recording_each_step_has_its_times(recording: Path) -> None:
    """Median and longest of the connections to this class of servers, and of no other."""
    shown = explain("--recording", str(recording))
    words = " ".join(shown.output.split())
    assert "The times are those of 3 connections to werkzeug.serving.ThreadedWSGIServer." in words
    accept = words.partition("socket.socket.accept")[2].partition("verify_request")[0]
    assert "accept_queue: half of 3 connections took at most 0.25 s, the longest 0.50 s" in accept
    assert "app: half of 3 connections took at most 2.00 s, the longest 3.00 s" in words
    assert "read_head: not in the recording" in words


def test_the_recording_may_be_a_viewer_that_runs(recording: Path) -> None:
    """Or its database: whatever a report is made of."""
    with Store(recording.with_suffix(".db")) as store, Viewer(store, port=0) as viewer:
        with recording.open("rb") as lines:
            read_lines(store, lines, "recording")
        shown = explain("--recording", viewer.address)
    assert "longest 3.00 s" in " ".join(shown.output.split())
    assert explain("--recording", str(recording.with_suffix(".db"))).output == shown.output


def test_a_recording_of_another_server_is_said_to_be_one(recording: Path) -> None:
    """And what a stranger wrote into it cannot reach the terminal as a command."""
    shown = explain("http.server:HTTPServer", "--recording", str(recording))
    assert "which is another server" in " ".join(shown.output.split())
    assert "\x1b" not in shown.output


@pytest.mark.parametrize("line", ["no json", "[]", '{"other": 1}', '{"resourceSpans": 7}'])
def test_a_file_that_is_no_recording_is_said(line: str, tmp_path: Path) -> None:
    """With the line where it stops being one."""
    file = tmp_path / "other.jsonl"
    file.write_text("\n" + line)
    shown = explain("--recording", str(file))
    assert shown.exit_code == 1
    assert "line 2: " in shown.output
    assert "Expected OTLP JSON lines" in " ".join(shown.output.split())


def test_it_fits_on_80_columns_without_colours_in_a_pipe() -> None:
    """Every line, of the deepest server."""
    shown = explain("--tls")
    assert shown.exit_code == 0
    assert max(map(len, shown.output.splitlines())) <= 80
    assert "\x1b" not in shown.output


def test_as_markdown_it_is_a_report(recording: Path) -> None:
    """Headings, tables with as many cells in each row, links to lines, and no path of here."""
    text = explain("--markdown", "--recording", str(recording)).output
    assert text.startswith("# From `flask.app.Flask.run` to `socket.socket.accept`, and back\n")
    assert text.count("\n## ") == 5
    table: list[str] = []
    for line in text.splitlines():
        table = [*table, line] if line.startswith("|") else []
        assert len({row.replace("\\|", "").count("|") for row in table}) <= 1
    assert "| `accept_queue` |" in text
    assert "| 3 | 0.25 s | 0.50 s |" in text
    assert str(Path(sys.prefix)) not in text
    assert str(Path.cwd()) not in text


@pytest.mark.parametrize(
    "arguments", [("nothing_such",), ("--threaded", "--processes", "2"), ("--processes", "1")]
)
def test_what_cannot_be_explained_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    """Exit code 2, as for any wrong argument."""
    assert explain(*arguments).exit_code == 2
