"""The fence round our own code: an internal error is counted, logged once and goes no further.

The fence never stands round a call of the host's: its exceptions are the host's business.
"""

from __future__ import annotations

import functools
import logging
import signal
import threading
import traceback
from collections import Counter
from types import CodeType

logger = logging.getLogger("tcpwatch")


class Guard:
    """Counts internal errors by the part that raised; strict, it raises them again (for tests)."""

    def __init__(self) -> None:
        self.errors: Counter[str] = Counter()
        self.strict = False

    def caught(self, part: str, error: BaseException) -> None:
        """Take note of `error`, raised by our code in `part`; log it if it is that part's first.

        Call it from an except clause. Raises `error` again when strict, and if it is not ours.
        """
        if is_of_a_signal(error):
            raise error
        self.errors[part] += 1
        if self.strict or self.errors[part] == 1:
            logger.error(
                "tcpwatch internal error in %s; this part is switched off or its datum lost, "
                "the server is not affected. Please report it.",
                part,
                exc_info=error,
            )
        if self.strict:
            raise error


def is_of_a_signal(error: BaseException) -> bool:
    """Say whether a signal handler of the host's has raised `error` while our code was running.

    Python calls it in the main thread, between any two instructions.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    handlers = {_code(signal.getsignal(number)) for number in signal.valid_signals()}
    return any(frame.f_code in handlers for frame, _ in traceback.walk_tb(error.__traceback__))


def _code(handler: object) -> CodeType | None:
    """Return the code that a callable of any kind runs; None if it is not Python's, or nothing."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    if not callable(handler):
        return None
    for called in (handler, type(handler).__call__):
        code = getattr(called, "__code__", None)
        if isinstance(code, CodeType):
            return code
    return None


guard = Guard()
