"""The program that is to be run: where it is, which interpreter runs it, and what that one says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NOT_WATCHED: Final = 125
NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127
"""Exit codes of env, timeout and nohup: they failed themselves, cannot run it, cannot find it."""

_PYTHON: Final = re.compile(r"(python|pypy)[\d.]*t?(\.exe)?")
_DECISIVE: Final = "IESPs"
_QUESTION: Final = """\
import sys
while "" in sys.path: sys.path.remove("")
try:
    import importlib.util
    found = importlib.util.find_spec("tcpwatch") is not None
except Exception:
    found = False
flags = sys.flags
print("tcpwatch?", found, flags.ignore_environment, flags.no_site, sys.version.split()[0])
"""
_PATIENCE: Final = 15.0


class CannotRunError(Exception):
    """The program cannot be run watched; `code` is what the command exits with."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Program:
    """A program that can be executed.

    `path` is its file, `interpreter` the command that its first line names, or (`path`) if it is
    an interpreter itself or a binary, with the options that matter to us.
    """

    path: str
    arguments: tuple[str, ...]
    interpreter: tuple[str, ...]

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return os.path.basename(self.path)  # noqa: PTH119

    @property
    def is_python(self) -> bool:
        """Whether a Python runs it, by the name of its interpreter."""
        return _PYTHON.fullmatch(os.path.basename(self.interpreter[0])) is not None  # noqa: PTH119


def find(command: Sequence[str]) -> Program:
    """Find a program as a shell would.

    Raises:
        CannotRunError: there is none, or it is not executable.
    """
    name, *arguments = command
    path = shutil.which(name)
    if path is None:
        raise _not_found(name)
    interpreter = _interpreter(path) or (path, *arguments)
    head, *options = interpreter
    return Program(path, tuple(command), (head, *decisive_options(options)))


def ask(program: Program) -> None:
    """Ask the program's Python whether tcpwatch can be loaded there.

    Raises:
        CannotRunError: it cannot; the message says why and what would help.
    """
    try:
        answer = subprocess.run(  # noqa: S603  # the interpreter that is about to be run anyway
            [*program.interpreter, "-c", _QUESTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            text=True,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return  # what is wrong with it shows when it is run
    said = re.search(r"^tcpwatch\? (\w+) (\d) (\d) (\S+)$", answer, re.MULTILINE)
    if said is None:
        return
    found, ignores, no_site, version = said.groups()
    python = f"{program.interpreter[0]} (Python {version})"
    if ignores == "1" or no_site == "1":
        option = "-E or -I" if ignores == "1" else "-S"
        raise CannotRunError(
            NOT_WATCHED,
            f"{' '.join(program.interpreter)} cannot be watched from outside: with {option} Python"
            " does not do what its environment asks for at its start. Leave the option out, or"
            " call tcpwatch.install() in the program.",
        )
    if found != "True":
        raise CannotRunError(
            NOT_WATCHED,
            f"{python} has no tcpwatch; the one that runs here is in {sys.prefix}. Install it"
            f" there ({program.interpreter[0]} -m pip install tcpwatch), or run a program of"
            f" {sys.executable}.",
        )


def decisive_options(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return those options of a Python command line that decide what it loads at its start."""
    letters = ""
    rest = iter(arguments)
    for argument in rest:
        if argument == "--check-hash-based-pycs":
            next(rest, None)
            continue
        if not re.match(r"-[^-]", argument):
            break
        cluster = re.match(r"-([^cmWX]*)([cmWX]?)(.*)", argument, re.DOTALL)
        assert cluster is not None
        letters += cluster[1]
        if cluster[2] in ("c", "m") and cluster[2]:
            break
        if cluster[2] and not cluster[3]:
            next(rest, None)
    return tuple(f"-{letter}" for letter in _DECISIVE if letter in letters)


def _interpreter(path: str) -> tuple[str, ...]:
    """Return the command of a script's first line, () if it has none."""
    try:
        with Path(path).open("rb") as script:
            line = script.readline(512)
    except OSError:
        return ()
    if not line.startswith(b"#!"):
        return ()
    words = line[2:].decode(errors="surrogateescape").split()
    if words and os.path.basename(words[0]) == "env":  # noqa: PTH119
        words = [word for word in words[1:] if word != "-S" and "=" not in word]
        words[:1] = [shutil.which(words[0]) or words[0]] if words else []
    return tuple(words)


def _not_found(name: str) -> CannotRunError:
    if os.sep in name or name.endswith(".py"):
        if not Path(name).exists():
            return CannotRunError(NOT_FOUND, f"there is no {name}")
        if name.endswith(".py"):
            return CannotRunError(
                NOT_EXECUTABLE, f"{name} is not executable: tcpwatch run -- python {name}"
            )
        return CannotRunError(NOT_EXECUTABLE, f"{name} is not an executable file")
    beside = Path(sys.executable).with_name(name)
    cure = f"; there is {beside}" if beside.exists() else ""
    return CannotRunError(NOT_FOUND, f"there is no command {name} on PATH{cure}")
