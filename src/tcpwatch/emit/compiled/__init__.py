"""Spans in C, where it could be built: how most of them start, and the messages of most.

A connection that is traced has some four spans of up to thirty attributes, and in Python to write
their bytes costs more than all that its serving thread does. What is not known here is left to
`encoding` and to `requests`, which say what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tcpwatch.core.compiled import Twins
from tcpwatch.hub.compiled import fields_are_typed

Pack = Callable[[tuple[Any, ...]], bytes | None]
"""Takes a FinishedSpan whose attributes are `Grouped`; returns None where Python is to do it."""

Packed = Callable[[tuple[Any, ...], Any, type[Any]], list[Any] | None]
"""Takes such spans, their Home and LateSpan; returns what is kept of them, or None likewise."""

Began = Callable[[Any, Any, Any, Any, Any], bool]
"""Takes a RequestSpans and what its `begin` is given; returns False where Python is to do it."""


twins: Final = Twins(f"{__name__}._compiled", needed=fields_are_typed())
quick, connect = twins.quick, twins.connect

pack: Final[Pack | None] = getattr(twins.module, "pack", None)
packed: Final[Packed | None] = getattr(twins.module, "packed", None)
began: Final[Began | None] = getattr(twins.module, "began", None)
"""None if they are not built; `tcpwatch doctor` says so."""
