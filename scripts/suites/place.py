"""Where the suites run: an environment and the source distributions, below `.suites`.

Everything comes through pip, nothing of it enters the repository.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from environments import ROOT, CannotError, Environment, Python, make, run

CACHE = ROOT / ".suites"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
SWITCH = "SUITES_RUN"
"""The variable that says what every process of the environment does first: WATCHED or LOADED."""
WATCHED = "watched"
LOADED = "loaded"
"""Imports the one module of the standard library that some tests want to be the first to import."""
HOOK = (
    f'import os; how = os.environ.get("{SWITCH}"); '
    f'how == "{LOADED}" and __import__("logging"); '
    f'how == "{WATCHED}" and (__import__("tcpwatch").install(), __import__("requests"))\n'
)
"""A line of a .pth file is run by every Python that has its site-packages: also with -E and -I.

What an exporter imports when the first server is made, in a test, is imported before it.
"""
HOOK_FILE = "watch_every_process.pth"


@dataclass(frozen=True)
class Place:
    """An environment with everything that the suites need."""

    environment: Environment

    @property
    def logs(self) -> Path:
        """Return the folder of what the runs have printed."""
        return CACHE / "logs" / self.environment.made_from.name

    def folder(self, distribution: str) -> Path:
        """Return the unpacked source distribution of the version that is installed."""
        return CACHE / "sources" / f"{distribution}-{pinned(distribution)}"


def pinned(distribution: str) -> str:
    """Return the version of a distribution that requirements.txt asks for."""
    found = re.search(rf"^{distribution}==(\S+)$", REQUIREMENTS.read_text(), re.MULTILINE)
    if found is None:
        raise CannotError(f"{REQUIREMENTS.name} does not pin {distribution}")
    return found[1]


def prepare(python: Python, distributions: list[str]) -> Place:
    """Make the environment and fetch the sources, or keep them if nothing has changed."""
    place = Place(make(python, CACHE / python.name))
    _install(place.environment)
    for distribution in distributions:
        if not place.folder(distribution).exists():
            _fetch(place, distribution)
    place.logs.mkdir(parents=True, exist_ok=True)
    return place


def _pip(environment: Environment, *arguments: str | Path) -> None:
    run(environment.python, "-m", "pip", "--disable-pip-version-check", *arguments)


def _install(environment: Environment) -> None:
    stamp = environment.folder / ".has-requirements"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        _pip(environment, "install", "-q", "-r", REQUIREMENTS)
        stamp.write_text(digest)
    (packages,) = environment.folder.glob("lib/python*/site-packages")
    (packages / HOOK_FILE).write_text(HOOK)


def _fetch(place: Place, distribution: str) -> None:
    version = f"{distribution}=={pinned(distribution)}"
    print(f"fetching the source distribution of {version} ...", flush=True)
    sources = CACHE / "sources"
    _pip(
        *(place.environment, "download", "-q", "--no-deps", "--no-binary", ":all:"),
        *("-d", sources, version),
    )
    with tarfile.open(sources / f"{place.folder(distribution).name}.tar.gz") as archive:
        if hasattr(tarfile, "data_filter"):  # with 3.10.12 and 3.11.4
            archive.extractall(sources, filter="data")
        else:
            archive.extractall(sources)  # noqa: S202 - the next commands run what is in it
