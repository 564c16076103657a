"""What tcpwatch warns of under `tcpwatch run` reaches the viewer, and stderr as ever."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

from tcpwatch.cli.launch.environment import watched
from tcpwatch.view.store import Store
from tcpwatch.view.viewer import Viewer
from tests.cli.programs import serving
from tests.live.harness import STRICT
from tests.live.wire import LIMIT

STUCK = """\
import flask, threading
app = flask.Flask(__name__)

@app.get("/")
def hold():
    threading.Event().wait()

app.run(port=0, threaded=False)
"""


def warned(viewer: Viewer) -> str:
    """Return what the page would show of the only server's warning, "" if there is none yet."""
    with urllib.request.urlopen(f"{viewer.address}/api/state", timeout=LIMIT) as answer:
        state: dict[str, Any] = json.load(answer)
    processes = [process for server in state["servers"] for process in server["now"]]
    said = [process["warned"]["text"] for process in processes if process["warned"]]
    return said[0] if said else ""


def test_the_viewer_is_told_who_holds_the_loop_while_it_is_held(tmp_path: Path) -> None:
    """With the place in the program; and the terminal has it as without the viewer."""
    (tmp_path / "stuck.py").write_text(STUCK)
    with Store() as store, Viewer(store, port=0) as viewer:
        env = watched({**STRICT, "OTEL_SERVICE_NAME": "shop"}, viewer.address)
        del env["PYTHONPATH"]
        with serving("python", "stuck.py", folder=tmp_path, env=env) as server:
            address = ("127.0.0.1", server.port())
            clients = [socket.create_connection(address, LIMIT) for _ in range(2)]
            clients[0].sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            deadline = time.monotonic() + LIMIT
            while not (said := warned(viewer)):
                assert time.monotonic() < deadline, server.said
                time.sleep(0.05)  # another process' export cannot be waited for
            assert f"127.0.0.1:{clients[0].getsockname()[1]}, in phase app" in said
            assert "threading.Event().wait()" in said
            assert "in phase app" in server.said
            for client in clients:
                client.close()


def test_nothing_is_added_for_an_endpoint_of_ones_own() -> None:
    """A collector may have no place for logs; who wants them there says so."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    assert "OTEL_LOGS_EXPORTER" not in watched(environ)
    assert watched({"OTEL_LOGS_EXPORTER": "none"})["OTEL_LOGS_EXPORTER"] == "none"
