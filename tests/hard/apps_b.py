"""Prepare the process, then run a server of tests/apps in it.

    python -m tests.hard.apps_b clock,views --control 5 …

A preparation changes what a program, a library or a platform would have changed before.
"""

from __future__ import annotations

import gc
import importlib
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.apps import __main__ as usual
from tests.apps import control

if TYPE_CHECKING:
    import flask

HOUR = 3600


def clock(commands: Commands) -> None:
    """Give the test a hand on the wall clock; the monotonic one is nobody's to step."""
    ahead = [0]
    seconds, nanoseconds = time.time, time.time_ns
    time.time = lambda: seconds() + ahead[0]
    time.time_ns = lambda: nanoseconds() + ahead[0] * 1_000_000_000

    def step(by: int) -> Callable[[], int]:
        def stepping() -> int:
            ahead[0] += by
            return nanoseconds()

        return stepping

    commands["hour forward"] = step(HOUR)
    commands["hour back"] = step(-HOUR)


def kernelless(commands: Commands) -> None:
    """Be on a platform that has no TCP_INFO, no SO_COOKIE and no drop counter."""
    from tcpwatch.hub import hub
    from tcpwatch.testing import FakeKernel

    hub.kernel = FakeKernel()


def procless(commands: Commands) -> None:
    """Be in a container that shows no /proc."""
    import psutil

    psutil.PROCFS_PATH = "/nowhere"


def forkless(commands: Commands) -> None:
    """Be on a platform that has neither fork nor fcntl, nor what builds on them."""
    import socketserver

    importlib.import_module("tests.apps.servers")  # it has forking servers on its menu
    sys.modules["fcntl"] = None  # type: ignore[assignment]
    for name in ("fork", "register_at_fork", "forkpty"):
        delattr(os, name)
    for name in [name for name in vars(socketserver) if name.startswith(("Forking", "Unix"))]:
        delattr(socketserver, name)


def nameless(commands: Commands) -> None:
    """Fail to resolve the collector's name, as a resolver does that does not know it."""
    resolve = socket.getaddrinfo

    def asked(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "collector.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)

    socket.getaddrinfo = asked


def tool(commands: Commands) -> None:
    """Have another tool at hand that wraps what tcpwatch wraps, and counts the calls."""
    import http.server
    import socketserver

    wraps = [
        Wrap(socketserver.BaseServer, "finish_request"),
        Wrap(socketserver.BaseServer, "serve_forever"),
        Wrap(http.server.BaseHTTPRequestHandler, "parse_request"),
        Wrap(socket.socket, "accept"),
    ]

    def switch(on: bool) -> Callable[[], None]:
        def switching() -> None:
            for wrap in wraps:
                (wrap.enter if on else wrap.leave)()

        return switching

    commands["tool on"], commands["tool off"] = switch(on=True), switch(on=False)
    commands["tool"] = lambda: [wrap.calls for wrap in wraps]


class Wrap:
    """Another tool's wrapper; it goes if nobody has wrapped it, else it is silent."""

    def __init__(self, owner: type, name: str) -> None:
        self.owner, self.name, self.calls = owner, name, 0
        self.original: Any = None
        self.wrapper: Any = None

    def enter(self) -> None:
        """Wrap what is there."""
        original = self.original = getattr(self.owner, self.name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self.calls += self.wrapper is wrapper
            return original(*args, **kwargs)

        self.wrapper = wrapper
        setattr(self.owner, self.name, wrapper)

    def leave(self) -> None:
        """Give back what was there."""
        if getattr(self.owner, self.name) is self.wrapper:
            setattr(self.owner, self.name, self.original)
        self.wrapper = None


def look(commands: Commands) -> None:
    """Tell what the process has open."""
    import psutil

    me = psutil.Process()
    commands["listening"] = lambda: [
        list(row.laddr) for row in me.net_connections("inet") if row.status == "LISTEN"
    ]
    commands["files"] = lambda: [file.path for file in me.open_files()]
    commands["spans"] = _spans


def _spans() -> int:
    """Return how many spans are in this process's memory."""
    from opentelemetry.sdk.trace import ReadableSpan

    return sum(isinstance(held, ReadableSpan) for held in gc.get_objects())


def audit(commands: Commands) -> None:
    """Take down every file that is opened, however briefly."""
    opened: set[str] = set()

    def hear(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], str | bytes):
            opened.add(os.path.abspath(os.fsdecode(args[0])))  # noqa: PTH100 - of any kind of path

    sys.addaudithook(hear)
    commands["opened"] = lambda: sorted(opened)


def views(commands: Commands) -> None:
    """Add views that end or multiply the process they run in."""
    from tests.apps import flask_app
    from tests.hard import apps_b_views

    make = flask_app.make_app

    def make_app() -> flask.Flask:
        app = make()
        apps_b_views.add(app)
        return app

    flask_app.make_app = make_app


Commands = dict[str, Callable[[], Any]]
PREPARATIONS: dict[str, Callable[[Commands], None]] = {
    step.__name__: step
    for step in (clock, kernelless, procless, forkless, nameless, tool, look, audit, views)
}


def main(wanted: str) -> None:
    """Prepare, then do as tests/apps does with the rest of the command line."""
    commands: Commands = {}
    for name in wanted.split(","):
        PREPARATIONS[name](commands)

    class Control(control.Control):
        """Answers what the preparations have added, too."""

        def __init__(self, fd: int) -> None:
            super().__init__(fd)
            for command, do in commands.items():
                self.on(command, do)

    usual.Control = Control  # type: ignore[attr-defined]
    usual.main()


if __name__ == "__main__":
    main(sys.argv.pop(1))
