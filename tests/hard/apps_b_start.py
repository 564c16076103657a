"""How the tests start a server in a prepared process (tests/hard/apps_b.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.live.harness import LiveServer

Start = Callable[..., LiveServer]


@contextmanager
def prepared(preparations: str, endpoint: str, folder: Path) -> Iterator[Start]:
    """Give a function that starts a server in a process with these preparations."""
    program = ("tests.hard.apps_b", preparations)
    with ExitStack() as running:

        def start(*flags: str, env: dict[str, str] | None = None) -> LiveServer:
            wanted = flags if "--install" in flags else (*flags, "--install", "first")
            target = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **(env or {})}
            server = LiveServer(*wanted, folder=folder, env=target, program=program)
            return running.enter_context(server)

        yield start
