"""Where code comes from: file and line, and the package with its version, licence and source."""

from __future__ import annotations

import functools
import inspect
import platform
import sys
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import CodeType
from typing import Final

_SOURCE_LABELS: Final = ("source", "source code", "repository", "code", "github", "homepage")
_CPYTHON: Final = "https://github.com/python/cpython"


@dataclass(frozen=True)
class Package:
    """A package as its own metadata describe it; "" for what they do not say."""

    name: str
    version: str = ""
    licence: str = ""
    source: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


OWN: Final = Package("your code")


@dataclass(frozen=True)
class Place:
    """A function's first line in its file; `file` is relative to the package's folder."""

    file: str
    line: int
    package: Package

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def link(self) -> str:
        """A page with this very line, "" if the package's metadata do not lead to one."""
        if self.package.source == _CPYTHON:
            return f"{_CPYTHON}/blob/v{self.package.version}/Lib/{self.file}#L{self.line}"
        return ""


def place(code: CodeType) -> Place:
    """Return where a function is defined."""
    path = Path(code.co_filename)
    for folder, package in _folders():
        if path.is_relative_to(folder):
            relative = path.relative_to(folder)
            of = package or _installed(relative.parts[0].removesuffix(".py"))
            return Place(relative.as_posix(), _line(code), of)
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return Place(shown.as_posix(), _line(code), OWN)


def _line(code: CodeType) -> int:
    """Return the line of `def`; the code itself begins with its decorators."""
    try:
        lines, first = inspect.getsourcelines(code)
    except OSError:
        return code.co_firstlineno
    defs = (
        number for number, line in enumerate(lines) if line.lstrip().startswith(("def ", "class "))
    )
    return first + next(defs, 0)


@functools.cache
def _folders() -> tuple[tuple[Path, Package | None], ...]:
    """Return the folders of packages; site-packages first, as it may be inside of the other."""
    paths = sysconfig.get_paths()
    sites = [Path(paths[key]) for key in ("purelib", "platlib")]
    sites += [
        Path(entry) for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))
    ]
    found: list[tuple[Path, Package | None]] = [(site, None) for site in dict.fromkeys(sites)]
    python = Package("CPython", platform.python_version(), "PSF-2.0", _CPYTHON)
    if platform.python_implementation() != "CPython":
        python = Package(platform.python_implementation(), platform.python_version())
    return (*found, (Path(paths["stdlib"]), python))


def _distribution_of(top: str) -> str | None:
    names = metadata.packages_distributions().get(top)
    if names:
        return names[0]
    # Python 3.10 only reads top_level.txt there, which many packages no longer have.
    for distribution in metadata.distributions():
        if any(file.parts[:1] == (top,) for file in distribution.files or ()):
            return str(distribution.metadata["Name"])
    return None


@functools.cache
def _installed(top: str) -> Package:
    """Return the installed package that a top-level module belongs to."""
    name = _distribution_of(top)
    if name is None:
        return Package(top)
    told = metadata.metadata(name)
    return Package(told["Name"], told["Version"], _licence(told), _source(told))


def _licence(told: metadata.PackageMetadata) -> str:
    for field in ("License-Expression", "License"):
        if field in told and told[field].strip():
            return str(told[field]).strip().splitlines()[0]
    classified = [c for c in told.get_all("Classifier") or [] if c.startswith("License ::")]
    return classified[0].rpartition(" :: ")[2] if classified else ""


def _source(told: metadata.PackageMetadata) -> str:
    urls: dict[str, str] = {}
    for entry in told.get_all("Project-URL") or []:
        label, _, url = entry.partition(",")
        urls[label.strip().lower()] = url.strip()
    for label in _SOURCE_LABELS:
        if label in urls:
            return urls[label]
    return str(told["Home-page"]) if "Home-page" in told else ""
