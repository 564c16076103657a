"""Keeping by outcome: which connections are worth exporting although they were not sampled."""

from __future__ import annotations

from collections import Counter

from tcpwatch import names
from tcpwatch.core.record import ConnectionRecord
from tcpwatch.core.timeline import Timeline
from tcpwatch.settings import Settings

_FAILURES = frozenset({names.HANDLER_ERROR, names.CHILD_DIED})
_NOT_SLOWNESS = frozenset({names.IDLE})
"""A client that says nothing for a while is slow by its own choice."""


class Keeper:
    """Gives a reason for keeping a connection, at most so many a second for each reason."""

    def __init__(self, settings: Settings) -> None:
        self._slow_ns = int(settings.slow * 1e9)
        self._most = settings.keep_per_second
        self._second = 0
        self._given: Counter[str] = Counter()

    def may_keep(self, connection: Timeline) -> bool:
        """Say whether a connection that is over can have a reason at all: most have none."""
        return (
            connection.since_ns - connection.start_ns >= self._slow_ns
            or connection.server_errors > 0
            or connection.blocking is not None
            or connection.outcome in _FAILURES
        )

    def reason(self, record: ConnectionRecord) -> str | None:
        """Return `blocking`, `failed` or `slow`; None if it is dull or there are enough."""
        reason = self._interest(record)
        if reason is None:
            return None
        second = record.end_ns // 1_000_000_000
        if second != self._second:
            self._second = second
            self._given.clear()
        if self._given[reason] >= self._most:
            return None
        self._given[reason] += 1
        return reason

    def _interest(self, record: ConnectionRecord) -> str | None:
        if record.blocking is not None:
            return names.KEPT_BLOCKING
        if record.outcome in _FAILURES or record.server_errors:
            return names.KEPT_FAILED
        for phase, spent in record.phases.items():
            if spent >= self._slow_ns and phase not in _NOT_SLOWNESS:
                return names.KEPT_SLOW
        return None
