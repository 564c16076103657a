"""Blame: what the accept loop did while a connection waited in the accept queue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tcpwatch import names
from tcpwatch.core.record import Blame


class Activity(NamedTuple):
    """A stretch of one thing that the loop did, in monotonic nanoseconds.

    `name` is a loop state, `fork_limit` or `accept_error`; `connection` is the key of the
    connection that it was done for, None if it was done for none.
    """

    name: str
    start_ns: int
    end_ns: int
    connection: int | None


# Done for one connection each: a culprit has a name. The others add up by kind.
_OF_A_CONNECTION = frozenset({names.LOOP_INLINE, names.LOOP_TLS_HANDSHAKE})

# select has something to return and accept something to accept: they only wait for the GIL or CPU.
_NOT_SCHEDULED = dict.fromkeys((names.LOOP_IDLE, names.LOOP_ACCEPT), names.BLAME_SCHEDULER)


def blame(history: Iterable[Activity], start_ns: int, end_ns: int) -> Blame | None:
    """Say what held up a connection that waited from `start_ns` to `end_ns`.

    The activity that covers at least half of the wait is the culprit; if none does, but all of
    them together do, they are a convoy. None when the history explains less than half of the wait.
    """
    shares: dict[tuple[str, int | None], int] = {}
    counts: dict[tuple[str, int | None], int] = {}
    for activity in history:
        covered = min(activity.end_ns, end_ns) - max(activity.start_ns, start_ns)
        if covered <= 0:
            continue
        name, connection = activity.name, activity.connection
        name = _NOT_SCHEDULED.get(name, name)
        culprit = (name, connection if name in _OF_A_CONNECTION else None)
        shares[culprit] = shares.get(culprit, 0) + covered
        counts[culprit] = counts.get(culprit, 0) + 1
    half = (end_ns - start_ns) / 2
    if not shares or sum(shares.values()) < half:
        return None
    worst = max(shares, key=lambda culprit: shares[culprit])
    if shares[worst] >= half:
        return Blame(worst[0], shares[worst] / 1e9, counts[worst], worst[1])
    served = sum(count for (_, connection), count in counts.items() if connection is not None)
    members = served or sum(counts.values())
    return Blame(names.BLAME_CONVOY, sum(shares.values()) / 1e9, members, None)
