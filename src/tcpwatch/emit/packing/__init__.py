"""The messages of most spans, in C, where it could be built.

A connection that is traced has some four spans of up to thirty attributes, and in Python to write
their bytes costs more than all that its serving thread does. What it does not know it leaves to
`encoding`, which says what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

Pack = Callable[[tuple[Any, ...]], bytes | None]
"""Takes a FinishedSpan whose attributes are `Grouped`; returns None where Python is to do it."""


def _built() -> Pack | None:
    try:
        found: Pack = import_module(f"{__name__}._packing").pack
    except ImportError:
        return None
    return found


pack: Final = _built()
"""None if it is not built; `tcpwatch doctor` says so."""
