"""`tcpwatch run`: a program is watched, and is otherwise as it would be without us."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tcpwatch.cli.launch.environment import watched
from tcpwatch.cli.launch.program import decisive_options
from tcpwatch.view.receiver import Receiver
from tests.cli.programs import RUN, environment, run, serving
from tests.live.harness import STRICT
from tests.live.seen import Seen
from tests.live.wire import LIMIT

FLASK = ("flask", "--app", "hello", "run", "--port", "0")
STANDARD = "import http.server as s; s.test(s.SimpleHTTPRequestHandler, port=0)"
SERVERS = {
    "a console script": FLASK,
    "with the reloader": (*FLASK, "--debug"),
    "a script": ("python", "hello.py"),
    "a package": ("python", "-m", "package"),
    "the standard library's": ("python", "-c", STANDARD),
    "the standard library's as a program": ("python", "-m", "http.server", "0"),
    "a child": ("python", "parent.py"),
    "started by a shell": ("sh", "-c", "exec python hello.py"),
    "one that installs it itself": ("python", "watched.py"),
}


@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS)
def test_any_server_is_watched(command: tuple[str, ...], folder: Path, receiver: Receiver) -> None:
    """One request makes one connection span and one request span, however the server is started."""
    env = {**STRICT, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
    with serving(*command, folder=folder, env=env) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port(), timeout=LIMIT)
        client.request("GET", "/")
        assert client.getresponse().status == 200
        client.close()
        seen = Seen(receiver.recording)
        seen.wait_connections(1)
        seen.wait_requests(1)
    assert len(seen.connections) == len(seen.requests) == 1


def test_the_program_takes_the_place_of_the_command(folder: Path) -> None:
    """There is no process of ours: the program has the pid that was started, and no other."""
    program = "import os, psutil; print(os.getpid(), psutil.Process().children(), os.getppid())"
    with subprocess.Popen(
        [*RUN, "python", "-c", program], cwd=folder, env=environment(), stdout=subprocess.PIPE
    ) as process:
        said, _ = process.communicate(timeout=LIMIT)
    assert said.split() == [str(process.pid).encode(), b"[]", str(os.getpid()).encode()]


@pytest.mark.parametrize("code", [0, 1, 2, 125, 255])
def test_the_exit_code_is_the_programs(code: int, folder: Path) -> None:
    """Whatever it is."""
    assert run("python", "-c", f"raise SystemExit({code})", folder=folder).returncode == code


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL", "SIGPIPE", "SIGXFSZ", "SIGHUP"])
def test_a_signal_is_the_programs(name: str, folder: Path) -> None:
    """A program dies of what it dies of without us, also of what Python itself ignores."""
    number = signal.Signals[name]
    before = signal.getsignal(number)
    if before is signal.SIG_IGN and name == "SIGHUP":
        signal.signal(number, signal.SIG_DFL)  # nohup's; what is ignored is inherited
    try:
        ended = run("sh", "-c", f"kill -{number:d} $$", folder=folder)
    finally:
        if before is signal.SIG_IGN:
            signal.signal(number, before)
    assert ended.returncode == -number


def test_a_process_that_makes_no_server_pays_nothing(folder: Path) -> None:
    """Neither tcpwatch nor OpenTelemetry is even loaded, and nothing is written."""
    program = (
        "import http.server, json, sys; print(json.dumps([m for m in sys.modules"
        " if m.partition('.')[0] in ('tcpwatch', 'opentelemetry')]))"
    )
    ended = run("python", "-c", program, folder=folder)
    assert (json.loads(ended.stdout), ended.stderr) == ([], "")


def test_the_program_sees_the_world_as_without_us(folder: Path) -> None:
    """Arguments, path of modules, folder, descriptors and umask are the same.

    So is the environment but for PYTHONPATH, which is how its children are watched.
    """
    (folder / "world.py").write_text(
        "import json, os, sys\n"
        "env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}\n"
        "print(json.dumps([sys.argv, sys.orig_argv, sys.executable, sys.path, os.getcwd(), env,\n"
        "  sorted(os.listdir('/proc/self/fd')), os.umask(0)]))\n"
    )
    command = ("python", "world.py", "--", "-x", "--help", "a b")
    env = {"PYTHONPATH": str(folder / "package"), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1"}
    bare = subprocess.run(
        command,
        cwd=folder,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
    )
    assert json.loads(run(*command, folder=folder, env=env).stdout) == json.loads(bare.stdout)


def test_without_an_endpoint_telemetry_is_live(folder: Path) -> None:
    """Who names no collector looks on: metrics come each second, unless they say otherwise."""
    show = ("python", "-c", "import os; print(os.environ.get('OTEL_METRIC_EXPORT_INTERVAL'))")
    assert run(*show, folder=folder).stdout == "1000\n"
    own = {"OTEL_METRIC_EXPORT_INTERVAL": "7"}
    assert run(*show, folder=folder, env=own).stdout == "7\n"
    collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    assert run(*show, folder=folder, env=collector).stdout == "None\n"


def test_nothing_is_left_behind(folder: Path) -> None:
    """Neither a temporary file nor anything in the folder."""
    temporary = folder / "temporary"
    temporary.mkdir()
    before = sorted(folder.rglob("*"))
    program = "import socketserver; socketserver.TCPServer(('127.0.0.1', 0), None).server_close()"
    ended = run("python", "-c", program, folder=folder, env={"TMPDIR": str(temporary)})
    assert "tcpwatch: watching" in ended.stderr
    assert sorted(folder.rglob("*")) == before


# -- other people's sitecustomize ----------------------------------------------------------------


@pytest.mark.parametrize("body", ["import sys; sys.mark = 'here'", "1 / 0", "import nothing_such"])
def test_a_sitecustomize_of_ones_own_is_loaded_as_always(body: str, folder: Path) -> None:
    """Ours stands before it and loads it; its errors are reported by `site` as without us."""
    (folder / "sitecustomize.py").write_text(body)
    command = ("python", "-c", "import sys; print(getattr(sys, 'mark', None), sys.path)")
    plain = environment({"PYTHONPATH": str(folder)})
    bare, ours = (
        subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=True)
        for env in (plain, watched(plain))
    )
    assert (ours.stdout, ours.stderr) == (bare.stdout, bare.stderr)
    assert ("here" in ours.stdout) == ("mark" in body)


def test_under_opentelemetry_instrument_it_is_installed_once(
    folder: Path, receiver: Receiver
) -> None:
    """Both ways of instrumenting from outside go together."""
    env = {**STRICT, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
    env["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
    command = ("opentelemetry-instrument", "python", "hello.py")
    with serving(*command, folder=folder, env=env) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port(), timeout=LIMIT)
        client.request("GET", "/")
        client.getresponse().read()
        client.close()
        Seen(receiver.recording).wait_connections(1)
        assert server.said.count("tcpwatch: watching") == 1


# -- what cannot be watched ----------------------------------------------------------------------


@pytest.fixture
def stranger(folder: Path) -> Path:
    """Return a Python without tcpwatch."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", folder / "other"], check=True, timeout=LIMIT
    )
    return folder / "other" / "bin" / "python"


def test_a_python_without_tcpwatch_is_refused_with_the_cure(folder: Path, stranger: Path) -> None:
    """Before it starts: it would run unwatched."""
    refused = run(str(stranger), "hello.py", folder=folder)
    assert refused.returncode == 125
    assert f"{stranger} -m pip install tcpwatch" in refused.stderr
    script = folder / "script"
    script.write_text(f"#!{stranger}\nprint('ran')\n")
    script.chmod(0o755)
    refused = run(str(script), folder=folder)
    assert (refused.returncode, refused.stdout) == (125, "")


def test_a_stranger_among_the_children_is_left_in_peace_until_it_serves(
    folder: Path, stranger: Path
) -> None:
    """A Python without tcpwatch says so in one line when it makes a server, which works."""
    quiet = run(
        "sh", "-c", f"{stranger} -c 'print(1)'", folder=folder, env={"TCPWATCH_BANNER": "off"}
    )
    assert (quiet.stdout, quiet.stderr) == ("1\n", "")
    program = 'import socketserver as s; print(s.TCPServer(("127.0.0.1", 0), None).fileno() > 0)'
    server = run("sh", "-c", f"{stranger} -c '{program}'", folder=folder)
    assert (server.returncode, server.stdout) == (0, "True\n")
    assert f"{stranger} -m pip install tcpwatch" in server.stderr


@pytest.mark.parametrize("options", [["-I"], ["-E"], ["-S"], ["-X", "dev", "-Wdefault", "-BIm"]])
def test_a_python_that_ignores_its_environment_is_refused(options: list[str], folder: Path) -> None:
    """It cannot be reached from outside; the message says what can be done instead."""
    refused = run("python", *options, "-c", "print('ran')", folder=folder)
    assert (refused.returncode, refused.stdout) == (125, "")
    assert "call tcpwatch.install() in the program" in refused.stderr


def test_a_first_line_that_isolates_is_refused(folder: Path) -> None:
    """Also through env."""
    script = folder / "script"
    for first in (f"#!{sys.executable} -I", "#!/usr/bin/env -S python -E"):
        script.write_text(f"{first}\nprint('ran')\n")
        script.chmod(0o755)
        assert run(str(script), folder=folder).returncode == 125


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["app.py", "-I"], ()),
        (["-m", "pkg", "-E"], ()),
        (["-uEm", "pkg", "-S"], ("-E",)),
        (["-W", "-I", "-X", "-S", "-s", "app.py"], ("-s",)),
        (["-Wi", "-P", "-"], ("-P",)),
        (["--check-hash-based-pycs", "always", "-S"], ("-S",)),
        (["-cI"], ()),
        ([], ()),
    ],
)
def test_only_the_interpreters_own_options_count(
    arguments: list[str], options: tuple[str, ...]
) -> None:
    """What stands behind the script, -c or -m is the program's."""
    assert decisive_options(arguments) == options


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("nothing-such", 127, "no command nothing-such on PATH"),
        ("./nothing-such", 127, "there is no ./nothing-such"),
        ("hello.py", 126, "tcpwatch run -- python hello.py"),
        ("./package", 126, "./package is not an executable file"),
    ],
)
def test_what_is_no_program_is_said(command: str, code: int, words: str, folder: Path) -> None:
    """The exit codes are those of env and nohup."""
    refused = run(command, folder=folder)
    assert refused.returncode == code
    assert words in refused.stderr


def test_a_program_without_a_first_line_is_said(folder: Path) -> None:
    """The kernel refuses it; a shell would have guessed."""
    script = folder / "script"
    script.write_text("print('ran')\n")
    script.chmod(0o755)
    refused = run("./script", folder=folder)
    assert refused.returncode == 126
    assert "Exec format error" in refused.stderr


def test_a_wrong_setting_is_said_before_the_start(folder: Path) -> None:
    """The program does not run with a setting that tcpwatch would refuse."""
    refused = run("python", "-c", "print(1)", folder=folder, env={"TCPWATCH_STALL": "soon"})
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "TCPWATCH_STALL='soon'" in refused.stderr
