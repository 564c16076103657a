"""Counters and gauges, read from the hub's integers when somebody collects them.

A counter whose attributes are known beforehand begins at 0: a back end takes the growth of what it
has seen, and would miss all that a series begins with.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from tcpwatch import names
from tcpwatch.emit import attributes as words
from tcpwatch.guard import guard
from tcpwatch.hub import Hub
from tcpwatch.hub.loop import Loop
from tcpwatch.hub.snapshot import ConnectionSnapshot, snapshots

Key = tuple[tuple[str, Any], ...]


class Observables:
    """The observable instruments; silent in another process than the one that made them."""

    def __init__(self, meter: Meter, hub: Hub) -> None:
        self._hub = hub
        self._open_count: set[Key] = set()
        self._open_age: set[Key] = set()
        self._handler_count: set[Key] = set()
        self._seen_requests: set[tuple[str, str]] = set()
        for name, unit, meaning, observe in (
            (names.M_CONNECTION_ACCEPTED, "{connection}", "Accepted.", self._accepted),
            (names.M_CONNECTION_KEPT, "{connection}", "Kept though unsampled.", self._kept),
            (names.M_QUEUE_DROPS, "{packet}", "Dropped by the listener.", self._drops),
            (names.M_ACCEPT_ERRORS, "{error}", "accept() failed.", self._accept_errors),
            (names.M_LOOP_TIME, "s", "What the accept loop did.", self._loop_time),
            (names.M_LOOP_BLOCKED_TIME, "s", "Waits, by culprit.", self._blocked_time),
            (names.M_SELF_TIME, "s", "tcpwatch on serving threads.", self._self_time),
            (names.M_SELF_DROPPED, "{record}", "Lost by tcpwatch.", self._self_dropped),
            (names.M_SELF_ERRORS, "{error}", "Errors inside tcpwatch.", self._self_errors),
        ):
            meter.create_observable_counter(name, [self._here(observe)], unit, meaning)
        for name, unit, meaning, observe in (
            (names.M_CONNECTION_ACTIVE, "{connection}", "Open now.", self._active),
            (names.M_HANDLER_ACTIVE, "{handler}", "Handlers running now.", self._handlers),
            (names.M_ACTIVE_REQUESTS, "{request}", "Requests in flight.", self._requests),
        ):
            meter.create_observable_up_down_counter(name, [self._here(observe)], unit, meaning)
        for name, unit, meaning, observe in (
            (names.M_CONNECTION_OLDEST, "s", "Age of the oldest open one.", self._oldest),
            (names.M_QUEUE_DEPTH, "{connection}", "In the accept queue now.", self._depth),
            (names.M_QUEUE_LIMIT, "{connection}", "The accept queue's limit.", self._limit),
            (names.M_LOOP_BUSY, "s", "The loop away from select now.", self._busy),
        ):
            meter.create_observable_gauge(name, [self._here(observe)], unit, meaning)

    def _here(
        self, observe: Callable[[], Iterable[Observation]]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def callback(options: CallbackOptions) -> Iterable[Observation]:
            if os.getpid() != self._hub.observed_pid or self._hub.output is None:
                return []
            try:
                return list(observe())
            except Exception as error:
                guard.caught("metrics", error)
                return []

        return callback

    def _sum(self, values: Iterable[tuple[Loop, dict[str, Any], float]]) -> Iterable[Observation]:
        """Add up loops that share a listener's attributes: one series, one observation."""
        totals: dict[Key, float] = defaultdict(int)
        for loop, extra, value in values:
            totals[_key({**words.listener_attributes(loop.listener), **extra})] += value
        for key, total in totals.items():
            yield Observation(total, dict(key))

    def _accepted(self) -> Iterable[Observation]:
        return self._sum((loop, {}, loop.accepted) for loop in self._hub.loops.known())

    def _kept(self) -> Iterable[Observation]:
        return self._sum(
            (loop, {names.KEPT_REASON: reason}, loop.kept[reason])
            for loop in self._hub.loops.known()
            for reason in names.KEPT_REASONS
        )

    def _drops(self) -> Iterable[Observation]:
        return self._sum(
            (loop, {}, drops) for loop in self._hub.loops if (drops := loop.drops) is not None
        )

    def _accept_errors(self) -> Iterable[Observation]:
        return self._sum(
            (loop, {names.ERROR_TYPE: error}, count)
            for loop in self._hub.loops.known()
            for error, count in list(loop.accept_errors.items())
        )

    def _loop_time(self) -> Iterable[Observation]:
        return self._sum(
            (loop, {names.LOOP_STATE: state}, spent / 1e9)
            for loop in self._hub.loops.known()
            for state, spent in loop.times().items()
        )

    def _blocked_time(self) -> Iterable[Observation]:
        return self._sum(
            (loop, {names.BLOCKED_BY_ACTIVITY: culprit}, loop.blocked_ns[culprit] / 1e9)
            for loop in self._hub.loops.known()
            if loop.depth is not None or loop.blocked_ns  # else the kernel tells of no wait
            for culprit in names.CULPRITS
        )

    def _self_time(self) -> Iterable[Observation]:
        yield Observation(self._hub.self_ns / 1e9)

    def _self_dropped(self) -> Iterable[Observation]:
        post, worker = self._hub.post, self._hub.post.worker
        totals = Counter(post.dropped) + Counter(self._hub.reported_losses)
        if worker is not None:
            totals += Counter(worker.dropped)
        for reason, count in totals.items():
            yield Observation(count, {names.REASON: reason})

    def _self_errors(self) -> Iterable[Observation]:
        totals = Counter(guard.errors) + Counter(self._hub.reported_errors)
        for part, count in totals.items():
            yield Observation(count, {names.REASON: part})

    def _open(self) -> Iterable[tuple[Loop, ConnectionSnapshot]]:
        for snapshot in snapshots(self._hub):
            loop = self._hub.loops.by_key(snapshot.loop)
            if loop is not None:
                yield loop, snapshot

    def _active(self) -> Iterable[Observation]:
        return self._gauge(
            self._open_count,
            ((loop, {names.PHASE_NAME: seen.phase}, 1) for loop, seen in self._open()),
            sum,
        )

    def _oldest(self) -> Iterable[Observation]:
        return self._gauge(
            self._open_age,
            ((loop, {names.PHASE_NAME: seen.phase}, seen.age) for loop, seen in self._open()),
            max,
        )

    def _handlers(self) -> Iterable[Observation]:
        return self._gauge(
            self._handler_count,
            (
                (loop, {names.DISPATCH_KIND: seen.dispatch}, 1)
                for loop, seen in self._open()
                if seen.dispatch is not None and seen.phase != names.CLOSE
            ),
            sum,
        )

    def _gauge(
        self,
        known: set[Key],
        values: Iterable[tuple[Loop, dict[str, Any], float]],
        join: Callable[[list[float]], float],
    ) -> Iterable[Observation]:
        """Join what falls into one series. A series that was seen once goes back to 0, not away."""
        found: dict[Key, list[float]] = {key: [] for key in known}
        for loop, extra, value in values:
            key = _key({**words.listener_attributes(loop.listener), **extra})
            found.setdefault(key, []).append(value)
        known.update(found)
        for key, members in found.items():
            yield Observation(join(members) if members else 0, dict(key))

    def _requests(self) -> Iterable[Observation]:
        totals: dict[tuple[str, str], int] = dict.fromkeys(self._seen_requests, 0)
        for _, seen in self._open():
            if seen.method is not None:
                key = (words.known_method(seen.method), seen.scheme or "http")
                totals[key] = totals.get(key, 0) + 1
        self._seen_requests.update(totals)
        for (method, scheme), count in totals.items():
            yield Observation(count, {names.HTTP_REQUEST_METHOD: method, names.URL_SCHEME: scheme})

    def _depth(self) -> Iterable[Observation]:
        return self._queue(0)

    def _limit(self) -> Iterable[Observation]:
        return self._queue(1)

    def _queue(self, which: int) -> Iterable[Observation]:
        return self._sum(
            (loop, {}, queue[which])
            for loop in self._hub.loops
            if (queue := loop.queue()) is not None
        )

    def _busy(self) -> Iterable[Observation]:
        return self._sum((loop, {}, loop.busy_ns / 1e9) for loop in self._hub.loops)


def _key(attributes: dict[str, Any]) -> Key:
    return tuple(sorted(attributes.items()))
