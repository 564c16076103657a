"""`tcpwatch run` in a terminal: it is the program's, with its keys and its jobs."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pexpect
import pytest

from tests.cli.programs import RUN, environment
from tests.live.wire import LIMIT

STANDS = "import os, sys; print(*map(os.isatty, (0, 1, 2)), os.getpgrp() == os.tcgetpgrp(0))"


@pytest.fixture
def terminal(folder: Path) -> pexpect.spawn[str]:
    """Return an interactive shell in a terminal."""
    shell = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile", "-i"],
        cwd=str(folder),
        env=environment({"PS1": "ready> ", "TERM": "dumb"}),
        timeout=LIMIT,
        encoding="utf-8",
        dimensions=(24, 80),
        echo=False,
    )
    shell.expect_exact("ready> ")
    return shell


def ours(program: str) -> str:
    """Return the shell's line that runs a Python program watched."""
    return f"{' '.join(RUN)} python -c '{program}'"


def test_the_program_owns_the_terminal(terminal: pexpect.spawn[str]) -> None:
    """Its three streams are the terminal, and it is in the foreground."""
    terminal.sendline(ours(STANDS))
    terminal.expect_exact("True True True True")


def test_a_key_interrupts_the_program(terminal: pexpect.spawn[str]) -> None:
    """Ctrl-C raises KeyboardInterrupt in it, and the shell gets its exit code."""
    terminal.sendline(ours('import signal; print("up"); signal.pause()'))
    terminal.expect_exact("up")
    terminal.sendintr()
    terminal.expect_exact("KeyboardInterrupt")
    terminal.sendline("echo code $?")
    terminal.expect_exact(f"code {128 + signal.SIGINT}")


def test_the_program_is_a_job_of_the_shell(terminal: pexpect.spawn[str]) -> None:
    """Ctrl-Z stops it, fg continues it, and it reads from the terminal again."""
    terminal.sendline(ours('print("up"); print("got", input())'))
    terminal.expect_exact("up")
    terminal.sendcontrol("z")
    terminal.expect_exact("Stopped")
    terminal.sendline("fg")
    terminal.expect_exact(sys.executable)
    terminal.sendline("hello")
    terminal.expect_exact("got hello")
