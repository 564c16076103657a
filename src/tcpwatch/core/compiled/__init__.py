"""The core's most travelled ways, in C, where it could be built.

A worker feeds each connection to a timeline and adds its legs up, between two requests that want
the interpreter. Each function in C is the twin of one in Python, which says what is right, and
leaves to that one what it does not know: marks out of order, TLS, requests in several legs.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, TypeVar

Called = TypeVar("Called", bound=Callable[..., Any])


def built(module: str) -> Any:
    """Return a module in C, None if there is none."""
    try:
        return import_module(module)
    except ImportError:
        return None


class Twins:
    """The functions of a module in C that are twins of some in Python.

    Without what is `needed` for it the module is taken as not built.
    """

    def __init__(self, module: str, needed: bool = True) -> None:
        self.module = built(module) if needed else None
        self.in_python: dict[str, Callable[..., Any]] = {}
        """What has a twin in C, by its name; empty if nothing is built."""

    def quick(self, function: Called) -> Called:
        """Return the twin of a function, if there is one: a decorator."""
        if self.module is None:
            return function
        name = function.__name__
        self.in_python[name] = function
        self.module.leave(name, function)
        twin: Called = getattr(self.module, name)
        return twin

    def connect(self, room: str, things: dict[str, Any]) -> None:
        """Give C the classes, tables and functions that it needs of a room (`course`, `timeline`).

        Raises KeyError if one is missing, and TypeError if a class has no slot where it reads.
        """
        if self.module is not None:
            getattr(self.module, f"connect_{room}")(things)


twins: Final = Twins(f"{__name__}._compiled")
in_python, quick, connect = twins.in_python, twins.quick, twins.connect
