"""The story, found in the real classes: who implements each step, where, and who calls it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any

from tcpwatch import names
from tcpwatch.cli.chain.origin import Place, place
from tcpwatch.cli.chain.story import STORY, Row
from tcpwatch.cli.chain.subject import Subject

_OUTERMOST = ("run", "run_simple", "__init__", "serve_forever")
"""What nobody in the chain calls, if the chain begins there."""

_ABOVE = "calls the same method of the next class"
_BELOW = "the base class's part"


@dataclass(frozen=True)
class Step:
    """One function of the chain.

    `depth` is how deep it is called, `name` its module, class and name. `phases` are those of a
    connection that pass here; `code` is what is executed.
    """

    depth: int
    name: str
    place: Place
    does: str
    kernel: str
    phases: tuple[str, ...]
    code: CodeType


@dataclass(frozen=True)
class _Function:
    owner: Any
    name: str
    code: CodeType
    mentions: frozenset[str]

    @property
    def cls(self) -> str:
        """The name of the class that defines it, "" if none does."""
        return self.owner.__name__ if isinstance(self.owner, type) else ""


def walk(subject: Subject) -> list[Step]:
    """Return the chain of a subject, in the order in which a connection meets it.

    A method that the server's classes have, but that nothing in the chain mentions, is left out:
    an overridden method may have taken its place.
    """
    room = "no more than that" if subject.limit is None else f"{subject.limit} and one more"
    words = {"backlog": subject.backlog, "limit": room}
    classes = [actor for actor in subject.actors.values() if isinstance(actor, type)]
    steps: list[Step] = []
    callers: list[tuple[int, _Function, Any]] = []
    for row in STORY:
        actor = subject.actors.get(row.actor)
        functions = _implementations(actor, row.method) if actor is not None else []
        # What is another actor's is told there.
        functions = [one for one in functions if one.owner is actor or one.owner not in classes]
        if not functions or _is_empty(row, functions):
            continue
        depth = _depth(row, subject, callers)
        if depth is None:
            continue
        told_of = _told_of(row, functions)
        for number, function in enumerate(functions):
            callers.append((depth + number, function, actor))
            if any(step.code is function.code for step in steps):
                continue
            tells = function is told_of
            does, kernel = row.variants.get(function.cls, (row.does, row.kernel))
            if not tells:
                does, kernel = _ABOVE if number < functions.index(told_of) else _BELOW, ""
            steps.append(
                Step(
                    depth + number,
                    function.name,
                    place(function.code),
                    does.format(**words),
                    kernel.format(**words),
                    row.phases if tells else (),
                    function.code,
                )
            )
    return _with_phases_of_http(steps)


def _told_of(row: Row, functions: list[_Function]) -> _Function:
    named = [function for function in functions if function.cls == row.told_of]
    return (named or functions)[-1]


def _with_phases_of_http(steps: list[Step]) -> list[Step]:
    """Give `handle` its phase where the handler speaks HTTP: the other steps have taken it over.

    A handler that does not wait in `handle_one_request` waits there.
    """
    told = {phase for step in steps for phase in step.phases}
    if names.READ_HEAD not in told:
        return steps
    instead = () if names.IDLE in told else (names.IDLE,)
    return [
        replace(step, phases=instead) if names.HANDLE in step.phases else step for step in steps
    ]


def _is_empty(row: Row, functions: list[_Function]) -> bool:
    """Say whether there is only the base class's method, which does nothing."""
    return row.method == "service_actions" and functions[0].cls == "BaseServer"


def _depth(row: Row, subject: Subject, callers: list[tuple[int, _Function, Any]]) -> int | None:
    """Return how deep a step is called: one below the last function that leads to it.

    That is one whose code mentions it, or calls a method of its own class that does.
    """
    called_as = set(row.called_as or (row.method,))
    if row.method == "__init__" and row.actor == "server":
        called_as = {subject.server.__name__}
    for depth, function, actor in callers if row.outermost else callers[::-1]:
        # By another name it is called where that name stands, or everything would lead to it.
        mentions = function.mentions if row.called_as else _within(function, actor)
        if called_as & mentions:
            return depth + 1
    return 0 if row.method in _OUTERMOST and row.actor != "handler" else None


def _implementations(actor: Any, method: str) -> list[_Function]:
    """Return a method's functions: the one that the MRO gives, then those it passes on to."""
    if inspect.ismodule(actor):
        function = getattr(actor, method, None)
        return [_function(None, function)] if function is not None else []
    if method == "__call__" and hasattr(actor, "__code__"):
        return [_function(None, actor)]
    cls = actor if isinstance(actor, type) else type(actor)
    found: list[_Function] = []
    for owner in cls.__mro__:
        function = inspect.unwrap(_plain(vars(owner).get(method)))
        if not hasattr(function, "__code__"):
            continue
        if found and not _passes_on(found[-1], method, owner):
            break
        found.append(_function(owner, function))
    return found


def _plain(attribute: Any) -> Any:
    return getattr(attribute, "__func__", attribute)


def _function(owner: Any, function: Any) -> _Function:
    code: CodeType = function.__code__
    name = f"{function.__module__}.{function.__qualname__}"
    return _Function(owner, name, code, frozenset(_mentions(code)))


def _passes_on(function: _Function, method: str, to: type) -> bool:
    """Say whether a function calls the same method further up, by super() or the class's name."""
    by = {"super", to.__name__}
    return method in function.mentions and bool(by & function.mentions)


def _mentions(code: CodeType) -> Iterator[str]:
    """Return the global names and attributes that a function's code uses, inner functions' too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _mentions(constant)


def _within(function: _Function, actor: Any) -> set[str]:
    """Return what a method mentions, with what the methods mention that it calls on itself."""
    seen: set[str] = set()
    todo = set(function.mentions)
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if isinstance(actor, type):
            for called in _implementations(actor, name):
                todo |= called.mentions - seen
    return seen
