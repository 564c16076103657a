"""A watched accept loop: what it does now, how long it did what, and its listener.

Written by the loop's own thread, read by the worker and by metric callbacks, without locks: each
value is one word, and a reader can live with one that is a moment old.
"""

from __future__ import annotations

import socket
from collections import Counter, deque
from time import monotonic_ns as clock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tcpwatch import names
from tcpwatch.hub.compiled import typed
from tcpwatch.kernel.reader import Kernel

if TYPE_CHECKING:
    from tcpwatch.hub.connection import Connection

_IDLE: Final = names.LOOP_IDLE
SHORTEST_ACTIVITY_NS: Final = 20_000
_HISTORY: Final = 4096
_SPINNING: Final = 64
_SPENT: Final = {state: f"{state}_ns" for state in names.LOOP_STATES}
"""The field that has a state's total."""

_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared with, not bound to


class Listener(NamedTuple):
    """What identifies a loop outside the process; plain values, they travel to the helper."""

    key: int
    address: str
    port: int | None
    network_type: str | None
    transport: str
    server_class: str
    forking: bool
    code: tuple[tuple[str, str, str, int], ...]
    """(phase, function, file, line) of the methods that the server's class runs."""


def _own_address(listener: Listener) -> tuple[str, int | None] | None:
    if listener.network_type is None or listener.address in _ANY_ADDRESS:
        return None
    return listener.address, listener.port


@typed
class Loop:
    """The state of one server's accept loop.

    `away_since` is when it last left `select` (monotonic ns), 0 while it is in `select` or ended.
    """

    # With more than 30 attributes an instance without slots would be a plain dictionary.
    __slots__ = (
        *("_drops_at_start", "_failing_errno", "_told", "accept_errors", "accepted", "accepting"),
        *("away_since", "blocked_ns", "by_hand", "connection", "depth", "depth_zero_ns"),
        *("failing_with", "failures", "getting", "history", "kept", "kernel"),
        *("key", "label", "limit", "listener", "own_address", "plain_peers", "running"),
        *("select_returned_ns", "services", "since_ns", "slept", "sock", "spinning", "state"),
        *("thread_id", *_SPENT.values()),
    )

    def __init__(self, listener: Listener, sock: socket.socket | None, kernel: Kernel) -> None:
        self.listener = listener
        self.key = listener.key
        self.sock = sock
        self.kernel = kernel
        self.own_address = _own_address(listener)
        """The local address of every connection; None where each may have another."""
        self.state: str = names.LOOP_SERVICE
        self.since_ns = 0
        self.count(dict.fromkeys(names.LOOP_STATES, 0))
        self._told: dict[str, int] = {}
        self.away_since = 0
        self.thread_id = 0
        self.running = False
        self.accepted = 0
        self.accept_errors: Counter[str] = Counter()
        self.blocked_ns: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self.depth: int | None = None
        self.limit: int | None = None
        self.depth_zero_ns = 0
        self.slept = False
        self.select_returned_ns = 0
        self.history: deque[tuple[object, ...]] = deque(maxlen=_HISTORY)
        """The fields of `Activity`."""
        self.label: str | None = None
        self.connection: int | None = None
        self.getting = False
        """Whether the loop is inside get_request()."""
        self.accepting: Connection | None = None
        """What accept() has returned inside a get_request() that goes on (with TLS, say)."""
        self.services = False
        """Whether the server does something of its own between two turns."""
        self.by_hand = False
        """Whether somebody calls handle_request() in a loop of their own."""
        self.plain_peers = listener.network_type == "ipv4"
        """Whether accept() gives addresses of which nothing is to be taken off."""
        self.spinning = False
        """Whether accept() only fails, at once, again and again (EMFILE): then every µs counts."""
        self.failures = 0
        self.failing_with = ""
        self._failing_errno: int | None = None
        self._drops_at_start = self.read_drops()

    @property
    def totals(self) -> dict[str, int]:
        """Nanoseconds by loop state, without those of the present one."""
        return {state: getattr(self, field) for state, field in _SPENT.items()}

    def count(self, totals: dict[str, int]) -> None:
        """Have these be the totals."""
        for state, ns in totals.items():
            setattr(self, _SPENT[state], ns)

    def spent(self, state: str, ns: int) -> None:
        """Add to the total of a state."""
        field = _SPENT[state]
        setattr(self, field, getattr(self, field) + ns)

    def turn(self, state: str, now: int, connection: int | None = None) -> None:
        """Leave what the loop did until `now` and begin `state`, for `connection` if for one."""
        since = self.since_ns
        if since:
            before, spent = self.state, now - since
            self.spent(before, spent)
            if spent >= SHORTEST_ACTIVITY_NS:
                self.history.append((self.label or before, since, now, self.connection))
        self.state = state
        self.since_ns = now
        self.label = None
        self.connection = connection

    def enter_select(self, now: int) -> None:
        """The loop is about to sleep in `select` until somebody connects."""
        if self.state is _IDLE and self.since_ns:
            return
        self.turn(_IDLE, now)
        self.away_since = 0
        depth = self.read_queue(now)
        self.slept = depth == 0
        if not depth and self.history:
            # Nobody waits, so nothing before this moment can be blamed for a wait.
            self.history.clear()

    def leave_select(self, now: int, state: str) -> None:
        """`select` has returned, because somebody connected or its timeout is over."""
        if not self.away_since:
            self.away_since = now
        self.select_returned_ns = now
        self.turn(state, now)

    def failed(self, error: BaseException, name: str, in_kernel: bool) -> None:
        """accept() has failed; after many failures of the kernel's in a row the loop spins."""
        self.accept_errors[name] += 1
        self.label = names.BLAME_ACCEPT_ERROR
        self.failing_with = name
        self._failing_errno = getattr(error, "errno", None)
        self.failures = self.failures + 1 if in_kernel else 0
        self.spinning = self.failures >= _SPINNING

    def failed_again(self, error: BaseException) -> bool:
        """Count one more failure of a spinning loop. False if it is another one: then no spin."""
        if getattr(error, "errno", None) != self._failing_errno:
            return False
        self.accept_errors[self.failing_with] += 1
        self.failures += 1
        return True

    def recovered(self, now: int) -> None:
        """accept() has not failed."""
        self.failures = 0
        if self.spinning:
            self.spinning = False
            self.turn(names.LOOP_ACCEPT, now)

    def take_history(self, now: int, connection: int) -> list[tuple[object, ...]]:
        """Give away what the loop did up to `now`, for blame; it is accepting `connection`."""
        self.turn(self.state, now, connection)
        history, self.history = self.history, deque(maxlen=_HISTORY)
        return list(history)

    def state_of_affairs(self) -> dict[str, Any]:
        """Return everything that another process should know of the loop, as plain values."""
        return {
            "state": self.label or self.state,
            "since_ns": self.since_ns,
            "away_since": self.away_since,
            "connection": self.connection,
            "totals": self.totals,
            "accepted": self.accepted,
            "errors": dict(self.accept_errors),
            "depth": self.depth,
            "limit": self.limit,
            "drops": self.drops,
        }

    def inherit(self, other: Loop) -> None:
        """Count what another loop has counted, from now on as this one's."""
        for state, ns in other.totals.items():
            self.spent(state, ns)
        self.accepted += other.accepted
        for mine, theirs in (
            (self.accept_errors, other.accept_errors),
            (self.blocked_ns, other.blocked_ns),
            (self.kept, other.kept),
        ):
            mine.update(theirs)

    def stop(self, now: int) -> None:
        """The loop has ended, or nobody watches it any longer."""
        self.turn(names.LOOP_SERVICE, now)
        self.since_ns = self.away_since = 0
        self.running = False

    def read_queue(self, now: int) -> int | None:
        """Read the accept queue's depth and limit from the kernel; return the depth."""
        queue = self.queue()
        if queue is None:
            self.depth = self.limit = None
            return None
        depth, self.limit = queue
        self.depth = depth
        if not depth:
            self.depth_zero_ns = now
        return depth

    def wait_of(self, since_established_ns: int | None, now: int) -> int | None:
        """Return how long a connection accepted at `now` had waited in the queue (ns).

        `since_established_ns` is the kernel's count, in steps of a jiffy. Up to two jiffies may be
        a phantom of that step, so then the loop's own history bounds it (docs/telemetry.md § 1.1).
        """
        if not since_established_ns or since_established_ns > 2 * self.kernel.jiffy_ns:
            return since_established_ns
        latest = self.depth_zero_ns
        if self.slept and self.select_returned_ns > latest:
            latest = self.select_returned_ns
        return max(min(since_established_ns, now - latest), 0) if latest else since_established_ns

    def read_drops(self) -> int | None:
        """Return the listener's drop counter (u32); None where the kernel has none."""
        return self.kernel.drops(self.sock) if self.sock is not None else None

    @property
    def drops(self) -> int | None:
        """Packets that the listener has dropped since it is watched."""
        now = self.read_drops()
        if now is None or self._drops_at_start is None:
            return None
        return (now - self._drops_at_start) & 0xFFFFFFFF

    def times(self) -> dict[str, int]:
        """Return nanoseconds by loop state, the unfinished present one included."""
        while True:
            since, totals, state = self.since_ns, self.totals, self.state
            if since == self.since_ns:  # else the loop has turned meanwhile
                break
        if since:
            totals[state] += max(clock() - since, 0)
        for state, told in self._told.items():  # in the middle of a turn a stretch counts twice
            totals[state] = max(totals[state], told)
        self._told = totals
        return totals

    def queue(self) -> tuple[int, int] | None:
        """Return the accept queue's (depth, limit) now; None where the kernel does not tell."""
        return self.kernel.queue(self.sock) if self.sock is not None else None

    @property
    def busy_ns(self) -> int:
        """How long the loop has now been away from `select`."""
        since = self.away_since
        return max(clock() - since, 0) if since else 0
