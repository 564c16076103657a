"""The viewer as a command: open the store, listen, say where, and stay until told to stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from tcpwatch.view import GRPC_PORT, HTTP_PORT
from tcpwatch.view.store import Store
from tcpwatch.view.store.files import read_lines
from tcpwatch.view.viewer import Viewer

_LOOK: Final = 0.5
"""Seconds."""


@dataclass(frozen=True)
class Wanted:
    """What was asked for: `db` None is memory, `most` is in bytes, ports of 0 are any free ones.

    `grpc_port` None means: the usual one, if the extra is there and the port is free.
    """

    db: Path | None = None
    recordings: Sequence[Path] = ()
    host: str = "127.0.0.1"
    port: int = HTTP_PORT
    grpc_port: int | None = None
    most: int = 512 * 1024 * 1024
    hosts: Sequence[str] = ()


def run(console: Console, wanted: Wanted) -> None:
    """Serve until SIGINT or SIGTERM; what was acknowledged is in the store then.

    Raises:
        OSError: a port is not free, or a recording cannot be read.
        StoreError: the database cannot be used.
        NotARecordingError: a recording is something else.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Store(wanted.db, wanted.most) as store, contextlib.ExitStack() as open_doors:
        for recording in wanted.recordings:
            _load(console, store, recording)
        viewer = open_doors.enter_context(Viewer(store, wanted.host, wanted.port, wanted.hosts))
        grpc = _grpc(store, wanted, open_doors)
        _greet(console, store, viewer, grpc, wanted)
        # Python hears of a signal between two steps: of one that comes just before a wait without
        # an end it would hear only after it.
        while not stop.wait(_LOOK):
            pass


def _load(console: Console, store: Store, recording: Path) -> None:
    with recording.open("rb") as lines:
        refused = read_lines(store, lines, str(recording))
    if refused:
        console.print(f"{recording}: {refused} spans or points were refused", markup=False)


def _grpc(store: Store, wanted: Wanted, open_doors: contextlib.ExitStack) -> str:
    """Open the door for gRPC if it can be; return what to say about it."""
    try:
        from tcpwatch.view.web.grpc_door import GrpcDoor
    except ImportError as missing:
        if wanted.grpc_port is not None:
            raise OSError(f"gRPC needs {missing.name}: pip install 'tcpwatch[grpc]'") from missing
        return "not over gRPC (pip install 'tcpwatch[grpc]')"
    try:
        port = GRPC_PORT if wanted.grpc_port is None else wanted.grpc_port
        door = GrpcDoor(store, wanted.host, port)
    except OSError:
        if wanted.grpc_port is not None:
            raise
        return f"not over gRPC (port {GRPC_PORT} is in use)"
    open_doors.callback(door.close)
    return f"over gRPC on port {door.port}"


def _greet(console: Console, store: Store, viewer: Viewer, grpc: str, wanted: Wanted) -> None:
    kept = f"in {wanted.db}" if wanted.db else "in memory (--db FILE keeps it)"
    lines = (
        f"The viewer:  {viewer.address}",
        f"Your server: OTEL_EXPORTER_OTLP_ENDPOINT={viewer.address} python app.py",
        f"OTLP over HTTP on the same port, {grpc}.",
        f"Kept {kept}, at most {store.cap // 1024**2} MB, the oldest leave first.",
    )
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    if wanted.host not in ("127.0.0.1", "localhost", "::1"):
        console.print(
            "Whoever can reach this port can read and write: there is no login.", style="yellow"
        )
    console.print("Ctrl-C ends it.", style="bright_black")
