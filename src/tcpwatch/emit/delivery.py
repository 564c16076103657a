"""Whether our exporters get rid of their batches, told in at most one log line a minute.

With a collector that is down the SDK's exporters log each retry, ten to twenty lines in half a
minute, and its batch processor that its queue is full. What is logged during an export of ours is
heard here instead, by a filter on the loggers concerned; and an application that logs everything
does not get the HTTP client's lines on each request. Exporters of the application's own are left
alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Final
from weakref import WeakValueDictionary

from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

from tcpwatch.guard import guard
from tcpwatch.weak import alive

logger = logging.getLogger("tcpwatch")

GAP: Final = 60.0
"""Seconds between two lines."""

SHARED: Final = {"opentelemetry.exporter.otlp.common.http", "opentelemetry.sdk._shared_internal"}
"""Loggers that speak for an exporter or its queue, beside those of the exporter's own modules."""

CLIENT: Final = ("urllib3", "urllib3.connectionpool")
"""The HTTP client's logger and the one that tells of each connection and request."""

_DELIVERED: Final = SpanExportResult.SUCCESS.name
"""What each signal's result is called if it has worked."""

_LONGEST: Final = 300
"""Characters of a reason; a collector may answer anything."""

Hear = Callable[[str], None]


class _Ears(threading.local):
    """Who hears what this thread logs; nobody outside exports of ours."""

    hear: Hear | None = None


_ears = _Ears()


def _overheard(hear: Hear, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return `call`, during which `hear` gets what is logged on its thread."""

    def calling(*args: Any, **kwargs: Any) -> Any:
        before, _ears.hear = _ears.hear, hear
        try:
            return call(*args, **kwargs)
        finally:
            _ears.hear = before

    return calling


class Heard:
    """A processor's way into its queue; `hear` gets what is logged on it."""

    def __init__(self, hear: Hear, emit: Callable[[Any], None]) -> None:
        self._hear, self._emit = hear, emit

    def __call__(self, span: Any) -> None:
        """Queue a span."""
        self.each((span,))

    def each(self, spans: Iterable[Any]) -> None:
        """Queue spans."""
        before, _ears.hear = _ears.hear, self._hear
        emit = self._emit
        try:
            for span in spans:
                emit(span)
        finally:
            _ears.hear = before


class Delivery:
    """What becomes of one exporter's batches. `trouble` is None as long as they arrive.

    `setting` is the variable to check if they do not, `tell` is called when something has changed.
    """

    def __init__(
        self, signal: str, destination: str, setting: str, tell: Callable[[], None]
    ) -> None:
        self.signal, self.destination, self.setting = signal, destination, setting
        self._tell = tell
        self.listening = False
        self.trouble: str | None = None
        self.lost = 0

    def __str__(self) -> str:
        """Say what cannot be sent, where to and why."""
        lost = f"; {self.lost} batch(es) lost" if self.lost else ""
        return f"{self.signal} to {self.destination} ({self.trouble}{lost})"

    def watch_queue(self, processor: BatchSpanProcessor) -> None:
        """Hear of spans that the processor drops, because its queue is full."""
        queue: Any = getattr(processor, "_batch_processor", None)
        if callable(getattr(queue, "emit", None)):
            queue.emit = Heard(self._begin, queue.emit)
        else:
            processor.on_end = _overheard(self._begin, processor.on_end)  # type: ignore[method-assign]

    def watch_exports(self, exporter: Any) -> None:
        """Hear of each export; one that raises has failed, as it has for the SDK."""
        export = exporter.export

        def exporting(*args: Any, **kwargs: Any) -> Any:
            if not self.listening:
                return export(*args, **kwargs)
            said: list[str] = []

            def hear(words: str) -> None:
                said.append(words)
                self._begin(words)

            result: Any = SpanExportResult.FAILURE
            try:
                result = _overheard(hear, export)(*args, **kwargs)
            except Exception as error:
                said.append(_words(error))
            try:
                self._end(getattr(result, "name", None) == _DELIVERED, said)
            except Exception as error:
                guard.caught("delivery", error)
            return result

        exporter.export = exporting

    def _begin(self, words: str) -> None:
        self.trouble = self.trouble or words
        self._tell()

    def _end(self, delivered: bool, said: list[str]) -> None:
        if delivered:
            self.trouble = None
        else:
            # What is said first has the cause; the last is that it was tried often enough.
            self.trouble = said[0] if said else "the exporter does not say why"
            self.lost += 1
        self._tell()


class Deliveries:
    """The deliveries of this process, and what is said of them."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        # A delivery lives as long as its exporter, which holds it.
        self._deliveries: WeakValueDictionary[int, Delivery] = WeakValueDictionary()
        self._sources: set[str] = set(SHARED)
        self._told_at = -GAP
        self._told_trouble = self._listening = False
        self._telling = threading.Lock()

    def watch(self, exporter: Any, signal: str, destination: str, setting: str) -> Delivery:
        """Watch an exporter of ours; one that is made after `listen` is heard at once."""
        delivery = Delivery(signal, destination, setting, self.tell)
        delivery.watch_exports(exporter)
        self._deliveries[id(delivery)] = delivery
        self._sources.update(cls.__module__ for cls in type(exporter).__mro__)
        if self._listening:
            delivery.listening = True
            self._hear()
        return delivery

    @property
    def _known(self) -> list[Delivery]:
        return alive(self._deliveries)

    def listen(self) -> None:
        """Speak for our exporters from now on, in place of the SDK."""
        self._listening = True
        for delivery in self._known:
            delivery.listening, delivery.trouble, delivery.lost = True, None, 0
        self._hear()

    def _hear(self) -> None:
        for source in map(logging.getLogger, tuple(self._sources) if self._known else ()):
            if self._filter not in source.filters:
                # Before the SDK's own filter of duplicates: what that has seen it hides for 20 s,
                # also if it is the application's exporter that says the same.
                source.filters.insert(0, self._filter)
        if self._known:
            logging.getLogger(CLIENT[-1]).addFilter(self._unheard)

    def leave(self) -> None:
        """Let our exporters speak for themselves again."""
        self._told_trouble = self._listening = False
        for delivery in self._known:
            delivery.listening = False
        for source in map(logging.getLogger, tuple(self._sources)):
            source.removeFilter(self._filter)
        logging.getLogger(CLIENT[-1]).removeFilter(self._unheard)

    def _filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is to be logged: not if it is about a delivery of ours."""
        hear = _ears.hear
        if hear is None or record.levelno < logging.WARNING:
            return True
        try:
            hear(_cause(record))
        except Exception as error:
            guard.caught("delivery", error)
        return False

    def _unheard(self, record: logging.LogRecord) -> bool:
        """Say whether the HTTP client may log what it does: not for us, unless somebody asks it."""
        return _ears.hear is None or any(logging.getLogger(name).level for name in CLIENT)

    def tell(self) -> None:
        """Say how things stand, if that is news and the last line is long enough ago."""
        troubled = [each for each in self._known if each.trouble and each.listening]
        # Not waited for: who else holds it says the same, or it was held when a process forked.
        if not (troubled or self._told_trouble) or not self._telling.acquire(blocking=False):
            return
        try:
            now = self._clock()
            if now - self._told_at < GAP:
                return
            self._told_at, self._told_trouble = now, bool(troubled)
        finally:
            self._telling.release()
        if troubled:
            logger.warning(
                "telemetry cannot be sent: %s; requests are not affected; check %s",
                ", ".join(map(str, troubled)),
                " and ".join(sorted({each.setting for each in troubled})),
            )
        else:
            logger.warning(
                "telemetry can be sent again; %d batch(es) were lost",
                sum(each.lost for each in self._known),
            )
            for each in self._known:
                each.lost = 0


def _cause(record: logging.LogRecord) -> str:
    """Return why something was logged: the error behind all others if it has one, else its text."""
    given = record.args if isinstance(record.args, tuple) else ()
    errors = [arg for arg in given if isinstance(arg, BaseException)]
    if record.exc_info and record.exc_info[1]:
        errors.append(record.exc_info[1])
    return _words(errors[0]) if errors else _clean(record.getMessage())


def _words(error: BaseException) -> str:
    for _ in range(10):  # an error may be made its own cause
        error = error.__cause__ or error.__context__ or error
    return _clean(f"{type(error).__name__}: {error}")


def _clean(text: str) -> str:
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"


deliveries = Deliveries()
