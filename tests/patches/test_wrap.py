"""The mechanism of patching, on classes of our own: what is there, what is given back."""

from __future__ import annotations

import functools
import inspect
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tcpwatch.guard import guard
from tcpwatch.patches.wrap import Hook, Patches
from tests.live.wire import LIMIT


class Seen(list[str]):
    """Notes what a hook saw."""

    def hook(self, name: str = "speak") -> Hook:
        """Return a hook that notes each call and how it ended."""

        def before(*args: Any, **kwargs: Any) -> str:
            self.append("before")
            return "token"

        def after(token: str, result: Any, error: BaseException | None) -> None:
            self.append(f"after {result} {type(error).__name__}")

        return Hook(name, before, after)


@pytest.fixture
def seen() -> Seen:
    """Return an empty notebook."""
    return Seen()


@pytest.fixture
def patches(hooks_in: str) -> Iterator[Patches]:
    """Return patches that are undone at the end, and an unforgiving guard that is reset."""
    patches = Patches()
    yield patches
    patches.undo()
    guard.strict = False
    guard.errors.clear()


def family() -> tuple[type, type]:
    """Make a base class with a method and a class that inherits it."""

    class Base:
        def speak(self, word: str = "hello") -> str:
            """Say it."""
            if word == "raise":
                raise KeyError(word)
            return word

    class Child(Base):
        pass

    return Base, Child


def test_own_method_is_given_back(patches: Patches, seen: Seen) -> None:
    """Undo, first case: the class's own method is there again, the very object."""
    base, _ = family()
    original = vars(base)["speak"]
    patches.wrap(base, seen.hook())

    assert base().speak() == "hello"
    assert seen == ["before", "after hello NoneType"]
    patches.undo()

    assert vars(base)["speak"] is original


def test_inherited_method_leaves_no_attribute(patches: Patches, seen: Seen) -> None:
    """Undo, second case: what was inherited is deleted, so later patches of the base are seen."""
    _, child = family()
    patches.wrap(child, seen.hook())
    assert "speak" in vars(child)

    patches.undo()

    assert "speak" not in vars(child)


def test_a_foreign_wrapper_on_top_survives(patches: Patches, seen: Seen) -> None:
    """Undo, third case: another tool's wrapper stays, and ours below it passes through."""
    base, _ = family()
    patches.wrap(base, seen.hook())
    ours = vars(base)["speak"]
    foreign: list[str] = []

    @functools.wraps(ours)
    def theirs(self: Any, *args: Any) -> Any:
        foreign.append("called")
        return ours(self, *args)

    base.speak = theirs  # type: ignore[attr-defined]
    patches.undo()

    assert base().speak() == "hello"
    assert (foreign, seen) == (["called"], [])


def test_a_buried_wrapper_is_switched_on_again(patches: Patches, seen: Seen) -> None:
    """Installing again under a foreign wrapper makes no second wrapper of ours."""
    base, _ = family()
    patches.wrap(base, seen.hook())
    ours = vars(base)["speak"]
    base.speak = functools.wraps(ours)(lambda self: ours(self, "hello"))  # type: ignore[attr-defined]
    patches.undo()

    patches.begin()
    patches.wrap(base, seen.hook())

    assert base().speak() == "hello"
    assert seen == ["before", "after hello NoneType"]


class Meeting(type):
    """The class of classes that call somebody in while they are asked for their module."""

    meet: Callable[[], None] = staticmethod(lambda: None)

    @property
    def __module__(cls) -> str:  # type: ignore[override]  # a property, to be called
        Meeting.meet()
        return "anywhere"


def test_what_is_patched_can_be_asked_while_others_patch(patches: Patches, seen: Seen) -> None:
    """A thread that serves patches what it comes upon, and install() says what is patched."""
    first = Meeting("first", (), {"speak": lambda self: "hello"})
    base, child = family()
    patches.wrap(first, seen.hook())
    patches.wrap(base, seen.hook())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Meeting, "meet", lambda: patches.wrap(child, seen.hook()))
        assert patches.modules() == sorted(["anywhere", __name__])
    assert "speak" in vars(child)


def test_after_the_undoing_nothing_is_wrapped(patches: Patches, seen: Seen) -> None:
    """A thread that was about to patch when others uninstalled leaves everything as it is."""
    base, _ = family()
    original = vars(base)["speak"]
    patches.undo()

    patches.wrap(base, seen.hook())

    assert vars(base)["speak"] is original


def test_two_threads_wrap_a_method_once(seen: Seen) -> None:
    """Two servers of a class begin at the same time: no wrapper of ours is put on another."""
    together = threading.Barrier(2)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(200):
            base, _ = family()
            patches = Patches()

            def wrap(patches: Patches = patches, base: type = base) -> None:
                together.wait(LIMIT)
                patches.wrap(base, seen.hook())

            threads = [threading.Thread(target=wrap) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            seen.clear()
            base().speak()
            assert seen == ["before", "after hello NoneType"]
    finally:
        sys.setswitchinterval(before)


def test_a_foreign_wrapper_below_survives(patches: Patches, seen: Seen) -> None:
    """Undo, fourth case: what another tool had put there before us is there again."""
    base, _ = family()
    theirs = functools.wraps(base.speak)(lambda self: "theirs")  # type: ignore[attr-defined]
    base.speak = theirs  # type: ignore[attr-defined]
    patches.wrap(base, seen.hook())

    assert base().speak() == "theirs"
    patches.undo()

    assert vars(base)["speak"] is theirs


def test_wrapping_twice_is_wrapping_once(patches: Patches, seen: Seen) -> None:
    """A second install changes nothing."""
    base, _ = family()
    patches.wrap(base, seen.hook())
    patches.wrap(base, seen.hook())

    base().speak()

    assert seen == ["before", "after hello NoneType"]


def test_the_defining_class_is_wrapped(patches: Patches, seen: Seen) -> None:
    """wrap_definition finds the method where the class inherits it from."""
    base, child = family()
    patches.wrap_definition(child, seen.hook())

    assert "speak" not in vars(child)
    assert base().speak() == "hello"
    assert seen


def test_a_method_looks_as_it_did(patches: Patches, seen: Seen) -> None:
    """Name, documentation and signature are the host's."""
    base, _ = family()
    signature = inspect.signature(base.speak)  # type: ignore[attr-defined]
    patches.wrap(base, seen.hook())

    assert inspect.signature(base.speak) == signature  # type: ignore[attr-defined]
    assert base.speak.__doc__ == "Say it."  # type: ignore[attr-defined]
    assert base.speak.__qualname__.endswith("Base.speak")  # type: ignore[attr-defined]


def test_the_hosts_exception_goes_through(patches: Patches, seen: Seen) -> None:
    """The same exception, and the hook hears of it."""
    base, _ = family()
    patches.wrap(base, seen.hook())

    with pytest.raises(KeyError) as caught:
        base().speak("raise")

    assert seen == ["before", "after None KeyError"]
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[-1] == "speak"


@pytest.mark.skipif(
    not hasattr(BaseException, "add_note"),
    reason="before 3.11 `raise` restores a traceback that was cut",
)
def test_our_frame_is_not_in_the_traceback(patches: Patches, seen: Seen) -> None:
    """The host prints what it always printed."""
    base, _ = family()
    patches.wrap(base, seen.hook())

    with pytest.raises(KeyError) as caught:
        base().speak("raise")

    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert "tcpwatch_wrapper" not in frames


@pytest.mark.parametrize("where", ["before", "after"])
def test_an_error_of_ours_switches_the_part_off(patches: Patches, where: str) -> None:
    """The host is served, the error is counted once, and the part stays off."""
    base, _ = family()

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError

    hook = Hook("speak", broken) if where == "before" else Hook("speak", lambda *a: 1, broken)
    patches.wrap(base, hook)

    assert base().speak() == "hello"
    assert base().speak() == "hello"
    patches.wrap(base, hook)
    assert base().speak() == "hello"
    assert guard.errors == {"Base.speak": 1}


class Timeout(Exception):
    """What an application gives up with."""


class Alarm:
    """An application's alarm, in every form that a signal handler may have."""

    def method(self, number: int, frame: Any) -> None:
        """Give up."""
        raise Timeout

    __call__ = method


HANDLERS: dict[str, Callable[[int, Any], None]] = {
    "function": lambda number, frame: Alarm().method(number, frame),
    "method": Alarm().method,
    "object": Alarm(),
    "partial": functools.partial(Alarm.method, Alarm()),
}


@pytest.fixture(params=HANDLERS)
def _alarm(request: pytest.FixtureRequest) -> Iterator[None]:
    """Handle SIGALRM for the length of a test."""
    there = signal.signal(signal.SIGALRM, HANDLERS[request.param])
    yield
    signal.signal(signal.SIGALRM, there)


@pytest.mark.usefixtures("_alarm")
@pytest.mark.parametrize("where", ["before", "after"])
def test_what_a_signal_handler_raises_is_the_hosts(patches: Patches, where: str) -> None:
    """It may come while a hook of ours runs; it goes through, and switches nothing off."""
    base, _ = family()

    def interrupted(*args: Any) -> None:
        signal.raise_signal(signal.SIGALRM)

    hook = Hook("speak", interrupted) if where == "before" else Hook("speak", None, interrupted)
    patches.wrap(base, hook)

    for _ in range(2):
        with pytest.raises(Timeout):
            base().speak()
    assert not guard.errors
    assert patches.names() == ["Base.speak"]


def test_a_strict_guard_raises(patches: Patches) -> None:
    """In tests nothing of ours is swallowed."""
    base, _ = family()
    guard.strict = True
    patches.wrap(base, Hook("speak", lambda *a: 1 / 0))

    with pytest.raises(ZeroDivisionError):
        base().speak()
