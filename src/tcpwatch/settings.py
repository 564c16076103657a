"""One settings table: every TCPWATCH_* variable with its meaning, type and default.

OTEL_* variables are the SDK's and are not repeated here, but for the one that keeps it out.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

_ON = frozenset({"1", "on", "true", "yes"})
_OFF = frozenset({"0", "off", "false", "no"})


def _switch(text: str) -> bool:
    word = text.strip().lower()
    if word in _ON:
        return True
    if word in _OFF:
        return False
    raise ValueError("on or off")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < float("inf"):
            return float(text)
    raise ValueError("seconds, 0 or more")


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if int(text) >= 0:
            return int(text)
    raise ValueError("a whole number, 0 or more")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in text.split(",")) if word)


def _patterns(text: str) -> tuple[str, ...]:
    words = _words(text)
    for word in words:
        try:
            re.compile(word)
        except re.error as error:
            raise ValueError(f"regular expressions; {word!r} is none: {error}") from None
    return words


def _setting(default: Any, convert: Callable[[str], Any], meaning: str) -> Any:
    return field(default=default, metadata={"convert": convert, "meaning": meaning})


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set; the variable of a field is TCPWATCH_ and its name in capitals."""

    peer_address: bool = _setting(True, _switch, "peer address and port on spans")
    url_query: bool = _setting(True, _switch, "url.query on request spans (secrets redacted)")
    phase_span_min: float = _setting(0.0005, _seconds, "shortest phase that gets a span (s)")
    blame_min: float = _setting(0.05, _seconds, "shortest queue wait that gets a culprit (s)")
    stall: float = _setting(1.0, _seconds, "the loop away this long, with a queue: warn (s)")
    slow: float = _setting(1.0, _seconds, "a phase this long keeps an unsampled connection (s)")
    keep_per_second: int = _setting(50, _count, "kept connections per second and reason")
    set_global: bool = _setting(True, _switch, "make our providers the global ones if none are")
    queue_size: int = _setting(8192, _count, "records waiting for the worker before dropping")
    include: tuple[str, ...] = _setting((), _words, "watch only these server classes or ports")
    exclude: tuple[str, ...] = _setting((), _words, "never watch these server classes or ports")
    excluded_urls: tuple[str, ...] = _setting(
        (), _patterns, "no request span for these paths (regex)"
    )
    process_connections: bool = _setting(False, _switch, "tcpwatch.process.connection.count")
    c_hooks: bool = _setting(True, _switch, "in C on serving threads, where it was built")
    banner: bool = _setting(True, _switch, "the line on stderr at install")
    strict: bool = _setting(False, _switch, "raise internal errors (for tests)")


def disabled(environ: Mapping[str, str] = os.environ) -> bool:
    """Say whether OTEL_SDK_DISABLED turns everything off."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of this environment.

    Raises ValueError with the variable's name, what it holds and what it may hold.
    """
    values: dict[str, Any] = {}
    for setting in fields(Settings):
        variable = "TCPWATCH_" + setting.name.upper()
        text = environ.get(variable)
        if text is None or not text.strip():
            continue
        try:
            values[setting.name] = setting.metadata["convert"](text)
        except ValueError as error:
            raise ValueError(f"{variable}={text!r}: expected {error}") from None
    return Settings(**values)
