"""The stack running on this machine: started in the file's order, each after its health check."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from stack import compose, translation
from stack.compose import Service
from stack.programs import COLLECTOR, JAEGER, PROMETHEUS, ROOT

if TYPE_CHECKING:
    from typing_extensions import Self

ENTRYPOINTS = {
    "tcpwatch-collector": COLLECTOR.path,
    "otel/opentelemetry-collector-contrib": COLLECTOR.path,
    "jaegertracing/jaeger": JAEGER.path,
    "prom/prometheus": PROMETHEUS.path,
}
"""What an image starts, by its name; the sample image starts its command."""
APP = ROOT / "deploy" / "app"
"""The working directory of the sample image."""
PATIENCE = 60.0
"""Seconds in which a program is healthy, or has ended."""
INHERITED = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
_ANY_CERTIFICATE = ssl._create_unverified_context()  # noqa: S323 - ours, made at start, on loopback


class NotHealthy(RuntimeError):
    """A program ended, or does not answer its health check; the text has its last words."""


class Stack:
    """Containers as processes of this machine, while the context lasts.

    `names` are services of deploy/compose.yaml, `others` containers from elsewhere. `settings` are
    variables that all of them get beside their own, and before them.
    """

    def __init__(
        self,
        folder: Path,
        *names: str,
        others: Iterable[Service] = (),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        every = compose.services()
        self._folder, self._settings = folder, settings or {}
        self.services = {name: every[name] for name in every if name in names}
        self.services.update({service.name: service for service in others})
        self._places = translation.Places([*{*every, *self.services}])
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            for name in self._order():
                self.start(name)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _order(self) -> list[str]:
        """Return the services such that each comes after those it depends on."""
        order: list[str] = []

        def visit(name: str) -> None:
            for earlier in self.services[name].after:
                if earlier in self.services:
                    visit(earlier)
            if name not in order:
                order.append(name)

        for name in self.services:
            visit(name)
        return order

    def address(self, name: str, port: int) -> str:
        """Return HOST:PORT of what a service listens on."""
        return f"127.0.0.1:{self._places.port(name, port)}"

    def url(self, name: str, port: int) -> str:
        """Return the base URL of a service."""
        return f"http://{self.address(name, port)}"

    @property
    def otlp(self) -> str:
        """Where the Collector takes OTLP over HTTP."""
        return self.url("collector", 4318)

    @property
    def jaeger(self) -> str:
        """Jaeger's API."""
        return self.url("jaeger", 16686)

    @property
    def prometheus(self) -> str:
        """Prometheus' API."""
        return self.url("prometheus", 9090)

    def command(self, name: str) -> list[str]:
        """Return the words that start a service here, its mounts laid out."""
        service = self.services[name]
        laid = translation.furnish(service, self._places, self._folder / name)
        words = [translation.localise(w, service, self._places, laid) for w in service.command]
        if words[0] == "python":
            words[0] = sys.executable
        entrypoint = ENTRYPOINTS.get(service.image.partition(":")[0])
        return [*([str(entrypoint)] if entrypoint else []), *words]

    def environment(self, name: str) -> dict[str, str]:
        """Return a service's environment, and what any process here needs."""
        said = self.services[name].environment.items()
        ours = {key: self._places.translate(value, name) for key, value in said}
        kept = {key: os.environ[key] for key in INHERITED if key in os.environ}
        # A certificate made at start is not removed by who is ended by a signal.
        return {**kept, "TMPDIR": str(self._folder), **ours, **self._settings}

    def log(self, name: str) -> Path:
        """Return the file of what a service has written."""
        return self._folder / f"{name}.log"

    def start(self, name: str) -> None:
        """Start a service and wait until it is healthy. Raises NotHealthy if it is not."""
        words = self.command(name)
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                words,
                cwd=APP if words[0] == sys.executable else self._folder,
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is ours to pass on, in the right order
            )
        self._wait_healthy(name)

    def _wait_healthy(self, name: str) -> None:
        health = self.services[name].health
        assert health, f"{name} has no health check"
        url = self._places.translate(health, name)
        deadline = time.monotonic() + PATIENCE
        while True:
            why = _ask(url)
            if why is None:
                return
            if self.processes[name].poll() is not None or time.monotonic() > deadline:
                last = self.log(name).read_text(errors="replace")[-2000:]
                raise NotHealthy(f"{name} at {url}: {why}; its last words:\n{last}")
            time.sleep(0.05)  # there is nothing to wait on but its answer

    def kill(self, name: str) -> None:
        """End a service at once, as the kernel does when memory is short."""
        self.processes[name].kill()
        self.processes[name].wait()

    def stop(self) -> None:
        """End all, the last started first."""
        for process in reversed(self.processes.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE / 4)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ask(url: str) -> str | None:
    """Return None if a URL answers, else why not."""
    try:
        # Read to the end: who leaves earlier is a client that disconnected.
        urllib.request.urlopen(url, timeout=5, context=_ANY_CERTIFICATE).read()  # noqa: S310
    except (urllib.error.URLError, OSError) as why:
        return str(why)
    return None
