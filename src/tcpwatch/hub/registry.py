"""The hub: the loops and connections that are watched now, and what happens to them.

One per process. The serving threads' side takes no lock: dictionaries and deques are atomic under
the GIL, and each connection is one thread's at a time.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
import weakref
from time import monotonic_ns as clock
from time import sleep
from time import time_ns as wall_clock
from typing import Any, Final

from tcpwatch import names
from tcpwatch.core import kinds
from tcpwatch.core.marks import Ending
from tcpwatch.guard import guard
from tcpwatch.hub import exchanges, forks
from tcpwatch.hub.connection import Connection
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.hub.loops import Loops
from tcpwatch.hub.opening import Opening
from tcpwatch.hub.output import Opener, Output, Sink
from tcpwatch.hub.pace import Pace
from tcpwatch.hub.post import Post
from tcpwatch.hub.serving import Serving
from tcpwatch.hub.snapshot import identify
from tcpwatch.hub.stall import StallWatch
from tcpwatch.hub.worker import Worker
from tcpwatch.kernel.addresses import own_address, plain_address
from tcpwatch.kernel.reader import Kernel
from tcpwatch.settings import Settings

_SETTLING: Final = 1.0
_ENDING_NS: Final = 250_000_000

_YOUNG_NS: Final = 50_000_000
"""A request that takes longer waits for something else, and to one that streams there is no end."""


class SocketRef(weakref.ref[Any]):
    """A reference that knows whose socket it leads to; a callback of each one's own costs more."""

    __slots__ = ("connection",)
    connection: Connection


class Hub:
    """See the module."""

    __slots__ = (
        *("_hears_forks", "_keys", "active", "by_socket", "connections", "flush_in_vain_ns"),
        *("is_helper", "kernel", "lock", "loops", "observed_pid", "opening", "output", "pid"),
        *("post", "reported_errors", "reported_losses", "self_ns", "serving", "settings"),
    )

    def __init__(self) -> None:
        self.settings = Settings()
        self.kernel = Kernel()
        self.active = False
        self.is_helper = False
        """Whether this process only has the worker: its connections are other processes'."""
        self.serving = Serving()
        self.post = Post(self.settings.queue_size)
        self.output: Output | None = None
        self.opening = Opening()
        self.connections: dict[int, Connection] = {}
        self.loops = Loops()
        self.self_ns = 0
        self.reported_errors: dict[str, int] = {}
        self.reported_losses: dict[str, int] = {}
        """In the helper: what the accepting process has counted itself."""
        self.flush_in_vain_ns = 0
        self.pid = self.observed_pid = os.getpid()
        """The process that accepts, and the one whose metric callbacks speak (the helper's)."""
        self.lock = threading.RLock()
        self.by_socket: dict[int, Connection] = {}
        self._keys = itertools.count(1)
        self._hears_forks = False

    # -- life ------------------------------------------------------------------------------------

    def start(self, settings: Settings, opener: Opener) -> None:
        """Begin to watch; called by install()."""
        self.settings, self.opening = settings, Opening(opener)
        self.pid = self.observed_pid = os.getpid()
        self.post.hold(settings.queue_size)
        guard.strict = settings.strict
        self.active = True
        if not self._hears_forks:
            self._hears_forks = True
            forks.register(self)

    def stop(self, outcome: str) -> None:
        """Watch no longer; what is open ends as `outcome` (uninstalled or server_shutdown)."""
        # Who opens the way out now has done so when we go on; but a signal handler may not wait
        # for a thread that waits for what the handler has interrupted, say an import.
        waited = self.lock.acquire(timeout=_SETTLING)
        self.active = guard.strict = False
        if waited:
            self.lock.release()
        for connection in list(self.connections.values()):
            self.end(connection, kinds.ABANDONED, outcome)
        until = clock() + _ENDING_NS
        while self.connections and clock() < until:
            sleep(0.001)  # a serving thread is about to hand over what has just ended
        for loop in self.loops:
            loop.stop(clock())
            self.report(loop)
        worker = self.post.worker
        if self.post.remote or worker is not None:
            self.post.send(("abandon", outcome))
        if worker is not None:
            worker.settle(_SETTLING)

    def forget(self) -> None:
        """Drop the loops, the worker and the way out: the next accept starts afresh."""
        self.post.reset()
        self.output = None
        self.serving.clear()  # who serves an earlier connection on has nothing more to say of it
        self.loops.retire_all()

    def open(self, forking: bool) -> Output | None:
        """Open the way out, at the first accept; later calls return the same.

        None while the process has no thread or descriptor to spare; a later call tries again.
        """
        with self.lock:
            if self.output is None and self.active:
                self.output = self.opening.open(self, forking)
            return self.output

    def start_worker(self) -> Worker:
        """Start the worker in this process, once."""
        with self.lock:
            worker = self.post.worker
            if worker is None:
                settings = self.settings
                watch = StallWatch(
                    lambda: [] if self.opening.lasts else list(self.loops),
                    lambda key: identify(self, key),
                    settings.stall,
                )
                worker = Worker(
                    self.post,
                    self.loops.by_key,
                    self._sinks,
                    watch,
                    settings.blame_min,
                    self._is_open,
                    Pace(self._is_serving, lambda: len(self.post.queue), settings.queue_size // 2),
                )
                self.post.employ(worker)
            return worker

    def _is_open(self, key: int) -> bool:
        return self.is_helper or key in self.connections

    def _is_serving(self) -> bool:
        """Say whether a request has just begun here: its threads want the interpreter."""
        if self.is_helper:
            return False
        lately = clock() - _YOUNG_NS
        for loop in self.loops:  # no generator: this is asked thousands of times a second
            if loop.away_since > lately:
                return True
        return self.serving.answers(lately)

    def _sinks(self) -> list[Sink]:
        output = self.output
        return output.sinks if output is not None else []

    # -- loops -----------------------------------------------------------------------------------

    def add_loop(self, identity: int, listener: Listener, sock: socket.socket | None) -> Loop:
        """Watch the loop of the server with this id(); `listener.key` is ignored and set here."""
        listener = listener._replace(key=next(self._keys))
        return self.loops.add(identity, listener, sock, self.kernel)

    def loop_began(self, loop: Loop) -> None:
        """The loop's thread has entered its turn: from now on somebody should look at it."""
        loop.running = True
        loop.thread_id = threading.get_ident()
        self.opening.prepare(self, loop.listener.forking)
        if self.post.worker is not None or loop.listener.forking:
            return
        with self.lock:
            if self.active and not self.post.remote:
                try:
                    self.start_worker()
                except RuntimeError as error:  # no thread to be had: the first accept tries again
                    self.opening.put_off(self, error)

    def report(self, loop: Loop) -> None:
        """Tell a worker in another process what the loop does now."""
        if self.post.remote and not self.post.in_child:
            state = loop.state_of_affairs()
            state["self_ns"] = self.self_ns
            state["self_errors"] = dict(guard.errors)
            state["self_dropped"] = dict(self.post.dropped)
            self.post.send(("loop", tuple(loop.listener), state))

    # -- connections -----------------------------------------------------------------------------

    def accept(self, loop: Loop, sock: socket.socket, peer: Any, now: int) -> Connection | None:
        """A watched loop's kernel accept has returned `sock`; it is not shaken hands with yet.

        It is not bound yet either: TLS makes another object of it. Returns None if there is no
        way out yet: such a connection is counted, not recorded.
        """
        if not self.active:
            return None
        kernel = self.kernel
        tcp = kernel.accepted(sock)
        loop.accepted += 1
        output = self.output or self.open(loop.listener.forking)
        if output is None:
            self.post.dropped["not_open"] += 1
            return None
        if tcp is None:
            wait = state = rtt = retransmits = None
        else:
            state, since, rtt, retransmits = tcp
            wait = loop.wait_of(since * 1_000_000, now)
        loop.read_queue(now)
        key = next(self._keys)
        settings = self.settings
        if not settings.peer_address:
            peer = None
        elif not loop.plain_peers:
            peer = plain_address(peer)
        trace_id, span_id = output.allocate()
        # To ask for the cookie is to have the kernel make one. Where nobody traces, who wants to
        # see it can ask the socket later, unless that is in a handshake or in another process.
        asked = trace_id or loop.getting or loop.listener.forking
        facts = (
            wall_clock() - (clock() - now),
            loop.key,
            wait,
            loop.depth,
            loop.limit,
            state,
            peer,
            loop.own_address or own_address(sock),
            kernel.cookie(sock) if asked else None,
            rtt,
            retransmits,
            trace_id,
            span_id,
        )
        connection = self.connections[key] = Connection(key, loop, now, self.pid, facts)
        loop.connection = key
        if self._has_stopped():  # and may have swept in between
            self.end(connection, kinds.ABANDONED, names.UNINSTALLED)
            return None
        if wait and wait >= settings.blame_min * 1e9:
            history = loop.take_history(now, key)
            self.post.send(("history", loop.key, history))
        return connection

    def _has_stopped(self) -> bool:
        return not self.active

    def adopt_connection(self, connection: Connection) -> None:
        """Take over a connection that another process has accepted."""
        self.connections[connection.key] = connection
        self.by_socket[connection.socket_id] = connection

    def bind(self, connection: Connection, sock: Any) -> None:
        """From now on `sock` (what get_request returned: often wrapped) is this connection's."""
        identity = connection.socket_id = id(sock)
        self.by_socket[identity] = connection
        try:
            reference = connection.socket_ref = SocketRef(sock, self._collected)
        except TypeError:  # not everything that get_request may return can be referenced weakly
            connection.socket_ref = None
        else:
            reference.connection = connection
        if connection.over:  # ended by stop() since the accept
            self.forget_connection(connection)

    def _collected(self, reference: SocketRef) -> None:
        connection = reference.connection
        if not connection.over and not connection.forked and connection.pid == os.getpid():
            self.end(connection, kinds.CLOSED, None)

    def hand_over(self, connection: Connection, phase: str, now: int) -> None:
        """Give the marks made so far to the worker; they led to `phase` at `now`."""
        marks, connection.marks = connection.marks, []
        connection.tail = (phase, now)
        if marks and not connection.over:
            self.post.send(("marks", connection.key, marks))

    def end(self, connection: Connection, kind: int, why: Ending | str | None) -> None:
        """Nothing more will be said of a connection: hand over its last marks.

        CLOSED is what its socket is, `why` then what the kernel said before; ABANDONED if it goes
        on without us, or ends with the process.
        """
        if connection.over:
            return
        connection.over = True
        exchange = connection.exchange
        if exchange is not None and exchange.head_ns and not exchange.ended:
            exchanges.end(connection, exchange, self.output, at_once=True)
        marks, connection.marks = connection.marks, []
        marks += (kind, clock(), why)
        self.post.send(("marks", connection.key, marks))
        self.forget_connection(connection)  # last: stop() waits for those that it still finds

    def cookie(self, connection: Connection) -> str | None:
        """Return the kernel's id of an open connection of this process."""
        accepted, reference = connection.accepted, connection.socket_ref
        sock = reference() if reference is not None and accepted.cookie is None else None
        if sock is not None:
            accepted = connection.accepted = accepted._replace(cookie=self.kernel.cookie(sock))
        return accepted.cookie

    def forget_connection(self, connection: Connection) -> None:
        """This process has nothing to do with the connection any longer."""
        self.connections.pop(connection.key, None)
        self.by_socket.pop(connection.socket_id, None)
        connection.socket_ref = None

    def clear_connections(self) -> None:
        """None of the connections is this process's."""
        self.connections.clear()
        self.by_socket.clear()
        self.serving.clear()


hub = Hub()
