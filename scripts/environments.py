"""Environments: find every CPython >= 3.10 on this machine and give it a local environment.

Run as a file it makes `.venv` alone, from the first Python that can. Needs nothing but a Python.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 10)
MAKE = ("pyproject.toml", "hatch_build.py")
COMPILED = "src/tcpwatch/*/*/*.[ch]"
EXECUTABLE = re.compile(r"python3?(\.\d+)?$")
PROBE = """\
import json, platform, sys
print(json.dumps([platform.python_implementation(), sys.version_info[:2],
                  getattr(sys, "_base_executable", "") or sys.executable]))
"""


class CannotError(Exception):
    """A Python was found and cannot be used; the text says why."""


@dataclass(frozen=True)
class Python:
    """A CPython that starts."""

    version: tuple[int, int]
    executable: Path

    @property
    def name(self) -> str:
        """Return the minor version as people write it: `3.11`."""
        return ".".join(map(str, self.version))


@dataclass(frozen=True)
class Environment:
    """A Python and the folder of its environment."""

    made_from: Python
    folder: Path

    @property
    def python(self) -> Path:
        """Return the environment's own executable."""
        return self.folder / "bin" / "python"


def candidates() -> list[Path]:
    """Return what may be a Python: the running one, then PATH in order, then pyenv's folder."""
    found = [Path(sys.executable)]
    for folder in os.get_exec_path():
        if os.path.isdir(folder):  # noqa: PTH112 - PATH may hold the empty string
            found += sorted(p for p in Path(folder).iterdir() if EXECUTABLE.match(p.name))
    for root in (os.environ.get("PYENV_ROOT"), "~/.pyenv"):
        if root:
            found += sorted(Path(root).expanduser().glob("versions/*/bin/python"))
    return found


def probe(candidate: Path) -> Python | None:
    """Return the CPython behind a candidate, or None: a shim without a version is no Python."""
    try:
        done = subprocess.run(
            [candidate, "-c", PROBE], capture_output=True, text=True, timeout=20, check=True
        )
        implementation, version, executable = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    major, minor = version
    if implementation != "CPython" or (major, minor) < OLDEST:
        return None
    return Python((major, minor), Path(executable))


def pythons() -> dict[str, list[Python]]:
    """Return the usable Pythons by minor version, each in the order in which they were found."""
    found: dict[str, list[Python]] = {}
    for candidate in candidates():
        python = probe(candidate)
        if python and python not in found.setdefault(python.name, []):
            found[python.name].append(python)
    return found


def run(*command: str | Path) -> None:
    """Run a command silently; if it fails, its last words are the reason."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise CannotError(" ".join(words) or f"exit status {done.returncode}")


def make(python: Python, folder: Path) -> Environment:
    """Make the environment, or keep it if the same Python made it from the same sources.

    These are what says how it is made, and what is compiled.
    """
    environment = Environment(python, folder)
    recipe = hashlib.sha256(str(python.executable).encode())
    for source in (*map(ROOT.joinpath, MAKE), *sorted(ROOT.glob(COMPILED))):
        recipe.update(source.read_bytes())
    stamp, digest = folder / ".made-from", recipe.hexdigest()
    if stamp.exists() and stamp.read_text() == digest and environment.python.exists():
        return environment
    print(f"making {folder.relative_to(ROOT)} with Python {python.name} ...", flush=True)
    run(python.executable, "-m", "venv", "--clear", folder)
    try:
        pip = (environment.python, "-m", "pip", "--disable-pip-version-check", "install", "-q")
        run(*pip, "-e", f"{ROOT}[dev]")
    except CannotError as why:
        sys.exit(f"tcpwatch cannot be installed with Python {python.name}: {why}")
    stamp.write_text(digest)
    return environment


def make_first_usable(versions: list[Python], folder: Path) -> Environment | None:
    """Make the environment with the first of these Pythons that can; say why another cannot."""
    for python in versions:
        try:
            return make(python, folder)
        except CannotError as why:
            print(f"skipped: {python.executable} (Python {python.name}): {why}", flush=True)
    return None


def main_environment() -> Environment:
    """Make `.venv`, with the running Python if it can."""
    everything = [python for versions in pythons().values() for python in versions]
    return make_first_usable(everything, ROOT / ".venv") or sys.exit("no usable Python was found")


def all_environments() -> list[Environment]:
    """Make `.venv`, and one environment below `.venvs` for each further minor version."""
    main = main_environment()
    others = {name: versions for name, versions in pythons().items() if name != main.made_from.name}
    by_age = sorted(others.items(), key=lambda item: item[1][0].version)
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda item: make_first_usable(item[1], ROOT / ".venvs" / item[0]), by_age)
        return [main, *(environment for environment in made if environment)]


if __name__ == "__main__":
    main_environment()
