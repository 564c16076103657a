"""The fence round our own code: an internal error is counted, logged once and goes no further.

The fence never stands round a call of the host's: its exceptions are the host's business.
"""

from __future__ import annotations

import logging
from collections import Counter

logger = logging.getLogger("tcpwatch")


class Guard:
    """Counts internal errors by the part that raised; strict, it raises them again (for tests)."""

    def __init__(self) -> None:
        self.errors: Counter[str] = Counter()
        self.strict = False

    def caught(self, part: str, error: BaseException) -> None:
        """Take note of `error`, raised by our code in `part`; log it if it is that part's first.

        Call it from an except clause. Raises `error` again when strict.
        """
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


guard = Guard()
