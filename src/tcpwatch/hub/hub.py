"""The hub: what is watched now, and the way from a serving thread to the worker.

One per process. The serving threads' side takes no lock: dictionaries and deques are atomic under
the GIL, and each connection is one thread's at a time.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator
from time import monotonic_ns as clock
from time import time_ns as wall_clock
from typing import Any

from tcpwatch import names
from tcpwatch.core.marks import Accepted, Closing, Kind, Mark
from tcpwatch.core.timeline import phase_after
from tcpwatch.guard import guard
from tcpwatch.hub.connection import APP, Connection
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.hub.output import Output
from tcpwatch.hub.relay import Message, Relay, receive
from tcpwatch.hub.snapshot import ConnectionSnapshot
from tcpwatch.hub.stall import StallWatch
from tcpwatch.hub.worker import Worker
from tcpwatch.kernel.reader import Kernel
from tcpwatch.settings import Settings

Opener = Callable[["Hub", bool], Output]
"""Makes the way out at the first accept; its second argument: does the accepting process fork?"""


class Serving(threading.local):
    """What this thread does: the loop it runs, the connection it accepts, dispatches or serves."""

    loop: Loop | None = None
    accepting: Connection | None = None
    dispatching: Connection | None = None
    connection: Connection | None = None


class Hub:
    """See the module."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.kernel = Kernel()
        self.active = False
        self.serving = Serving()
        self.output: Output | None = None
        self.relay: Relay | None = None
        self.opener: Opener | None = None
        self.opened: Callable[[], None] = lambda: None
        self.connections: dict[int, Connection] = {}
        self.loops: dict[int, Loop] = {}
        self.retired: deque[Loop] = deque(maxlen=64)
        self.worker: Worker | None = None
        self.self_ns = 0
        self.dropped: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self.pid = os.getpid()
        self.in_child = False
        self.remote = False
        self.flush_in_vain = 0
        self._by_socket: dict[int, Connection] = {}
        self._queue: deque[Message] = deque()
        self._keys = itertools.count(1)
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._at_fork = False

    # -- life ------------------------------------------------------------------------------------

    def start(self, settings: Settings, opener: Opener) -> None:
        """Begin to watch; called by install()."""
        self.settings, self.opener = settings, opener
        guard.strict = settings.strict
        self.active = True
        if not self._at_fork and hasattr(os, "register_at_fork"):
            self._at_fork = True
            os.register_at_fork(
                after_in_child=self._after_fork_in_child, after_in_parent=self._after_fork_in_parent
            )

    def stop(self, outcome: str) -> None:
        """Watch no longer; what is open ends as `outcome` (uninstalled or server_shutdown)."""
        self.active = False
        for connection in list(self.connections.values()):
            self.abandon(connection, outcome)
        for loop in list(self.loops.values()):
            loop.stop(clock())
            self.report(loop)
        if self.remote:
            self.post(("abandon", outcome))
        elif self.worker is not None:
            self.worker.settle(1.0)
            self.worker.abandon_all(outcome)

    def forget(self) -> None:
        """Drop the loops, the worker and the way out: the next install() starts afresh."""
        worker, self.worker = self.worker, None
        if worker is not None:
            worker.stop()
        self.output = None
        self.relay = None
        self.remote = False
        self.loops.clear()
        self.retired.clear()

    # -- loops -----------------------------------------------------------------------------------

    def add_loop(self, identity: int, listener: Listener, sock: socket.socket | None) -> Loop:
        """Watch the loop of the server with this id(); `listener.key` is ignored and set here."""
        loop = Loop(listener._replace(key=next(self._keys)), sock, self.kernel)
        self.loops[identity] = loop
        return loop

    def retire(self, identity: int) -> None:
        """The server of a loop is gone; what the loop has counted is remembered for a while."""
        loop = self.loops.pop(identity, None)
        if loop is not None:
            loop.sock = None
            self.retired.append(loop)

    def all_loops(self) -> list[Loop]:
        """Return the loops that are or were watched, for counters that must not run backwards."""
        return [*self.loops.values(), *self.retired]

    def loop_began(self, loop: Loop) -> None:
        """The loop's thread has entered its turn: from now on somebody should look at it."""
        loop.running = True
        loop.thread_id = threading.get_ident()
        if self.worker is None and not loop.listener.forking and not self.remote:
            self.start_worker()

    def loop_by_key(self, key: int) -> Loop | None:
        """Return the loop whose listener has this key."""
        return next((loop for loop in self.all_loops() if loop.listener.key == key), None)

    def start_worker(self) -> Worker:
        """Start the worker's thread in this process, once."""
        with self._lock:
            if self.worker is None:
                settings = self.settings
                watch = StallWatch(
                    lambda: list(self.loops.values()), self.describe, settings.stall
                )
                self.worker = Worker(
                    self._queue, self.loop_by_key, self._sinks, watch, settings.blame_min
                )
                self._thread = threading.Thread(
                    target=self.worker.run, name="tcpwatch-worker", daemon=True
                )
                self._thread.start()
            return self.worker

    def _sinks(self) -> list[Any]:
        return self.output.sinks if self.output is not None else []

    def open(self, forking: bool) -> Output:
        """Open the way out, at the first accept; later calls return the same."""
        if self.output is None:
            with self._lock:
                opener = self.opener
                if self.output is None and opener is not None:
                    self.output = opener(self, forking)
                    self.opened()
        assert self.output is not None
        return self.output

    # -- connections -----------------------------------------------------------------------------

    def accept(self, loop: Loop, sock: socket.socket, peer: Any, now: int) -> Connection:
        """A watched loop's kernel accept has returned `sock`; it is not shaken hands with yet.

        It is not bound yet either: TLS makes another object of it.
        """
        output = self.output or self.open(loop.listener.forking)
        kernel = self.kernel
        facts = kernel.accepted(sock)
        since = facts.since_data_sent_ms * 1_000_000 if facts is not None else None
        wait = loop.wait_of(since, now)
        loop.read_queue(now)
        loop.accepted += 1
        trace_id, span_id = output.allocate()
        key = next(self._keys)
        accepted = Accepted(
            wall_clock(),
            loop.listener.key,
            wait,
            loop.depth,
            loop.limit,
            facts.state if facts is not None else None,
            _address(peer) if self.settings.peer_address else None,
            _own_address(sock),
            kernel.cookie(sock),
            facts.rtt_us if facts is not None else None,
            facts.synack_retransmits if facts is not None else None,
            trace_id,
            span_id,
        )
        connection = Connection(key, loop, now, threading.get_ident(), accepted)
        loop.connection = key
        self.connections[key] = connection
        if wait is not None and wait >= self.settings.blame_min * 1e9:
            loop.turn(loop.state, now, key)
            history, loop.history = loop.history, deque(maxlen=loop.history.maxlen)
            self.post(
                ("history", loop.listener.key, [tuple(activity) for activity in history])
            )
        return connection

    def bind(self, connection: Connection, sock: Any) -> None:
        """From now on `sock` (what get_request returned: often wrapped) is this connection's."""
        if connection.socket_id:
            self._by_socket.pop(connection.socket_id, None)
        identity = connection.socket_id = id(sock)
        self._by_socket[identity] = connection
        try:
            connection.socket_ref = weakref.ref(sock, lambda _: self._collected(connection))
        except TypeError:  # not everything that get_request may return can be referenced weakly
            connection.socket_ref = None

    def find(self, sock: Any) -> Connection | None:
        """Return the connection of a socket, None if it is not watched."""
        return self._by_socket.get(id(sock))

    def _collected(self, connection: Connection) -> None:
        if not connection.over and not connection.forked and connection.pid == os.getpid():
            self.closed(connection, None)

    def hand_over(self, connection: Connection, phase: str, now: int) -> None:
        """Give the marks made so far to the worker; they led to `phase` at `now`."""
        marks = connection.take_marks((phase, now))
        if marks:
            self.post(("marks", connection.key, marks))

    def closed(self, connection: Connection, closing: Closing | None) -> None:
        """The connection's socket is closed."""
        now = clock()
        self._end(
            connection, (Kind.CLOSED, now, tuple(closing) if closing is not None else None), now
        )

    def abandon(self, connection: Connection, outcome: str) -> None:
        """The connection goes on without us, or ends with the process."""
        exchange = connection.exchange
        if exchange is not None and not exchange.ended and self.output is not None:
            exchange.ended = True
            try:
                self.output.requests.end(connection, exchange)
            except Exception as error:
                guard.caught("request span", error)
        now = clock()
        self._end(connection, (Kind.ABANDONED, now, outcome), now)

    def _end(self, connection: Connection, mark: Mark, now: int) -> None:
        if connection.over:
            return
        connection.over = True
        connection.marks.append(mark)
        self.forget_connection(connection)
        self.hand_over(connection, names.CLOSE, now)

    def forget_connection(self, connection: Connection) -> None:
        """This process has nothing to do with the connection any longer."""
        self.connections.pop(connection.key, None)
        self._by_socket.pop(connection.socket_id, None)

    # -- the way to the worker -------------------------------------------------------------------

    def post(self, message: Message) -> None:
        """Send a message to the worker, wherever it is; a full queue loses its oldest."""
        if self.remote or self.in_child:
            relay = self.relay
            if relay is None:
                self.dropped["no_relay"] += 1
            elif not relay.send(message, 0.05 if self.in_child else 0.0):
                self.dropped["relay_full"] += 1
            return
        queue = self._queue
        if len(queue) >= self.settings.queue_size:
            try:
                queue.popleft()
            except IndexError:
                pass
            self.dropped["queue_full"] += 1
        queue.append(message)
        if len(queue) > 256 and self.worker is not None:
            self.worker.wake.set()

    def post_of_child(self, message: Message) -> None:
        """Send a message on a child by the way that the child's own take, so that none overtakes."""
        relay = self.relay
        if relay is not None and not self.remote:
            relay.send(message, 0.05)
        else:
            self.post(message)

    def report(self, loop: Loop) -> None:
        """Tell a worker in another process what the loop does now."""
        if not self.remote or self.in_child:
            return
        state = {
            "state": loop.label or loop.state,
            "since_ns": loop.since_ns,
            "away_since": loop.away_since,
            "connection": loop.connection,
            "totals": dict(loop.totals),
            "accepted": loop.accepted,
            "errors": dict(loop.accept_errors),
            "depth": loop.depth,
            "limit": loop.limit,
            "drops": loop.drops,
            "self_ns": self.self_ns,
            "self_errors": dict(guard.errors),
        }
        self.post(("loop", tuple(loop.listener), state))

    # -- forks -----------------------------------------------------------------------------------

    def prepare_fork(self, connection: Connection) -> None:
        """The loop is about to fork for `connection`: the child will send its marks by the relay."""
        if self.relay is None:
            relay = self.relay = Relay()
            worker = self.worker or self.start_worker()
            threading.Thread(
                target=self._collect, args=(relay, worker), name="tcpwatch-relay", daemon=True
            ).start()
        self.hand_over(connection, names.DISPATCH, connection.accepted_ns)

    def _collect(self, relay: Relay, worker: Worker) -> None:
        while (message := receive(relay.far_end)) is not None:
            if message[0] == "flush_in_vain":
                self.flush_in_vain = clock()
            else:
                self._queue.append(message)

    def _after_fork_in_parent(self) -> None:
        connection = self.serving.dispatching
        if connection is not None and not connection.handling:
            connection.forked = True

    def _after_fork_in_child(self) -> None:
        if not self.active:
            return
        connection = self.serving.dispatching
        self.connections.clear()
        self._by_socket.clear()
        self._queue = deque()
        self._lock = threading.RLock()
        self.worker = self._thread = None
        if connection is None or connection.handling:
            # Somebody else's fork: if this process serves too, it starts as if just installed.
            self.loops.clear()
            self.output = self.relay = None
            self.remote = False
            self.pid = os.getpid()
            return
        self.in_child = True
        connection.pid = os.getpid()
        connection.marks = []
        self.connections[connection.key] = connection
        self._by_socket[connection.socket_id] = connection

    # -- looking ---------------------------------------------------------------------------------

    def snapshots(self) -> Iterator[ConnectionSnapshot]:
        """Look at every connection that is open now, in this process and in its children."""
        now = clock()
        seen = set()
        for connection in list(self.connections.values()):
            seen.add(connection.key)
            phase, since = phase_after(*connection.tail, list(connection.marks))
            yield self._snapshot(connection, phase, since, now)
        worker = self.worker
        if worker is None:
            return
        pids = {key: pid for pid, key in list(worker.pids.items())}
        for key, timeline in list(worker.timelines.items()):
            if key in seen or timeline.accepted is None or timeline.over:
                continue
            accepted, loop = timeline.accepted, self.loop_by_key(timeline.accepted.listener)
            yield ConnectionSnapshot(
                id=accepted.cookie,
                server=loop.listener.server_class if loop is not None else "",
                peer=accepted.peer,
                dispatch=timeline.dispatch,
                phase=timeline.phase,
                phase_age=(now - timeline.since_ns) / 1e9,
                age=(now - timeline.start_ns) / 1e9,
                requests=timeline.sequence,
                pid=pids.get(key, self.pid),
                loop=accepted.listener,
            )

    def _snapshot(
        self, connection: Connection, phase: str, since: int, now: int
    ) -> ConnectionSnapshot:
        accepted, exchange = connection.accepted, connection.exchange
        asking = exchange if exchange is not None and connection.stage >= APP else None
        if asking is not None and (asking.ended or asking.peer_instrumented or asking.excluded):
            asking = None
        return ConnectionSnapshot(
            id=accepted.cookie,
            server=connection.loop.listener.server_class,
            peer=accepted.peer,
            dispatch=connection.dispatch,
            phase=phase,
            phase_age=max(now - since, 0) / 1e9,
            age=(now - connection.accepted_ns + (accepted.wait_ns or 0)) / 1e9,
            requests=connection.sequence,
            pid=connection.pid,
            loop=connection.loop.listener.key,
            method=(asking.method or "") if asking is not None else None,
            scheme=asking.scheme if asking is not None else None,
        )

    def describe(self, key: int | None) -> str:
        """Return words for a connection: its peer, and its phase if it is open."""
        connection = self.connections.get(key) if key is not None else None
        if connection is not None:
            peer = connection.accepted.peer
            phase, _ = phase_after(*connection.tail, list(connection.marks))
            return f"{_spell(peer)}, in phase {phase}"
        known = self.worker.acquaintance(key) if self.worker is not None else None
        return _spell(known.peer) if known is not None else "a connection"


def _spell(peer: tuple[str, int | None] | None) -> str:
    if peer is None:
        return "a client"
    return peer[0] if peer[1] is None else f"{peer[0]}:{peer[1]}"


def _address(address: Any) -> tuple[str, int | None] | None:
    """Return (address, port) of a socket address of any family; None if it has no name."""
    if isinstance(address, tuple) and len(address) >= 2:
        return str(address[0]), int(address[1])
    if isinstance(address, bytes):
        address = "@" + address[1:].decode("utf-8", "replace")
    return (address, None) if address else None


def _own_address(sock: socket.socket) -> tuple[str, int | None] | None:
    try:
        return _address(sock.getsockname())
    except OSError:
        return None


hub = Hub()
