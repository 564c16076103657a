"""Wrappers are written for the method they replace: whatever its shape, it is called as before."""

from __future__ import annotations

import functools
import gc
import inspect
import pickle
import pydoc
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from unittest.mock import MagicMock

import pytest
import wrapt

from tcpwatch.guard import guard
from tcpwatch.patches.wrap import Hook, Patches

DEFAULT: list[int] = []
Calls = list[tuple[str, tuple[Any, ...], dict[str, Any]]]


@pytest.fixture
def patches(hooks_in: str) -> Iterator[Patches]:
    """Return patches that are undone at the end; whatever of ours fails is raised."""
    patches = Patches()
    guard.strict = True
    yield patches
    patches.undo()
    guard.strict = False
    guard.errors.clear()


class Shapes:
    """Methods of every shape; each returns what it was given."""

    def plain(self, first: Any, second: Any = DEFAULT) -> Any:
        """Take a default that can change."""
        return first, second

    def keyword_only(self, *, first: Any, second: Any = DEFAULT) -> Any:
        """Take keywords only."""
        return first, second

    def positional_only(self, first: Any, second: Any = DEFAULT, /) -> Any:
        """Take no keyword."""
        return first, second

    def anything(self, *args: Any, **kwargs: Any) -> Any:
        """Take anything."""
        return args, kwargs

    def of_our_names(self, result: Any, token: Any = DEFAULT) -> Any:
        """Have parameters that are called as a wrapper's own variables."""
        return result, token

    def nameless(*args: Any) -> Any:
        """Take even itself among the others."""
        return args[1:]


GIVEN: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "plain": ((1,), {}),
    "keyword_only": ((), {"first": 1}),
    "positional_only": ((1,), {}),
    "anything": ((1, 2), {"third": 3}),
    "of_our_names": ((1,), {"token": 2}),
    "nameless": ((1, 2), {}),
}


def speaking(name: str, calls: Calls) -> Hook:
    """Return a hook that notes who is called with what."""

    def before(*args: Any, **kwargs: Any) -> str:
        calls.append((type(args[0]).__name__, args[1:], kwargs))
        return name

    return Hook(name, before, lambda token, result, error: None)


@pytest.mark.parametrize("name", GIVEN)
def test_a_method_of_any_shape_is_called_as_before(patches: Patches, name: str) -> None:
    """Same result, the same default object, same signature and help; the hook sees the call."""
    args, kwargs = GIVEN[name]
    calls: Calls = []
    method = getattr(Shapes, name)
    before = inspect.signature(method), pydoc.render_doc(method), pickle.dumps(method)
    bare = method(Shapes(), *args, **kwargs)
    patches.wrap(Shapes, speaking(name, calls))
    wrapped = getattr(Shapes, name)
    assert wrapped is not method

    told = wrapped(Shapes(), *args, **kwargs)

    assert told == bare
    assert all(mine is theirs for mine, theirs in zip(told, bare, strict=True) if theirs == DEFAULT)
    assert [call[0] for call in calls] == ["Shapes"]
    after = inspect.signature(wrapped), pydoc.render_doc(wrapped), pickle.dumps(wrapped)
    assert after == before
    assert pickle.loads(after[2]) is wrapped
    assert inspect.getsource(wrapped) == inspect.getsource(method)


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"first": 2}), ((), {"other": 1})]
)
def test_a_wrong_call_is_refused_as_before(
    patches: Patches, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """With wrong arguments it is a TypeError of the caller's."""
    patches.wrap(Shapes, speaking("plain", []))
    with pytest.raises(TypeError):
        Shapes().plain(*args, **kwargs)


def said(*args: Any) -> Any:
    """Return what was given."""
    return args


NO_METHODS: dict[str, Callable[[], Any]] = {
    "a static method": lambda: staticmethod(said),
    "a class method": lambda: classmethod(said),
    "a partial": lambda: functools.partial(said, "partial"),
    "a Mock": lambda: MagicMock(return_value="mock"),
    "a builtin": lambda: divmod,
    "a class": lambda: complex,
    "another's bound method": lambda: types.MethodType(said, "another"),
}


@pytest.mark.filterwarnings("ignore:functools.partial will be a method descriptor")
@pytest.mark.parametrize("make", NO_METHODS.values(), ids=NO_METHODS)
def test_what_gets_no_instance_is_left_alone(patches: Patches, make: Callable[[], Any]) -> None:
    """It is called with what it was called with, and the class holds what it held."""
    found = make()
    owner: Any = type("Owner", (), {"speak": found})
    bare = owner().speak(7, 2)
    patches.wrap(owner, speaking("speak", []))

    assert owner().speak(7, 2) == bare
    assert vars(owner)["speak"] is found


@pytest.mark.parametrize("above", [False, True], ids=["below ours", "above ours"])
def test_another_tools_wrapper_knows_who_is_called(patches: Patches, above: bool) -> None:
    """A descriptor such as wrapt's, which ddtrace and New Relic use, is bound as it always was."""
    seen: list[Any] = []

    class Owner:
        """Has one method."""

        def speak(self, word: str = "hello") -> str:
            """Say it."""
            return word

    def theirs(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        seen.append((type(instance), args, kwargs))
        return wrapped(*args, **kwargs)

    calls: Calls = []
    wrapping: Any = wrapt  # untyped in some of its versions
    if not above:
        wrapping.wrap_function_wrapper(Owner, "speak", theirs)
    patches.wrap(Owner, speaking("speak", calls))
    if above:
        wrapping.wrap_function_wrapper(Owner, "speak", theirs)

    assert Owner().speak("first") == Owner().speak(word="first") == "first"
    assert [call[0] for call in calls] == ["Owner"] * 2
    patches.undo()
    assert Owner().speak() == "hello"
    assert seen == [
        (Owner, ("first",), {}),
        (Owner, (), {"word": "first"}),
        (Owner, (), {}),
    ]
    assert len(calls) == 2


def test_overrides_that_call_super_are_given_back_in_any_order(patches: Patches) -> None:
    """A subclass's method and the one it overrides are wrapped and undone each by itself."""

    class Base:
        def speak(self) -> str:
            return "base"

    class Child(Base):
        def speak(self) -> str:
            return "child of " + super().speak()

    inner, outer = Patches(), patches
    calls: Calls = []
    inner.wrap_definition(Base, speaking("speak", calls))
    outer.wrap_definition(Child, speaking("speak", calls))
    assert Child().speak() == "child of base"
    assert len(calls) == 2

    inner.undo()
    assert Child().speak() == "child of base"
    assert len(calls) == 3
    outer.undo()
    assert Child().speak() == "child of base"
    assert len(calls) == 3
    assert not hasattr(Base.speak, "__wrapped__")
    assert not hasattr(Child.speak, "__wrapped__")


@pytest.mark.parametrize("raises", [False, True])
def test_what_has_begun_is_ended_although_it_is_undone_meanwhile(
    patches: Patches, raises: bool
) -> None:
    """A call may be on its way at uninstall(): what its hook has made current is taken back."""
    told: list[str] = []

    class Owner:
        def speak(self) -> None:
            patches.undo()
            if raises:
                raise KeyError

    def after(token: str, result: Any, error: BaseException | None) -> None:
        told.append(token)

    patches.wrap(Owner, Hook("speak", lambda self: "token", after))
    for _ in range(2):
        with suppress(KeyError):
            Owner().speak()
    assert told == ["token"]


def test_a_class_that_is_wrapped_can_be_garbage(patches: Patches) -> None:
    """An application that makes a class for each server does not keep them all because of us."""

    class Owner:
        def speak(self) -> None:
            """Say nothing."""

    patches.wrap(Owner, speaking("speak", []))
    Owner().speak()
    gone = weakref.ref(Owner)
    assert patches.names() == ["Owner.speak"]
    del Owner
    gc.collect()
    assert gone() is None
    assert patches.names() == []
