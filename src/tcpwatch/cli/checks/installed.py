"""What is installed: Python, the packages that tcpwatch needs, and those that it can do without."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from tcpwatch.cli.checks.finding import Finding, absent, ok, wrong
from tcpwatch.patches import ordinary

_FOR = {
    "flask": "no Flask or werkzeug here; other socketserver servers are watched all the same",
    "grpc": "no OTLP over gRPC; OTLP over HTTP needs nothing more",
    "view": "the viewer and the reports need it",
}
"""What is missing without an extra."""


def check() -> Iterator[Finding]:
    """Look at this Python and its packages."""
    implementation = platform.python_implementation()
    python = f"{implementation} {platform.python_version()} in {sys.prefix}"
    if implementation != "CPython":
        yield absent("python", f"{python}: tcpwatch is tested on CPython only")
    elif not getattr(sys, "_is_gil_enabled", lambda: True)():
        yield absent("python", f"{python}, free-threaded: tcpwatch is not tested there")
    else:
        yield ok("python", python)
    yield ok("tcpwatch", metadata.version("tcpwatch"))
    yield _hooks()
    needed, extras = _requirements()
    for requirement in needed:
        missing = _missing(requirement)
        if missing:
            cure = f"{sys.executable} -m pip install --upgrade '{requirement.name}'"
            yield wrong(requirement.name, missing, cure)
        else:
            yield ok(requirement.name, metadata.version(requirement.name))
            yield from _conflicts(requirement.name)
    for extra, words in _FOR.items():
        lacking = [found for one in extras.get(extra, []) if (found := _missing(one))]
        if lacking:
            cure = f"{sys.executable} -m pip install 'tcpwatch[{extra}]'"
            yield absent(f"[{extra}]", f"{'; '.join(lacking)}: {words}", cure)
        else:
            versions = (f"{r.name} {metadata.version(r.name)}" for r in extras.get(extra, []))
            yield ok(f"[{extra}]", ", ".join(versions))


def _hooks() -> Finding:
    if ordinary.built():
        return ok("hooks", "in C")
    if sys.platform != "linux" or sys.version_info >= (3, 14):
        why = "in C they are for CPython 3.10 to 3.13 on Linux"
        return absent("hooks", f"in Python, which costs more: {why}")
    return absent(
        "hooks",
        "in Python, which costs more: there was no compiler when tcpwatch was installed",
        "install gcc and the headers of this Python, then tcpwatch anew",
    )


def _requirements() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """Return what tcpwatch's own metadata ask for, always and by extra."""
    always: list[Requirement] = []
    extras: dict[str, list[Requirement]] = {}
    for line in metadata.requires("tcpwatch") or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}):
            always.append(requirement)
        for extra in _FOR:
            if marker is not None and marker.evaluate({"extra": extra}):
                extras.setdefault(extra, []).append(requirement)
    return always, extras


def _conflicts(name: str) -> Iterator[Finding]:
    """Return what of a package's own requirements is not met: OpenTelemetry pins its parts."""
    for line in metadata.requires(name) or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        missing = _missing(requirement)
        if missing:
            cure = f"{sys.executable} -m pip install --upgrade {name} {requirement.name}"
            yield wrong(name, missing, cure)


def _missing(requirement: Requirement) -> str:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"{requirement.name} {version} is installed, {requirement.specifier} is needed"
