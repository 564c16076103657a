"""The OTLP receiver beside a watched run, a process of its own, and how to have one.

Run as a file it says its endpoint, and when its input ends what it has received.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

QUIET = 1.0
"""Seconds without anything new after which nothing more is expected."""


@dataclass
class Received:
    """What came in during one run."""

    connections: int = 0
    processes: int = 0
    errors: dict[str, float] = field(default_factory=dict)
    dropped: dict[str, float] = field(default_factory=dict)


class Receiver:
    """A receiver in the environment of `python`, for the length of a with block."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [python, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.endpoint = self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the receiver has ended")
        return line.strip()

    def close(self) -> Received:
        """Wait until nothing more comes, end it and return what it has received."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return Received(**json.loads(self._read()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process as process:
            process.kill()


def main() -> None:
    """Receive until the input ends."""
    from tcpwatch import names
    from tcpwatch.view.receiver import Receiver as Door
    from tcpwatch.view.recording import Recording

    recording = Recording()
    with Door(recording) as door:
        print(door.endpoint, flush=True)
        sys.stdin.read()
        seen = -1
        while seen != (seen := len(recording.spans)):
            time.sleep(QUIET)
    summary = Received()
    processes = set()
    for span in recording.spans:
        summary.connections += span.name in (names.SPAN_TCP, names.SPAN_UNIX)
        processes.add(span.resource.get("service.instance.id"))
    summary.processes = len(processes)
    for metric, counts in (
        (names.M_SELF_ERRORS, summary.errors),
        (names.M_SELF_DROPPED, summary.dropped),
    ):
        for point in recording.points():
            if point.name == metric and point.value:
                cause = ", ".join(str(value) for value in point.attributes.values())
                counts[cause] = counts.get(cause, 0) + point.value
    print(json.dumps(vars(summary)), flush=True)


if __name__ == "__main__":
    main()
