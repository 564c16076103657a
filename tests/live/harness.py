"""A real server in a child process, with raw sockets to talk to it.

Nothing here sleeps to let something happen: a test waits for the server's address, an answer on
the control line, the end of the process, or a span in the recording. Every wait has a limit.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.live.wire import LIMIT, Response, parse, read_all, request_bytes
from tests.ports import bound

ROOT = Path(__file__).resolve().parents[2]
BROKEN = ("tcpwatch internal error", "Exception ignored in")
"""What no process of a test may write: an error of ours, caught by us or by the interpreter."""
STRICT = {
    "OTEL_BSP_SCHEDULE_DELAY": "100",
    "OTEL_METRIC_EXPORT_INTERVAL": "200",
    "TCPWATCH_STRICT": "on",
    # Two servers of one test answer alike only if sets have one order.
    "PYTHONHASHSEED": "0",
}


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without any telemetry setting, plus `extra`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "TCPWATCH_"))}
    return {**kept, **extra}


class LiveServer:
    """One of the servers of tests/apps, started; `flags` are its command line.

    `program` is the module to run, and arguments that are to come before all others.
    """

    def __init__(
        self,
        *flags: str,
        folder: Path,
        env: Mapping[str, str] | None = None,
        program: tuple[str, ...] = ("tests.apps",),
    ) -> None:
        self.flags = flags
        self.tls = "--certificate" in flags
        self.log = folder / f"stderr-{time.monotonic_ns()}.txt"
        ours, theirs = socket.socketpair()
        ours.settimeout(LIMIT)
        with theirs, self.log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-W", "default", "-X", "faulthandler", "-m"),
                    *(*program, "--control", str(theirs.fileno()), *flags),
                ],
                cwd=ROOT,
                env=clean_environment({**STRICT, **(env or {})}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=(theirs.fileno(),),
            )
        self._control = ours
        self._answers = ours.makefile("r")
        try:
            self.address: Any = self._hear()["address"]
        except BaseException:
            self.kill()
            raise
        self.unix = isinstance(self.address, str)

    def __enter__(self) -> LiveServer:
        """Return the server."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process, and fail if tcpwatch reported an error of its own."""
        self.kill()
        if error is None:
            assert not [words for words in BROKEN if words in self.stderr], self.stderr

    @property
    def stderr(self) -> str:
        """What the process has written so far."""
        return self.log.read_text(errors="replace")

    def wait_stderr(self, text: str) -> None:
        """Wait until the process has written this."""
        deadline = time.monotonic() + LIMIT
        while text not in self.stderr:
            assert time.monotonic() < deadline, f"never written: {text!r} in\n{self.stderr}"
            time.sleep(0.005)  # a file cannot be waited for

    def wait_stderr_growth(self, before: str) -> None:
        """Wait until the process has written more than this."""
        deadline = time.monotonic() + LIMIT
        while len(self.stderr) <= len(before):
            assert time.monotonic() < deadline, f"nothing was written after\n{before}"
            time.sleep(0.005)  # a file cannot be waited for

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def _hear(self) -> Any:
        try:
            line = self._answers.readline()
        except TimeoutError:
            line = ""
        assert line, f"no answer from the server; its stderr:\n{self.stderr}"
        return json.loads(line)

    def tell(self, command: str) -> Any:
        """Send a command over the control line and return the answer."""
        self.say(command)
        heard = self._hear()
        assert "error" not in heard, f"{command}: {heard}\n{self.stderr}"
        return heard["answer"]

    def say(self, command: str) -> None:
        """Send a command over the control line to a process that may end before it answers."""
        self._control.sendall(json.dumps(command).encode() + b"\n")
        if "process" in self.flags:
            self.process.send_signal(signal.SIGUSR1)

    def flush(self) -> None:
        """Have everything finished exported."""
        self.tell("flush")

    def connections(self) -> list[dict[str, Any]]:
        """Return the snapshots of `tcpwatch.connections()`."""
        found = self.tell("connections")
        assert isinstance(found, list)
        return found

    def wait_connections(self, wanted: Callable[[list[Any]], bool]) -> list[dict[str, Any]]:
        """Ask for the open connections until they are as wanted, and return them."""
        deadline = time.monotonic() + LIMIT
        while not wanted(found := self.connections()):
            assert time.monotonic() < deadline, f"last seen: {found}"
        return found

    def raw(self, source: str = "") -> socket.socket:
        """Return a connected socket, without TLS."""
        if self.unix:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(LIMIT)
            client.connect(self.address)
            return client
        host, port = self.address[:2]
        client = bound(source or host, LIMIT)
        try:
            client.connect((host, port))
        except OSError:
            client.close()
            raise
        return client

    def connect(self) -> socket.socket:
        """Return a connected socket, with TLS if the server speaks it."""
        client = self.raw()
        return self.wrap(client) if self.tls else client

    def wrap(self, client: socket.socket) -> ssl.SSLSocket:
        """Do the TLS handshake on a connected socket."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(client)

    def exchange(self, data: bytes) -> bytes:
        """Send bytes on a connection of their own and return all that comes back."""
        with self.connect() as client:
            client.sendall(data)
            return read_all(client)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Response:
        """Do one GET on a connection of its own."""
        return parse(self.exchange(request_bytes(path, headers)))

    def post(self, path: str, body: bytes) -> Response:
        """Do one POST on a connection of its own."""
        return parse(self.exchange(request_bytes(path, method="POST", body=body)))

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(how)
        return self.wait()

    def wait(self) -> int:
        """Wait for the process to end and return the exit status."""
        return self.process.wait(LIMIT)

    def kill(self) -> None:
        """End the process if it still runs, without ceremony."""
        self.process.kill()
        self.process.wait(LIMIT)
        self._answers.close()
        self._control.close()
