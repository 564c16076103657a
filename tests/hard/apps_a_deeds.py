"""What handlers do to the context of their thread, and what has to be left of it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident

from opentelemetry import baggage, context, trace

from tcpwatch.hub import hub
from tests.apps.handlers import Plain

TRACER = "app"
Do = Callable[[], None]


def leaks_a_value() -> None:
    """Attach and never detach."""
    context.attach(context.set_value("leaked", "yes"))


def leaks_a_span() -> None:
    """Make a span current for good."""
    span = trace.get_tracer(TRACER).start_span("never ended")
    context.attach(trace.set_span_in_context(span))


def leaks_baggage() -> None:
    """Attach baggage and never detach."""
    context.attach(baggage.set_baggage("leaked", "yes"))


def empties() -> None:
    """Attach a context without anything."""
    context.attach(context.Context())


def fails() -> None:
    """Fail."""
    raise RuntimeError("the handler failed")


def leaves() -> None:
    """Try to end the program, with a leak."""
    leaks_a_span()
    raise SystemExit


def times_out() -> None:
    """Fail as a read of a silent client does."""
    raise TimeoutError


def nothing() -> None:
    """Do nothing unusual."""


DEEDS: tuple[Do, ...] = (
    *(nothing, leaks_a_value, leaks_a_span, leaks_baggage, empties, fails, leaves, times_out),
)


def handler(do: Do) -> type[Plain]:
    """Return a handler whose GET does this, then answers."""

    class Doing(Plain):
        """Does it."""

        def do_GET(self) -> None:
            """Do it."""
            assert trace.get_current_span().get_span_context().is_valid
            do()
            self.answer(b"done")

    return Doing


def assert_nothing_current() -> None:
    """No span, value or baggage is current on this thread, and it serves nobody."""
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert context.get_current() == {}
    assert hub.serving.connection is None
    assert hub.loops.accepting_here() is None
    assert get_ident() not in hub.serving.dispatching
