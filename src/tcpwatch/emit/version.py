"""The version that our scope carries."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _version() -> str:
    try:
        return version("tcpwatch")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0"


VERSION: Final = _version()
