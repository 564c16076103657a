"""What the commands print, for docs/examples: each from a real run, without a machine's names.

    python scripts/examples.py        record docs/examples/recording.jsonl anew

The recording is of two of the demo's steps. `scripts/docs.py` puts the outputs into the pages.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tcpwatch.cli.acts import ACTS
from tcpwatch.cli.clients import Door
from tcpwatch.cli.pictures import indented
from tcpwatch.cli.servers import SampleServer
from tcpwatch.view.findings import find
from tcpwatch.view.sentences import sentences as told
from tcpwatch.view.store import Store
from tcpwatch.view.store.files import read_lines, write_lines
from tcpwatch.view.viewer import Viewer

ROOT = Path(__file__).resolve().parents[1]
RECORDING = ROOT / "docs" / "examples" / "recording.jsonl"
STEPS = slice(1, 3)
PATIENCE = 30.0
HELLO = ROOT / "docs" / "examples" / "hello.py"


# -- recorded ------------------------------------------------------------------------------------


def record() -> None:
    """Play two steps of the demo against a server with one thread, and keep what it sent."""
    act = ACTS[0]
    with Store() as store, Viewer(store, port=0) as viewer:
        with SampleServer("shop", viewer.address, act.options) as server:
            door = Door(server.port(), timeout=10)
            for step in act.steps(1.0)[STEPS]:
                step.play(door)
        lines = b"".join(write_lines(store)).decode()
    RECORDING.write_text(re.sub(rf"\b{door.port}\b", "5000", _nameless(lines)))


def report() -> str:
    """Return what the report says of the recording."""
    return _printed("report", str(RECORDING)).replace(f"{ROOT}/", "")


def explain() -> str:
    """Return the way to accept, with the recording's times, as far as the accept itself."""
    arguments = ("hello:app", "--single", "--recording", str(RECORDING))
    with _application() as folder:
        return _printed("explain", *arguments, folder=folder)


def sentences() -> str:
    """Return what the page says of the recording."""
    with Store() as store, RECORDING.open("rb") as lines:
        read_lines(store, lines, RECORDING.name)
        return "\n".join(indented(str(one), 80, "- ") for one in told(find(store)))


def view(*recordings: str) -> str:
    """Return what the viewer says when it is started."""
    line = [sys.executable, "-m", "tcpwatch", "view", "--port", "0", "--grpc-port", "0"]
    said: list[str] = []
    with subprocess.Popen(
        [*line, *recordings], env=_environment({}), stdout=subprocess.PIPE, text=True
    ) as viewer:
        assert viewer.stdout is not None
        for words in viewer.stdout:
            said.append(words.rstrip())
            if words.startswith("Ctrl-C"):
                break
        viewer.terminate()
    words = re.sub(r"on port \d+", "on port 4317", "\n".join(said))
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:4318", words)


# -- live ----------------------------------------------------------------------------------------


def top() -> str:
    """Return a snapshot of a server with one thread that waits for a client that says nothing."""
    with (
        Store() as store,
        Viewer(store, port=0) as viewer,
        SampleServer("shop", viewer.address, ("--single",)) as server,
        ExitStack() as clients,
    ):
        address = ("127.0.0.1", server.port())
        for _ in range(3):
            clients.enter_context(socket.create_connection(address))
        _until(
            lambda: any(
                process["busy"] > 2.5 and process["depth"] == 2
                for listed in _state(viewer)
                for process in listed["now"]
            )
        )
        told = _printed("top", "--once", viewer.address)
    return _usual(told, {_port(viewer.address): 4318, address[1]: 5000})


def run() -> str:
    """Return what a program under `tcpwatch run` says when one client holds up another."""
    said: list[str] = []
    served = 0
    with _application() as folder, Store() as store, Viewer(store, port=0) as viewer:
        line = [sys.executable, "-m", "tcpwatch", "run", "--", "flask", "--app", "hello", "run"]
        with subprocess.Popen(
            [*line, "--without-threads", "--port", "0"],
            cwd=folder,
            env=_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": viewer.address}),
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            text=True,
        ) as program:
            assert program.stdout is not None
            clients: list[threading.Thread] = []
            for words in program.stdout:
                said.append(words.rstrip())
                if found := re.search(r"Running on (http://\S+)", words):
                    served = _port(found[1])
                    clients = [_asks(found[1] + "/slow"), _asks(found[1] + "/", 0.3)]
                if "goes on" in words:
                    break
            for client in clients:
                client.join(PATIENCE)
            program.send_signal(signal.SIGINT)
            said += program.stdout.read().splitlines()
    # werkzeug's lines of requests come in the middle, from another thread than ours.
    ours = "\n".join(line for line in said if " - - [" not in line)
    plain = re.sub(r"\x1b\[\d*m", "", ours)
    return _usual(_shortened_stack(plain), {_port(viewer.address): 4318, served: 5000})


def doctor() -> str:
    """Return what the doctor says of a mistyped setting and of a viewer that does not run."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    told = _printed(
        "doctor",
        env={
            "TCPWATCH_STALL": "soon",
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{nobody}",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic abc",
        },
        fails=True,
    )
    chapters = told.split("\n\n")
    wanted = [one for one in chapters if one.startswith(("Settings", "Telemetry"))]
    return _usual("\n...\n".join(wanted) + "\n\n" + chapters[-1], {nobody: 4318})


EXAMPLES: Mapping[str, Callable[[], str]] = {
    "report": report,
    "sentences": sentences,
    "start": view,
    "view": lambda: view(str(RECORDING)),
    "explain": explain,
    "top": top,
    "run": run,
    "doctor": doctor,
}


# -- how -----------------------------------------------------------------------------------------


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "TCPWATCH_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    plain = {"COLUMNS": "80", "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}
    return kept | plain | {"PATH": path} | dict(extra)


def _printed(
    *arguments: str,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    fails: bool = False,
) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tcpwatch", *arguments],
        cwd=folder,
        env=_environment(env or {}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode != fails:
        raise RuntimeError(f"tcpwatch {arguments[0]} failed:\n{done.stdout}{done.stderr}")
    return "\n".join(line.rstrip() for line in done.stdout.rstrip().splitlines())


@contextmanager
def _application() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(HELLO, folder)
        yield Path(folder)


def _asks(address: str, later: float = 0.0) -> threading.Thread:
    def ask() -> None:
        time.sleep(later)
        urllib.request.urlopen(address, timeout=PATIENCE).read()  # noqa: S310  # our own server

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def _state(viewer: Viewer) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{viewer.address}/api/state", timeout=PATIENCE) as answer:  # noqa: S310  # our own
        servers: list[dict[str, Any]] = json.load(answer)["servers"]
    return servers


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("what the example shows did not come about")
        time.sleep(0.1)


def _nameless(text: str) -> str:
    """Leave out where things are on the machine that made this."""
    text = re.sub(r'"[^"]*/site-packages/', '"site-packages/', text)
    text = re.sub(r'"[^"]*/(python3\.\d+/)', r'"\1', text)
    return text.replace(f"{ROOT}/", "")


def _shortened_stack(text: str) -> str:
    """Keep of a stack the innermost call, which is the telling one."""
    stack = re.search(r"(?:^  File .*\n(?:    .*\n)+)+", text + "\n", re.MULTILINE)
    if stack is None:
        raise LookupError(f"there is no stack in:\n{text}")
    place, call = stack[0].rpartition("  File ")[2].splitlines()[:2]
    place = re.sub(r'"[^"]*/', '"', place)
    return text.replace(stack[0].rstrip("\n"), f"  ...\n  File {place}\n{call}")


def _usual(text: str, ports: Mapping[int, int]) -> str:
    """Name the ports that a person would meet, where free ones were taken."""
    for taken, usual in ports.items():
        text = re.sub(rf":{taken}\b", f":{usual}", text)
    return text


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


if __name__ == "__main__":
    record()
    print(f"written: {RECORDING.relative_to(ROOT)}")
