"""The viewer beside a program: started before it, ended after it, related to it in no way.

The program is not the viewer's parent, whose children it may count or wait for, and shares neither
terminal nor process group with it. So there is a process between that waits for the program's end:

    tcpwatch run ─ waits for ─ `start` ─ leaves alone ─ `attend` ─ tcpwatch view
    └ becomes the program  <─────── waits for its end ──┘

If a viewer runs already, that one is used, and the process between only sees to it that it is not
ended before the program.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from typing import IO, Final

import psutil

from tcpwatch.cli.launch import guests
from tcpwatch.cli.live.viewers import is_viewer

_READY: Final = "ready"
_THERE: Final = "there"
_START: Final = 30.0
"""Seconds for the viewer to listen."""

LAST_EXPORT: Final = 2.0
"""Seconds after the program's end in which its children may still send something."""

_STOP: Final = 10.0


class NoViewerError(Exception):
    """The viewer did not come up; the message has the end of what it said."""


def bring(port: int, *, keep: bool) -> bool:
    """See to a viewer that shows this process, also when it has become another program.

    Args:
        port: where it listens, on the loopback.
        keep: whether it stays when this process has ended.

    Returns:
        whether it was started for this; if not, it was there already.

    Raises:
        NoViewerError: it does not listen.
    """
    arguments = [str(os.getpid()), str(port), "keep" if keep else "leave"]
    with subprocess.Popen(  # noqa: S603  # our own module
        [sys.executable, "-m", __name__, "start", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as starting:
        assert starting.stdout is not None
        said = starting.stdout.read().strip()
    if said not in (_READY, _THERE):
        raise NoViewerError(said or "the viewer's process ended at once")
    return said == _READY


def _start(arguments: list[str]) -> None:
    """Start the process that attends, and end, so that nobody is its parent."""
    subprocess.Popen(  # noqa: S603  # our own module
        [sys.executable, "-m", "tcpwatch.cli.launch.company", "attend", *arguments],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def _attend(pid: int, port: int, *, keep: bool) -> None:
    """See to the viewer, say on standard output how that went, and let it end after the program."""
    program = psutil.Process(pid)
    with guests.relying(port):
        # One that is just being ended has been waited for.
        if is_viewer(f"http://127.0.0.1:{port}"):
            _answer(_THERE)
            if not keep:
                program.wait()
                time.sleep(LAST_EXPORT)  # of which nobody here is told
            return
    with tempfile.TemporaryFile() as log:
        viewer = subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, "-m", "tcpwatch", "view", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        _answer(_READY if _listens(viewer, port) else _last_words(log))
        if keep and viewer.poll() is None:
            return
        program.wait()
        with contextlib.suppress(subprocess.TimeoutExpired):
            viewer.wait(LAST_EXPORT)
        try:
            with guests.nobody(port):
                _end(viewer)
        finally:
            _end(viewer)  # nor does it stay if there is no room for the lock


def _listens(viewer: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + _START
    while viewer.poll() is None and time.monotonic() < deadline:
        # Whoever else has the port may take connections, but answers differently.
        if is_viewer(f"http://127.0.0.1:{port}"):
            return True
        time.sleep(0.02)  # a port cannot be waited for
    _end(viewer)
    return False


def _end(viewer: subprocess.Popen[bytes]) -> None:
    for insist in (viewer.terminate, viewer.kill):
        if viewer.poll() is not None:
            return
        insist()
        with contextlib.suppress(subprocess.TimeoutExpired):
            viewer.wait(_STOP)


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read()[-2000:].decode(errors="replace").strip() or "it said nothing"


def _answer(words: str) -> None:
    """Say it, and let go of the pipe, whose end `bring` waits for."""
    print(words, flush=True)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  # a descriptor is what is wanted
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)


def main() -> None:
    """Be one of the two processes."""
    role, pid, port, then = sys.argv[1:]
    if role == "start":
        _start([pid, port, then])
        return
    try:
        _attend(int(pid), int(port), keep=then == "keep")
    except OSError as error:
        # Heard by `bring` if it has had no answer yet.
        _answer(f"{error.filename or guests.path(int(port))}: {error.strerror}")


if __name__ == "__main__":
    main()
