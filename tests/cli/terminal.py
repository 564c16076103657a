"""A pseudo-terminal with a screen, to see what a person would see."""

from __future__ import annotations

import re
import time

import pexpect
import pyte

from tests.cli.programs import environment
from tests.live.wire import LIMIT


class Terminal:
    """A command in a terminal of 80 columns and 24 lines; `screen` is what a person sees."""

    def __init__(self, *command: str) -> None:
        self.raw = ""
        self._screen = pyte.Screen(80, 24)
        self._stream = pyte.Stream(self._screen)
        self.child: pexpect.spawn[str] = pexpect.spawn(
            command[0],
            list(command[1:]),
            env=environment({"TERM": "xterm-256color"}),
            encoding="utf-8",
            timeout=LIMIT,
            dimensions=(24, 80),
        )

    @property
    def screen(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def wait(self, pattern: str) -> re.Match[str]:
        """Wait until the screen shows this."""
        deadline = time.monotonic() + LIMIT
        while not (found := re.search(pattern, self.screen)):
            assert time.monotonic() < deadline, f"never shown: {pattern} in\n{self.screen}"
            try:
                text = self.child.read_nonblocking(65536, 1)
            except pexpect.TIMEOUT:
                continue
            self.raw += text
            self._stream.feed(text)
        return found

    def endpoint(self) -> str:
        return self.wait(r"http://127\.0\.0\.1:\d+")[0]

    def end(self) -> tuple[int | None, int | None]:
        """Wait for its end; return exit code and signal."""
        self.child.expect(pexpect.EOF)
        self.raw += self.child.before or ""
        self.child.close()
        return self.child.exitstatus, self.child.signalstatus
