"""The spans that are current around the application: they cost what somebody does with them.

User code may do with the current span whatever the API allows. Most only takes its ids along, and
most takes not even those. So a span context is made when somebody asks for it, and an SDK span when
somebody reads or writes it; one that nobody has touched is built by the worker, like a
connection's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.trace import Span
from opentelemetry.trace import SpanContext

from tcpwatch.emit.contexts import SAMPLED, State, span_context


class Ids(NamedTuple):
    """What `Exchanged` has of a span; `parent_span_id` is 0 for a root."""

    trace_id: int
    span_id: int
    parent_span_id: int
    parent_is_remote: bool
    flags: int
    trace_state: State

    @property
    def facts(self) -> tuple[Any, ...]:
        """Return the fields of `Exchanged` from trace_id on, of a span that the worker makes."""
        return (*self[:4], self.flags & SAMPLED, self.trace_state, False)

    @property
    def context(self) -> SpanContext:
        """Return the span's context."""
        return span_context(self.trace_id, self.span_id, self.flags, self.trace_state)

    @property
    def parent_context(self) -> SpanContext | None:
        """Return its parent's context; it was sampled if this one is."""
        if not self.parent_span_id:
            return None
        parent, remote = self.parent_span_id, self.parent_is_remote
        return span_context(self.trace_id, parent, self.flags, self.trace_state, remote)


class Carried(trace.NonRecordingSpan):
    """A span that is not recorded here: the context that the application passes on."""

    def __init__(self, ids: Ids) -> None:
        self.ids = ids

    def __getattr__(self, name: str) -> Any:
        """Make the context when it is asked for."""
        if name != "_context" or "ids" not in self.__dict__:
            raise AttributeError(name)
        self._context = self.ids.context
        return self._context


class Started(NamedTuple):
    """A span that the provider's tracer has started, and its ids."""

    span: trace.Span
    ids: Ids


_becoming = threading.RLock()
"""Re-entrant: a signal handler may end the process, and with it the span, in the middle."""


def _forked() -> None:
    # Another thread of the parent's may have held it, and is not here to let it go.
    global _becoming  # noqa: PLW0603  # one lock for all spans, and a fork needs another
    _becoming = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class RequestSpan(Span):
    """A sampled request's span: the SDK's, from the first touch on.

    `start` makes the one that it becomes, with these ids.
    """

    _end_time: int | None = None

    def __init__(self, ids: Ids, start: Callable[[], trace.Span]) -> None:
        self.ids, self._start = ids, start

    def __getattr__(self, name: str) -> Any:
        """Become an SDK span: Python asks here for what an object does not have."""
        mine = self.__dict__
        if "_start" not in mine or not name.startswith("_") or name.startswith("__"):
            raise AttributeError(name)
        if name == "_context":
            context = mine[name] = self.ids.context
            return context
        with _becoming:
            if not self.touched:
                for field, value in vars(self._start()).items():
                    if field != "_end_time":
                        mine.setdefault(field, value)
        if name not in mine:
            raise AttributeError(name)
        return mine[name]

    @property
    def touched(self) -> bool:
        """Whether somebody has done more than take its context along."""
        return "_lock" in self.__dict__

    def ended_untouched(self, end_ns: int) -> bool:
        """End the span, if nobody has touched it; then the worker makes it. Return whether so."""
        with _becoming:
            if self.touched:
                return False
            self._end_time = end_ns
            return True
