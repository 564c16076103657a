"""Wrappers that are written for the method they replace: its parameters are theirs.

A call through a wrapper is then a plain call, with nothing packed and unpacked on its way. That
matters, because each connection passes a dozen of them. What is no plain function, or takes any
arguments, gets a wrapper that takes any too. What gets no instance when it is called on one (a
static or class method, a Mock, a partial) is no method to us, and is left alone.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable
from time import perf_counter_ns
from types import CodeType, FunctionType, MethodType
from typing import Any, Final

from tcpwatch.patches import ordinary

FILE: Final = "<tcpwatch wrapper>"
"""Where the wrappers' frames say that they come from."""

_HEAD: Final = """\
def tcpwatch_wrapper({given}):
    began = due() and now()
"""
_BEFORE: Final = """\
    try:
        token = before({shown})
    except Exception as internal:
        token = failed(internal)
    if began:
        spend(began)
"""
_NO_BEFORE: Final = """\
    token = {self}
"""
_CALL: Final = """\
    try:
        result = original({passed})
    except BaseException as error:
        hide(error)
        if token is not None:
            try:
                after(token, None, error)
            except Exception as internal:
                failed(internal)
        raise
    if token is not None:
        if began:
            began = now()
        try:
            after(token, result, None)
        except Exception as internal:
            failed(internal)
        if began:
            spend(began)
    return result
"""
_CALL_AND_NO_AFTER: Final = """\
    try:
        return original({passed})
    except BaseException as error:
        hide(error)
        raise
"""

_QUICK: Final = """\
def tcpwatch_wrapper({given}):
    try:
        return quick({passed})
    except BaseException as error:
        hide(error)
        raise
"""

_ANY: Final = "*args, **kwargs"
_TAKEN: Final = frozenset(
    {
        *("due", "now", "before", "after", "original", "failed", "hide", "spend"),
        *("began", "quick", "token", "result", "error", "internal", "BaseException", "Exception"),
    }
)
"""Names that a wrapper uses itself: who has a parameter of such a name takes any arguments."""


class Hands:
    """What a wrapper calls; switched off it calls nothing but the method.

    What `before` has begun is ended all the same: a call may be on its way while we are switched
    off, and what it has made current is to be taken back.
    """

    def __init__(self, called: dict[str, Any]) -> None:
        self._called = called
        self._first = "after" if called["before"] is None else "before"
        self._hook = called[self._first]

    @property
    def on(self) -> bool:
        """Whether the hook is called."""
        return self._called[self._first] is self._hook

    @on.setter
    def on(self, on: bool) -> None:
        self._called[self._first] = self._hook if on else _nothing
        if self._called["quick"] is not None:
            self._called["quick"].on = on


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Do nothing, in place of a hook that is switched off."""


def is_method(found: Any) -> bool:
    """Say whether a class's attribute gets the instance when it is called on one."""
    if isinstance(found, staticmethod | classmethod | MethodType | property | functools.partial):
        return False  # Python 3.14 binds a partial, 3.13 warns that it will
    return hasattr(type(found), "__get__")


def around(
    original: Any,
    before: Callable[..., Any] | None,
    after: Callable[..., Any] | None,
    *,
    failed: Callable[[BaseException], None],
    hide: Callable[[BaseException], None],
    spend: Callable[[int], None],
    one_of: int,
) -> tuple[Any, Hands]:
    """Return a wrapper of `original`, and the switch of its hook.

    `failed` gets what a hook raises, `hide` what the method raises. One call of so many is timed:
    `spend` gets the time at which a hook has begun.
    """
    parameters = _parameters(original)
    given = _ANY if parameters is None else ", ".join(parameters)
    shown = given
    if before is not None:
        wanted = _parameters(before)
        if wanted is not None and parameters is None:
            before = _fitting(before, wanted)
        elif wanted is not None and parameters is not None:
            shown = ", ".join(parameters[: len(wanted)])
    quick = None
    if parameters is not None:
        size = shown.count(",") + 1
        quick = ordinary.around(original, before, after, failed, size, one_of)
    called: dict[str, Any] = {
        "due": itertools.cycle([0] * (one_of - 1) + [1]).__next__,
        "now": perf_counter_ns,
        "before": before,
        "after": after or _nothing_after,
        "original": original if type(original) is FunctionType else _bound(original),
        "failed": failed,
        "hide": hide,
        "spend": spend,
        "quick": quick,
    }
    exec(_code(given, shown, quick is not None, before is None, after is None), called)  # noqa: S102  # a template of ours, and identifiers
    made: FunctionType = called.pop("tcpwatch_wrapper")
    if parameters is not None:
        made.__defaults__ = original.__defaults__
    return functools.wraps(original)(made), Hands(called)


def _nothing_after(token: Any, result: Any, error: BaseException | None) -> None:
    """Come after nothing."""


def _bound(original: Any) -> Callable[..., Any]:
    """Return what calls a method that is no function: other tools' tell from it who is called."""

    def bound(instance: Any, *args: Any, **kwargs: Any) -> Any:
        return original.__get__(instance, type(instance))(*args, **kwargs)

    return bound


@functools.cache
def _code(given: str, shown: str, quick: bool, no_before: bool, no_after: bool) -> CodeType:
    template = _HEAD + (_NO_BEFORE if no_before else _BEFORE)
    template += _CALL_AND_NO_AFTER if no_after else _CALL
    if quick:
        template = _QUICK
    self = "args[0]" if given == _ANY else given.partition(",")[0]
    return compile(template.format(given=given, shown=shown, passed=given, self=self), FILE, "exec")


def _parameters(function: Any) -> tuple[str, ...] | None:
    """Return the names of a function's parameters; None if a plain list of names is not all."""
    if type(function) is not FunctionType:  # other tools' proxies say that they are one
        return None
    code = function.__code__
    special = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
    if code.co_flags & special or code.co_kwonlyargcount or code.co_posonlyargcount:
        return None
    names = code.co_varnames[: code.co_argcount]
    return names if names and _TAKEN.isdisjoint(names) else None


def _fitting(function: Callable[..., Any], wanted: tuple[str, ...]) -> Callable[..., Any]:
    """Return `function` for a caller who has more arguments than it takes."""

    def fitted(*args: Any, **kwargs: Any) -> Any:
        named = {name: kwargs[name] for name in wanted[len(args) :] if name in kwargs}
        return function(*args[: len(wanted)], **named)

    return fitted
