"""What is in C, as the package is installed: built where it can be, and left out where not.

Without them tcpwatch does the same and costs more, so a missing compiler is told and no error.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

PACKAGE = Path("src/tcpwatch")
OPTIONS = ["-std=c11", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"]
OPTIONS += ["-Werror=implicit"]


def can_be_built() -> bool:
    """Say whether this is a Python that it is written for: CPython with a GIL, on Linux.

    Later ones may have other objects inside: in 3.14 a tuple knows its hash, which our own do not.
    """
    return (
        sys.platform == "linux"
        and sys.version_info < (3, 14)
        and sys.implementation.name == "cpython"
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
    )


def folders(root: Path) -> list[Path]:
    """Return the folders with sources in C; each becomes a module of its name."""
    return sorted({source.parent for source in (root / PACKAGE).rglob("*.c")})


def build(folder: Path) -> Path:
    """Compile a folder's sources; return the module, which lies beside them.

    Raises BaseError or CCompilerError if there is no compiler, or it cannot do it.
    """
    name = f"_{folder.name}"
    sources = sorted(map(str, folder.glob("*.c")))
    extension = Extension(name, sources, extra_compile_args=OPTIONS)
    with tempfile.TemporaryDirectory() as scratch:
        command = build_ext(Distribution({"name": name, "ext_modules": [extension]}))
        command.build_lib, command.build_temp = scratch, scratch
        command.ensure_finalized()
        command.run()
        made = Path(command.get_ext_fullpath(name))
        built = folder / made.name
        fresh = built.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(made.read_bytes())
        fresh.replace(built)  # a process that has the old one loaded keeps it
        return built


class Hook(BuildHookInterface[Any]):
    """What hatchling calls."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the modules, and have them in the wheel."""
        if self.target_name != "wheel" or not can_be_built():
            return
        try:
            built = [build(folder) for folder in folders(Path(self.root))]
        except (BaseError, CCompilerError, OSError) as error:
            self.app.display_warning(
                f"tcpwatch's hooks and messages are not built in C ({error}), and cost several "
                "times as much in Python; install a C compiler and Python's headers, then tcpwatch "
                "anew"
            )
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"] += [str(module.relative_to(self.root)) for module in built]
