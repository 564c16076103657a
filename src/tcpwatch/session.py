"""The tie: patches on one side, the way out on the other, the hub in the middle; and the end.

Only here do `patches` and `emit` meet.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Final

from tcpwatch import names, patches, settings
from tcpwatch.emit.providers import destination, disabled
from tcpwatch.emit.telemetry import Opener
from tcpwatch.hub import ConnectionSnapshot, hub
from tcpwatch.patches.wrap import patches as applied

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

EXIT_PATIENCE: Final = 1.5
"""Seconds that we give the last export; with its overhead the exit takes at most 2 s longer."""


class Session:
    """What install() has begun and uninstall(), or the end of the process, must end."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._installed = False
        self._handles_sigterm = False
        self._pid = 0

    def install(self, tracer: TracerProvider | None, meter: MeterProvider | None) -> None:
        with self._lock:
            if self._installed:
                return
            chosen = settings.read()
            if disabled():
                self._say(chosen.banner, "OTEL_SDK_DISABLED is set; nothing is patched")
                return
            hub.start(chosen, Opener(tracer, meter))
            patches.install()
            self._installed = True
            self._pid = os.getpid()
            self._mind_sigterm()
            atexit.register(self._at_exit)
            hub.opened = self._register_last
            self._say(chosen.banner, self._summary(tracer or meter))

    def _summary(self, given: object) -> str:
        places = ", ".join(sorted({name.rpartition(".")[0] for name in applied.names()}))
        where = "the given OpenTelemetry providers" if given else destination()
        note = "" if self._handles_sigterm else "; SIGTERM is not covered"
        return f"watching {places}; telemetry goes to {where}{note}"

    def _say(self, wanted: bool, words: str) -> None:
        if wanted:
            print(f"tcpwatch: {words}", file=sys.stderr, flush=True)

    def _register_last(self) -> None:
        """Run before the atexit of providers that were made since: it is last in, first out."""
        atexit.unregister(self._at_exit)
        atexit.register(self._at_exit)

    def uninstall(self) -> None:
        with self._lock:
            if not self._installed:
                return
            self._installed = False
            atexit.unregister(self._at_exit)
            self._leave_sigterm()
            patches.uninstall()
            self._end(names.UNINSTALLED, 5.0)
            hub.forget()

    def _end(self, outcome: str, patience: float) -> None:
        deadline = monotonic() + patience
        output = hub.output
        hub.stop(outcome)
        if output is not None:
            output.close(max(deadline - monotonic(), 0.01))

    def connections(self) -> list[ConnectionSnapshot]:
        if hub.remote and hub.relay is not None:
            answer = hub.relay.ask(("connections",), 1.0) or []
            found = [ConnectionSnapshot(*values) for values in answer]
        else:
            if hub.worker is not None:
                hub.worker.settle(1.0)
            found = list(hub.snapshots())
        return sorted(found, key=lambda seen: seen.age, reverse=True)

    def flush(self, timeout: float) -> bool:
        deadline = monotonic() + timeout
        output, worker = hub.output, hub.worker
        if worker is not None and not worker.settle(timeout):
            return False
        return output is None or output.flush(max(deadline - monotonic(), 0.01))

    def _at_exit(self) -> None:
        if os.getpid() == self._pid and self._installed:
            self._installed = False
            self._end(names.SERVER_SHUTDOWN, EXIT_PATIENCE)

    def _mind_sigterm(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._terminated)
            self._handles_sigterm = True

    def _leave_sigterm(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) == self._terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._handles_sigterm = False

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        """Export, then die of the signal after all, so that the exit status stays what it was."""
        self._at_exit()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


session = Session()
