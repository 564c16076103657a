"""The mechanism of patching: wrap methods on classes, and give back what was there.

A hook is two functions of ours around a method of the host's. The host's call is never inside our
fence: what it returns or raises goes through untouched, without our frame in the traceback.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from time import perf_counter_ns
from types import ModuleType
from typing import Any, Final
from weakref import WeakValueDictionary

from tcpwatch.guard import guard, is_of_a_signal
from tcpwatch.hub import hub
from tcpwatch.patches import wrapper
from tcpwatch.weak import alive

_ABSENT: Final = object()

Before = Callable[..., Any]
After = Callable[[Any, Any, "BaseException | None"], None]

_SAMPLED: Final = 16
"""One call of this many is timed for tcpwatch.self.time, and counted that many times."""


@dataclass(frozen=True, slots=True)
class Hook:
    """`before(self, ...)` of method `name` returns a token, or None for "not ours".

    It is given as many of the method's arguments as it has parameters. `after(token, result,
    error)` runs only for a token, when the method has returned or raised; without a `before` the
    token is the method's self.
    """

    name: str
    before: Before | None
    after: After | None = None


class Patch:
    """One method of one class, wrapped. Switched off it passes everything through."""

    def __init__(self, owner: type | ModuleType, hook: Hook) -> None:
        self.owner, self.hook = owner, hook
        self.broken = False
        self._there = vars(owner).get(hook.name, _ABSENT)
        self.wrapper, self._hands = wrapper.around(
            inspect.getattr_static(owner, hook.name),
            hook.before,
            hook.after,
            failed=self.failed,
            hide=hide,
            spend=_spend,
            one_of=_SAMPLED,
        )
        self.on = True
        setattr(owner, hook.name, self.wrapper)

    @property
    def on(self) -> bool:
        """Whether the hook is called."""
        return self._hands.on

    @on.setter
    def on(self, on: bool) -> None:
        self._hands.on = on

    @property
    def outermost(self) -> bool:
        """Whether the class still has our wrapper, and nobody else's over it."""
        return vars(self.owner).get(self.hook.name) is self.wrapper

    @property
    def part(self) -> str:
        """Return Class.method, the name under which errors are counted."""
        return f"{self.owner.__name__}.{self.hook.name}"

    def remove(self) -> bool:
        """Give back what was there. False if somebody has wrapped our wrapper: then it stays, off.

        What was inherited is deleted, not set: an own attribute would hide later patches of the
        base class.
        """
        self.on = False
        if not self.outermost:
            return False
        if self._there is _ABSENT:
            delattr(self.owner, self.hook.name)
        else:
            setattr(self.owner, self.hook.name, self._there)
        return True

    def failed(self, error: BaseException) -> None:
        """A function of ours has raised: this patch is off from now on, and stays off.

        Not so if it was a signal handler: its exception is raised again.
        """
        if not is_of_a_signal(error):
            self.on = False
            self.broken = True
        guard.caught(self.part, error)


def _spend(began_ns: int) -> None:
    """Count the time since `began_ns` as ours, and that of the calls that are not timed."""
    spent = (perf_counter_ns() - began_ns) * _SAMPLED
    hub.self_ns += spent  # nothing is called between reading and writing: there threads switch


if sys.version_info >= (3, 11):

    def hide(error: BaseException) -> None:
        """Take our frames off an exception's traceback, so that the host prints what it always did.

        They are its first ones: an inner wrapper has taken off its own.
        """
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename in _OURS:
            trace = trace.tb_next
        error.__traceback__ = trace

else:

    def hide(error: BaseException) -> None:
        """Take our frames out of an exception's traceback, all but the outermost.

        Before Python 3.11 a bare `raise` restores the traceback with which it was caught.
        """
        trace = error.__traceback__
        while trace is not None and (following := trace.tb_next) is not None:
            if following.tb_frame.f_code.co_filename in _OURS:
                trace.tb_next = following.tb_next
            else:
                trace = following


_OURS: set[str] = {__file__, wrapper.FILE, wrapper.__file__}


def ours(filename: str) -> None:
    """Count this source file's frames as ours."""
    _OURS.add(filename)


class Patches:
    """All patches of this process, and the undoing of them.

    Threads that serve patch what they come upon while others install and uninstall.
    """

    def __init__(self) -> None:
        self.undone = False
        """Whether everything has been given back since begin(): nothing is wrapped then."""
        # A patch lives as long as its wrapper: an application may make a class for each server.
        self._patches: WeakValueDictionary[tuple[int, str], Patch] = WeakValueDictionary()

    def wrap(self, owner: type | ModuleType, hook: Hook) -> None:
        """Wrap the method `hook.name` of `owner`, unless a wrapper of ours is there already.

        A wrapper that could not be removed, because another tool's sits on it, is switched on.
        """
        if not wrapper.is_method(inspect.getattr_static(owner, hook.name)):
            return
        key = (id(owner), hook.name)
        with hub.lock:
            if self.undone:
                return
            patch = self._patches.get(key)
            if patch is not None and (patch.outermost or _buried(owner, hook.name, patch.wrapper)):
                patch.on = not patch.broken
            else:
                self._patches[key] = Patch(owner, hook)

    def wrap_definition(self, cls: type, hook: Hook, but: Collection[type] = ()) -> None:
        """Wrap the method where the class that `cls` inherits it from defines it.

        The definitions of the classes in `but` do nothing that we would have to see.
        """
        for owner in cls.__mro__:
            if hook.name in vars(owner):
                if owner not in but:
                    self.wrap(owner, hook)
                return

    def begin(self) -> None:
        """Let methods be wrapped again after an undo()."""
        self.undone = False

    def undo(self) -> None:
        """Remove what is still ours; what others have wrapped stays as a pass-through.

        Whoever is about to wrap something wraps nothing.
        """
        with hub.lock:
            self.undone = True
            for patch in alive(self._patches):
                if patch.remove():
                    del self._patches[id(patch.owner), patch.hook.name]

    def modules(self) -> list[str]:
        """Return the modules of which something is patched now."""
        return sorted({patch.owner.__module__ for patch in alive(self._patches) if patch.on})

    def names(self) -> list[str]:
        """Return what is patched now, as Class.method."""
        return sorted(patch.part for patch in alive(self._patches) if patch.on)


def _buried(owner: type | ModuleType, name: str, wrapper: Any) -> bool:
    found = vars(owner).get(name)
    while found is not None:
        if found is wrapper:
            return True
        found = getattr(found, "__wrapped__", None)
    return False


patches = Patches()
