"""The programs of the rig, built from Go modules at the versions that deploy/.env pins."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BINARIES = ROOT / ".stack" / "bin"
"""Kept between runs; a program is built again when its recipe changes."""
MANIFEST = HERE / "collector.yaml"
LAST_LINES = 8


class CannotError(Exception):
    """A program is not there and cannot be built; the text says why."""


def pins() -> dict[str, str]:
    """Return the variables of deploy/.env."""
    lines = (ROOT / "deploy" / ".env").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def prometheus_module(version: str) -> str:
    """Return the module version of a release: 3.16.0 is v0.316.0, as Go allows no v3 there."""
    major, minor, patch = version.split(".")
    return f"v0.{major}{int(minor):02}.{patch}"


def jaeger_module(version: str) -> str:
    """Return the module version of a release: 2.13.0 is v1.76.0, published twice at a time."""
    major, minor, patch = version.split(".")
    if major != "2" or int(minor) > 13:
        raise CannotError(f"Jaeger {version} is no Go module; the newest that is: 2.13.0")
    return f"v1.{int(minor) + 63}.{patch}"


@dataclass(frozen=True)
class Program:
    """A program: its file's name, what it is built from, and with which build tags.

    `needs` is a Go package at a version; `source` a folder of our own, or the Collector's manifest.
    """

    name: str
    needs: str
    source: Path | None = None
    tags: str = ""

    @property
    def path(self) -> Path:
        """Return where it is, or will be."""
        return BINARIES / self.name

    @property
    def _stamp(self) -> Path:
        return BINARIES / f"{self.name}.made-from"

    @property
    def _recipe(self) -> str:
        files = sorted(self.source.iterdir()) if self.source and self.source.is_dir() else []
        if self.source and self.source.is_file():
            files = [self.source]
        return "\n".join([self.needs, self.tags, *(file.read_text() for file in files)])

    @property
    def there(self) -> bool:
        """Say whether it is built, from today's recipe."""
        return (
            self.path.exists() and self._stamp.exists() and self._stamp.read_text() == self._recipe
        )

    def build(self) -> None:
        """Build it in a module of its own, so that it gets the versions its authors released with.

        Raises CannotError with the words of the go command.
        """
        began = time.monotonic()
        print(f"building {self.name} from {self.needs} ...", flush=True)
        BINARIES.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BINARIES) as place:
            folder, fresh = Path(place), Path(place) / "fresh"
            package = self._prepare(folder)
            tags = ("-tags", self.tags) if self.tags else ()
            go(folder, "build", "-mod=mod", *SMALL, *tags, "-o", str(fresh), package)
            fresh.replace(self.path)
        self._stamp.write_text(self._recipe)
        print(f"built {self.name} in {time.monotonic() - began:.0f} s", flush=True)

    def _prepare(self, folder: Path) -> str:
        """Make the module in `folder`; return the package in it that is the program."""
        if self.source == MANIFEST:
            output = folder / "collector"
            said = f"--config={MANIFEST}", "--skip-compilation", f"--output-path={output}"
            run(folder, str(BUILDER.path), *said)
            shutil.copytree(output, folder, dirs_exist_ok=True)
            return "."
        go(folder, "mod", "init", "rig")
        go(folder, "get", self.needs)
        if self.source is None:
            return self.needs.partition("@")[0]
        shutil.copytree(self.source, folder, dirs_exist_ok=True)
        return "."


SMALL = ("-trimpath", "-buildvcs=false", "-ldflags=-s -w")


def go(folder: Path, *arguments: str) -> None:
    """Run the go command."""
    run(folder, "go", *arguments)


def run(folder: Path, *command: str) -> None:
    """Run a command of the build, with less claim to the machine than anything else."""
    done = subprocess.run(
        ["nice", "-n", "10", *command],  # noqa: S607 - go is where PATH says
        cwd=folder,
        env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        said = [ln for ln in done.stdout.splitlines() if not ln.startswith("go: downloading")]
        raise CannotError("\n".join([f"{' '.join(command[:3])} failed:", *said[-LAST_LINES:]]))


PINS = pins()
_PROMETHEUS = prometheus_module(PINS["PROMETHEUS_VERSION"])
# Prometheus asks no cloud for its targets here; without those clients it builds in half the time.
_ONLY_DNS = "netgo,remove_all_sd,enable_dns_sd"

COMPOSE = Program("compose", "github.com/compose-spec/compose-go/v2/cli@v2.16.2", HERE / "compose")
PROMTOOL = Program(
    "promtool", f"github.com/prometheus/prometheus/cmd/promtool@{_PROMETHEUS}", tags=_ONLY_DNS
)
PROMETHEUS = Program(
    "prometheus",
    f"github.com/prometheus/prometheus/cmd/prometheus@{_PROMETHEUS}",
    tags=_ONLY_DNS,
)
JAEGER = Program(
    "jaeger",
    f"github.com/jaegertracing/jaeger/cmd/jaeger@{jaeger_module(PINS['JAEGER_VERSION'])}",
)
BUILDER = Program(
    "builder", f"go.opentelemetry.io/collector/cmd/builder@v{PINS['COLLECTOR_VERSION']}"
)
COLLECTOR = Program(
    "collector", f"go.opentelemetry.io/collector@v{PINS['COLLECTOR_VERSION']}", MANIFEST
)
ALL = (COMPOSE, PROMTOOL, PROMETHEUS, BUILDER, COLLECTOR, JAEGER)
"""In the order in which they are built."""


def missing() -> list[str]:
    """Return the names of the programs that are still to be built."""
    return [program.name for program in ALL if not program.there]


def build_missing() -> None:
    """Build what is missing. Raises CannotError if that cannot be done."""
    if not missing():
        return
    if not shutil.which("go"):
        raise CannotError(
            f"{', '.join(missing())} must be built, and there is no Go on PATH. "
            "Install Go 1.26 or newer; the rest comes from Go modules."
        )
    print(f"to be built once into .stack: {', '.join(missing())} (about ten minutes)", flush=True)
    for program in ALL:
        if not program.there:
            program.build()
