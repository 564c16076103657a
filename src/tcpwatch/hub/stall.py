"""The stall watch: says while it happens that an accept loop is stuck and people wait for it."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tcpwatch import names
from tcpwatch.hub.loop import Loop

logger = logging.getLogger("tcpwatch")

REPEAT_NS = 30_000_000_000

_OURS = frozenset({"tcpwatch_wrapper", "watched_readinto", "watched_write"})
"""Our own functions on a stack: nobody's looks like that without us."""

_DOING = {
    names.LOOP_INLINE: "it is serving {who} (itself: the server has no thread to spare for it)",
    names.LOOP_TLS_HANDSHAKE: "{who} has connected and does not go on with its TLS handshake",
    names.LOOP_DISPATCH: "it is starting a thread or process for {who}",
    names.LOOP_ACCEPT: "it is inside get_request()",
    names.LOOP_SERVICE: "it is busy between two requests (service_actions or your own code)",
    names.BLAME_ACCEPT_ERROR: "accept() fails with {error}, about {rate:.0f} times a second",
    names.BLAME_FORK_LIMIT: "it waits for one of its children to end (max_children are running)",
}


class Holder(NamedTuple):
    """The connection that holds a loop, as far as it is known; `name` is for people."""

    name: str
    id: str | None = None
    peer: tuple[str, int | None] | None = None
    phase: str | None = None

    @property
    def attributes(self) -> dict[str, object]:
        """What is known, by the contract's names."""
        address, port = self.peer or (None, None)
        found = {
            names.BLOCKED_BY_CONNECTION_ID: self.id,
            names.NETWORK_PEER_ADDRESS: address,
            names.NETWORK_PEER_PORT: port,
            names.PHASE_NAME: self.phase,
        }
        return {name: value for name, value in found.items() if value is not None}


class StallWatch:
    """Looks at the loops now and then; logs one warning per stall, again every 30 s, and its end.

    `identify` says whose connection a key is.
    """

    def __init__(
        self,
        loops: Callable[[], Iterable[Loop]],
        identify: Callable[[int | None], Holder],
        threshold: float,
    ) -> None:
        self._loops = loops
        self._identify = identify
        self.threshold = threshold
        self._threshold_ns = int(threshold * 1e9)
        self._warned: dict[int, tuple[int, int]] = {}

    def look(self, now: int) -> bool:
        """Check every loop; call it a few times a second. Return whether one is not in `select`."""
        any_away = False
        for loop in self._loops():
            key, since = loop.listener.key, loop.away_since
            any_away = any_away or bool(since)
            stall, last = self._warned.get(key, (0, 0))
            if stall and stall != since:
                del self._warned[key]
                self._over(loop, (max(since or loop.since_ns, stall) - stall) / 1e9)
                last = 0
            if not since or now - since < self._threshold_ns or (last and now - last < REPEAT_NS):
                continue
            loop.read_queue(now)
            if loop.depth:
                self._warned[key] = (since, now)
                self._warn(loop, (now - since) / 1e9)
        return any_away

    def _warn(self, loop: Loop, seconds: float) -> None:
        name = loop.label or loop.state
        connection = loop.connection
        holder = self._identify(connection)
        who = f"{holder.name}, in phase {holder.phase}" if holder.phase else holder.name
        doing = _DOING.get(name, name).format(
            who=who, error=loop.failing_with, rate=loop.failures / seconds
        )
        holding = holder.attributes if connection is not None else {}
        logger.warning(
            "accept loop of %s has not accepted for %.1f s: %s [%s]; %d connection(s) wait in the "
            "accept queue (limit %s)%s",
            _where(loop),
            seconds,
            doing,
            name,
            loop.depth,
            loop.limit,
            _stack(loop.thread_id),
            extra={
                **_about(loop, names.STALL_STUCK, seconds),
                names.BLOCKED_BY_ACTIVITY: name,
                names.ACCEPT_QUEUE_DEPTH: loop.depth,
                **({} if loop.limit is None else {names.ACCEPT_QUEUE_LIMIT: loop.limit}),
                **holding,
            },
        )

    def _over(self, loop: Loop, seconds: float) -> None:
        about = _about(loop, names.STALL_OVER, seconds)
        logger.warning("accept loop of %s goes on after %.1f s", _where(loop), seconds, extra=about)


def _about(loop: Loop, state: str, seconds: float) -> dict[str, object]:
    listener = loop.listener
    found = {
        names.STALL_STATE: state,
        names.STALL_DURATION: seconds,
        names.SERVER_ADDRESS: listener.address,
        names.SERVER_PORT: listener.port,
        names.SERVER_CLASS: listener.server_class,
    }
    return {name: value for name, value in found.items() if value is not None}


def _where(loop: Loop) -> str:
    listener = loop.listener
    where = listener.address if listener.port is None else f"{listener.address}:{listener.port}"
    return f"{listener.server_class} on {where}"


def _stack(thread_id: int) -> str:
    frame = sys._current_frames().get(thread_id) if thread_id else None
    if frame is None:
        return ""
    try:
        stack = [each for each in traceback.extract_stack(frame) if each.name not in _OURS]
        return "; the loop's thread is here:\n" + "".join(traceback.format_list(stack)).rstrip()
    finally:
        del frame
