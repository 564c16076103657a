"""The tie: patches on one side, the way out on the other, the hub in the middle; and the end.

Only here do `patches` and `emit` meet.
"""

from __future__ import annotations

import atexit
import functools
import os
import signal
import sys
import threading
from functools import partial
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Final

from tcpwatch import names, patches, settings
from tcpwatch.emit.errands import errands
from tcpwatch.hub import ConnectionSnapshot, hub
from tcpwatch.hub.output import Output
from tcpwatch.hub.snapshot import snapshots
from tcpwatch.patches.wrap import patches as applied

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from tcpwatch.emit.log import Export

EXIT_PATIENCE: Final = 1.0
"""Seconds that we give the last export; with its overhead the exit takes at most 2 s longer."""

UNINSTALL_PATIENCE: Final = 5.0
"""Seconds for the last export of uninstall()."""


_mask = threading.local()


def _hold() -> None:
    if session.handles_sigterm:
        _mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _let_go() -> None:
    before = vars(_mask).pop("before", None)
    if before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_child() -> None:
    # A child has nothing of ours to export, and a handler in Python waits for the interpreter: one
    # that SIGTERM finds on its way into sem_wait() would sleep on, and its parent wait for it.
    session.leave_sigterm()
    _let_go()


@functools.cache
def hold_sigterm_over_forks() -> None:
    """Block SIGTERM while a process forks, once and for all.

    CPython forgets in the child what came for a Python handler during the fork; the default action
    that ours stands for would have ended the child.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_in_child)


class Session:
    """What install() has begun and uninstall(), or the end of the process, must end."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._installed = False
        self._pid = 0
        self.handles_sigterm = False
        self._left: Output | None = None
        self._log: Export | None = None

    def install(self, tracer: TracerProvider | None, meter: MeterProvider | None) -> None:
        """See `tcpwatch.install`."""
        with self._lock:
            if self._installed:
                return
            chosen = settings.read()
            if settings.disabled():
                self._say(chosen.banner, "OTEL_SDK_DISABLED is set; nothing is patched")
                return
            # The SDK is 6 MB, which a process would carry, and copy at each fork, for nothing.
            from tcpwatch.emit.log import export
            from tcpwatch.emit.providers import destination
            from tcpwatch.emit.telemetry import Opener

            self._log = export()
            hub.start(chosen, Opener(tracer, meter))
            for forking in patches.running():  # its loop would do it with the next client waiting
                hub.opening.prepare(hub, forking)
            patches.install()
            self._installed = True
            self._pid = os.getpid()
            self._mind_sigterm()
            atexit.register(self._at_exit)
            hub.opening.opened = self._register_last
            given = "the given OpenTelemetry providers" if tracer or meter else ""
            self._say(chosen.banner, self._summary(given or destination()))

    def _summary(self, where: str) -> str:
        places = ", ".join(applied.modules())
        note = "" if self.handles_sigterm else "; SIGTERM is not covered"
        return f"watching {places}; telemetry goes to {where}{note}"

    def _say(self, wanted: bool, words: str) -> None:
        if wanted:
            sys.stderr.write(f"tcpwatch: {words}\n")
            sys.stderr.flush()

    def _register_last(self) -> None:
        """Run before the atexit of providers that were made since: it is last in, first out.

        A process that was forked to serve by itself has something to export only from now on.
        """
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._mind_sigterm()
        atexit.unregister(self._at_exit)
        atexit.register(self._at_exit)

    def uninstall(self) -> None:
        """See `tcpwatch.uninstall`."""
        with self._lock:
            if not self._installed:
                return
            self._installed = False
            self.leave_sigterm()
            patches.uninstall()
            deadline = monotonic() + UNINSTALL_PATIENCE
            try:
                hub.stop(names.UNINSTALLED)
                output = hub.output
                if output is not None:
                    self._left = output
                    output.release(max(deadline - monotonic(), 0.01))
                self._close_log(deadline)
            finally:
                hub.forget()

    def connections(self) -> list[ConnectionSnapshot]:
        """See `tcpwatch.connections`."""
        relay, worker = hub.post.relay, hub.post.worker
        if hub.post.remote and relay is not None and not hub.post.in_child:
            answer = relay.ask(("connections", 1.0), 1.0) or []
            found = [ConnectionSnapshot(*values) for values in answer]
        else:
            if worker is not None:
                worker.settle(1.0)
            found = list(snapshots(hub))
        return sorted(found, key=lambda seen: seen.age, reverse=True)

    def flush(self, timeout: float) -> bool:
        """See `tcpwatch.flush`."""
        deadline = monotonic() + timeout
        output, worker = hub.output, hub.post.worker
        if worker is not None and not worker.settle(timeout):
            return False
        return output is None or output.flush(max(deadline - monotonic(), 0.01))

    def _at_exit(self, *, interrupted: bool = False) -> None:
        """Export what has finished, and what is open as `server_shutdown`, and close."""
        if os.getpid() != hub.pid:
            return
        deadline = monotonic() + EXIT_PATIENCE
        output, self._left = hub.output or self._left, None
        if self._installed:
            self._installed = False
            if interrupted:  # what this thread was doing may hold a lock that its span's end wants
                errands.run([partial(hub.stop, names.SERVER_SHUTDOWN)], EXIT_PATIENCE)
            else:
                hub.stop(names.SERVER_SHUTDOWN)
        if output is not None:
            output.close(max(deadline - monotonic(), 0.01))
        self._close_log(deadline)

    def _close_log(self, deadline: float) -> None:
        log, self._log = self._log, None
        if log is not None:
            log.close(max(deadline - monotonic(), 0.01))

    def _mind_sigterm(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._terminated)
            self.handles_sigterm = True
            hold_sigterm_over_forks()

    def leave_sigterm(self) -> None:
        """Give SIGTERM back, if it is still ours."""
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) == self._terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.handles_sigterm = False

    def _terminated(self, number: int, _frame: FrameType | None) -> None:
        """Export, then die of the signal after all, so that the exit status stays what it was."""
        try:
            self._at_exit(interrupted=True)
        finally:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def forked(self) -> None:
        """In a child: whoever was installing or uninstalling in the parent is not here."""
        self._lock = threading.RLock()


session = Session()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=session.forked)
