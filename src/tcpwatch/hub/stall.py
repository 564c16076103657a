"""The stall watch: says while it happens that an accept loop is stuck and people wait for it."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterable

from tcpwatch import names
from tcpwatch.hub.loop import Loop

logger = logging.getLogger("tcpwatch")

REPEAT_NS = 30_000_000_000

_OURS = frozenset({"tcpwatch_wrapper", "watched_readinto", "watched_write"})
"""Our own functions on a stack: nobody's looks like that without us."""

_DOING = {
    names.LOOP_INLINE: "it is serving {who} itself (the server has no thread to spare for it)",
    names.LOOP_TLS_HANDSHAKE: "{who} has connected and does not go on with its TLS handshake",
    names.LOOP_DISPATCH: "it is starting a thread or process for {who}",
    names.LOOP_ACCEPT: "it is inside get_request()",
    names.LOOP_SERVICE: "it is busy between two requests (service_actions or your own code)",
    names.BLAME_ACCEPT_ERROR: "accept() fails with {error}, about {rate:.0f} times a second",
    names.BLAME_FORK_LIMIT: "it waits for one of its children to end (max_children are running)",
}


class StallWatch:
    """Looks at the loops now and then; logs one warning per stall, again every 30 s, and its end.

    `describe` gives words for a connection's key ("127.0.0.1:40312, in phase app").
    """

    def __init__(
        self,
        loops: Callable[[], Iterable[Loop]],
        describe: Callable[[int | None], str],
        threshold: float,
    ) -> None:
        self._loops = loops
        self._describe = describe
        self._threshold_ns = int(threshold * 1e9)
        self._warned: dict[int, tuple[int, int]] = {}

    def look(self, now: int) -> None:
        """Check every loop; call it a few times a second."""
        for loop in self._loops():
            key, since = loop.listener.key, loop.away_since
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

    def _warn(self, loop: Loop, seconds: float) -> None:
        name = loop.label or loop.state
        who = self._describe(loop.connection)
        doing = _DOING.get(name, name).format(
            who=who, error=loop.failing_with, rate=loop.failures / seconds
        )
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
        )

    def _over(self, loop: Loop, seconds: float) -> None:
        logger.warning("accept loop of %s goes on after %.1f s", _where(loop), seconds)


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
