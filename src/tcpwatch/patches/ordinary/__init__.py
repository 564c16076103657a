"""The ordinary case of the hooks, in C, where it could be built.

A connection passes some twenty hooks, and in Python they cost its thread five times as much. Each
function in C is the twin of a hook in Python and knows the ordinary case only; whatever else it
sees it leaves to that hook. Without a compiler, on another system than Linux, and with
TCPWATCH_C_HOOKS=off the hooks in Python are all there is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tcpwatch.core import compiled
from tcpwatch.hub.compiled import fields_are_typed

Called = TypeVar("Called", bound=Callable[..., Any])


_ordinary = compiled.built(f"{__name__}._ordinary") if fields_are_typed() else None
_twins: dict[Any, Any] = {}
"""What is in C, by what it is in Python."""


def built() -> bool:
    """Say whether there are hooks in C."""
    return _ordinary is not None


def connect(things: Mapping[str, Any], hooks: Mapping[str, Callable[..., Any]]) -> None:
    """Let the hooks in C be used from now on.

    `things` are the classes, tables and constants that they need, `hooks` those in Python, both by
    the names that ordinary.h has for them. Raises KeyError if one is missing, and TypeError if a
    class has no slot where they write.
    """
    if _ordinary is not None:
        _ordinary.connect(dict(things), dict(hooks))
        _twins.update({hook: getattr(_ordinary, name) for name, hook in hooks.items()})


def disconnect() -> None:
    """Let them be used no longer, for what is wrapped from now on."""
    _twins.clear()


def quick(hook: Called) -> Called:
    """Return what to call for a hook: its twin in C, if there is one."""
    twin: Called = _twins.get(hook, hook)
    return twin


def around(
    original: Callable[..., Any],
    before: Callable[..., Any] | None,
    after: Callable[..., Any] | None,
    failed: Callable[[BaseException], None],
    shown: int,
    one_of: int,
) -> Any:
    """Return what calls a method, and its hooks round it; None if that is not to be done in C.

    The first `shown` arguments are `before`'s; one call of so many is timed, for the hub.
    """
    if _ordinary is None or not _twins:
        return None
    before, after = before and quick(before), after and quick(after)
    return _ordinary.around(original, before, after, failed, shown, one_of)
