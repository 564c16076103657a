"""Both ends of the helper: a process of its own that has the worker and the providers.

A forking server loses what its children's SDK holds (they end in os._exit), and any thread in the
accepting process makes Python 3.12 and later warn at each fork. So that process has neither: it and
its children send their marks here.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
from time import monotonic
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from tcpwatch import names
from tcpwatch.emit.log import export
from tcpwatch.emit.peers import Peers
from tcpwatch.emit.plain import plain_span, real_span
from tcpwatch.emit.providers import exported, on_console, relaying, resolve
from tcpwatch.emit.requests import requests_of
from tcpwatch.emit.telemetry import Telemetry
from tcpwatch.emit.tracing import Tracing
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.hub.output import Requests, Sink
from tcpwatch.hub.registry import Hub, hub
from tcpwatch.hub.relay import Relay, answer, receive
from tcpwatch.hub.snapshot import snapshots
from tcpwatch.settings import Settings


class RemoteTelemetry:
    """An `Output` whose worker is the helper; here are only ids, decisions and contexts."""

    def __init__(self, hub: Hub) -> None:
        provider: trace.TracerProvider = trace.NoOpTracerProvider()
        if exported("traces"):
            provider = _provider(hub)
        tracing, peers = Tracing(provider), Peers.of(provider)
        self.allocate = tracing.allocate
        self.requests: Requests = requests_of(tracing, peers, hub.settings)
        self.sinks: list[Sink] = []
        self._post = hub.post
        self._relay = hub.post.relay = Relay()
        self._process = _spawn(self._relay, hub.settings)
        hub.post.remote = True

    def flush(self, timeout: float) -> bool:
        """Have the helper export what it has been sent so far."""
        return bool(self._ask("flush", timeout))

    def release(self, timeout: float) -> None:
        """Let the helper export and end: nothing else lives there."""
        self.close(timeout)

    def close(self, timeout: float) -> None:
        """Let the helper export and end; it does so anyway when all senders are gone."""
        deadline = monotonic() + timeout
        self._ask("close", timeout)
        self._relay.sock.close()  # the helper ends when its last sender has
        try:
            self._process.wait(max(deadline - monotonic(), 0.01))
        except subprocess.TimeoutExpired:
            # It has its own deadline and nobody waits for it: not a zombie's parent for long.
            self._process.returncode = 0

    def _ask(self, what: str, timeout: float) -> Any:
        # A child has the parent's end: it would take the answers to the questions of others.
        return True if self._post.in_child else self._relay.ask((what, timeout), timeout)

    def child_flush(self) -> bool:
        """Nothing is left to export in a child of this kind: its spans have gone by the relay."""
        return True


def _provider(hub: Hub) -> trace.TracerProvider:
    """Return a provider with the environment's sampler and ids, but no thread.

    One that an earlier install has made the global one stays that, so it is taken again.
    """
    there = trace.get_tracer_provider()
    if there in relaying:
        return there
    made = ForkedProvider(shutdown_on_exit=False)
    made.add_span_processor(RelayedSpans(hub))
    relaying.add(made)
    if hub.settings.set_global:
        trace.set_tracer_provider(made)
    return made


def _spawn(relay: Relay, settings: Settings) -> subprocess.Popen[bytes]:
    far_end = relay.far_end.fileno()
    process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
        [  # our own interpreter and module
            sys.executable,
            "-m",
            __name__,
            str(far_end),
            str(os.getpid()),
            json.dumps(dataclasses.asdict(settings)),
        ],
        pass_fds=(far_end,),
        stdin=subprocess.DEVNULL,
        # Whoever reads the server's output waits for its end, and the helper outlives the server.
        stdout=None if on_console() else subprocess.DEVNULL,
        # Ctrl-C is for the server: the helper ends when its last sender has.
        start_new_session=True,
    )
    relay.far_end.close()
    return process


class ForkedProvider(TracerProvider):
    """A provider whose spans all get the helper's resource, so a fork needs no new one.

    The SDK detects the child's resource at each fork, on a pool of threads: about 1 ms.
    """

    def _handle_fork(self) -> None:
        self._tracers_lock = threading.Lock()


class RelayedSpans(SpanProcessor):
    """Sends spans to the helper as they end: request spans, and the application's own."""

    ignores_late_spans = True

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def on_end(self, span: ReadableSpan) -> None:
        """Send a sampled span on."""
        context = span.context
        relay = self._hub.post.relay
        if context is not None and context.trace_flags.sampled and relay is not None:
            relay.send(("span", plain_span(span)), 0.05)


class RemoteLoop(Loop):
    """A loop of another process, as it was last reported."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener, None, hub.kernel)
        self.running = True
        self._drops: int | None = None

    def update(self, state: dict[str, Any]) -> None:
        """Take over a report (`Hub.report`)."""
        now = state["state"]
        self.state = names.LOOP_SERVICE if now == names.BLAME_FORK_LIMIT else now
        self.label = now if now == names.BLAME_FORK_LIMIT else None
        self.since_ns, self.away_since = state["since_ns"], state["away_since"]
        self.connection, self.accepted = state["connection"], state["accepted"]
        self.count(state["totals"])
        self.accept_errors.update(
            {key: count - self.accept_errors[key] for key, count in state["errors"].items()}
        )
        self.depth, self.limit, self._drops = state["depth"], state["limit"], state["drops"]

    @property
    def drops(self) -> int | None:
        """Return the listener's drops as reported."""
        return self._drops

    def queue(self) -> tuple[int, int] | None:
        """Return the queue as reported; while the loop is stuck, as /proc/net/tcp shows it."""
        if self.depth is None or self.limit is None:
            return None
        depth: int | None = self.depth
        if self.away_since and self.listener.port is not None and self.busy_ns > 100_000_000:
            depth = self.kernel.depth_of_port(self.listener.port)
        return (self.depth if depth is None else depth, self.limit)


class Helper:
    """The helper's main loop: messages in, telemetry out, until all senders are gone."""

    def __init__(self, sock: socket.socket, pid: int, settings: Settings) -> None:
        self._sock = sock
        hub.settings, hub.pid, hub.is_helper = settings, pid, True
        self._output = Telemetry(hub, resolve(None, None, set_global=False), pid)
        hub.output = self._output
        self._log = export()
        self._worker = hub.start_worker()

    def run(self) -> None:
        """Take messages until the last sender is gone; then export what is there and end."""
        while (message := receive(self._sock)) is not None:
            tag = message[0]
            if tag == "loop":
                self._loop(Listener(*message[1]), message[2])
            elif tag == "asked":
                if not answer(self._sock, message[1], self._asked(*message[2])):
                    hub.post.dropped["answer"] += 1
            elif tag == "span":
                self._output.tracing.pass_on(real_span(message[1]))
            else:
                hub.post.send(message)
        self._finish(2.0)
        if self._log is not None:
            self._log.close(1.0)

    def _asked(self, what: str, timeout: float) -> Any:
        if what == "flush":
            return self._worker.settle(timeout) and self._output.flush(timeout)
        if what == "close":
            return self._finish(timeout)
        self._worker.settle(timeout)
        return [dataclasses.astuple(seen) for seen in snapshots(hub)]

    def _finish(self, timeout: float) -> None:
        self._worker.settle(1.0)
        self._output.flush(timeout)

    def _loop(self, listener: Listener, state: dict[str, Any]) -> None:
        loop = hub.loops.by_server.get(listener.key)
        if loop is None:
            loop = hub.loops.by_server[listener.key] = RemoteLoop(listener)
        assert isinstance(loop, RemoteLoop)
        loop.update(state)
        hub.self_ns = state["self_ns"]
        hub.reported_errors, hub.reported_losses = state["self_errors"], state["self_dropped"]


def main(arguments: list[str]) -> None:
    """Run the helper: file descriptor of the relay, pid of the accepting process, settings."""
    descriptor, pid, settings = arguments
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in json.loads(settings).items()
    }
    Helper(socket.socket(fileno=int(descriptor)), int(pid), Settings(**values)).run()


if __name__ == "__main__":
    main(sys.argv[1:])
