"""The thin reader: system calls on a socket; None where the platform has no answer."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from tcpwatch.core.marks import Closing, Ending
from tcpwatch.kernel.tcp_info import (
    ACCEPTED_SIZE,
    QUEUE_SIZE,
    SIZE,
    TELLING_SIZE,
    AtAccept,
    parse_accepted,
    parse_closing,
    parse_queue,
)

# include/uapi: asm-generic/socket.h, sockios.h and linux/time.h; CPython names none of them.
SO_MEMINFO = 55
SO_COOKIE = 57
SIOCOUTQ = 0x5411
CLOCK_MONOTONIC_COARSE = 6

_MEMINFO = struct.Struct("=9I")
_DROPS = 8
_TCP = socket.IPPROTO_TCP
_NO_ANSWER = (OSError, AttributeError)
"""What get_request() returns may be a socket of a program's own making, that cannot be asked."""
_PROC_TCP = Path("/proc/net/tcp")
_PROC_TCP6 = Path("/proc/net/tcp6")
_LISTEN, _SYN_RECV = "0A", "03"
"""States in these files (include/net/tcp_states.h), in hex."""


class Kernel:
    """Reads TCP_INFO and its neighbours on Linux; elsewhere, and on AF_UNIX, everything is None."""

    def __init__(self) -> None:
        self._linux = sys.platform == "linux"
        # Elsewhere the number means something else: let the call fail.
        self._tcp_info = socket.TCP_INFO if self._linux else -1
        self.jiffy_ns = self._jiffy()

    def _jiffy(self) -> int:
        if not self._linux:
            return 0
        return int(time.clock_getres(CLOCK_MONOTONIC_COARSE) * 1e9)

    def queue(self, listener: socket.socket) -> tuple[int, int] | None:
        """Return (depth, limit) of the listener's accept queue, in connections."""
        try:
            return parse_queue(listener.getsockopt(_TCP, self._tcp_info, QUEUE_SIZE))
        except OSError:
            return None

    def drops(self, listener: socket.socket) -> int | None:
        """Return how many packets the listener has dropped (sk_drops, a u32 that wraps)."""
        if not self._linux or listener.family == socket.AF_UNIX:
            return None
        try:
            data = listener.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO.size)
        except OSError:
            return None
        return int(_MEMINFO.unpack(data)[_DROPS]) if len(data) == _MEMINFO.size else None

    def accepted(self, connection: socket.socket) -> AtAccept | None:
        """Return the facts of a connection that was accepted this moment."""
        try:
            return parse_accepted(connection.getsockopt(_TCP, self._tcp_info, ACCEPTED_SIZE))
        except _NO_ANSWER:
            return None

    def closing(self, connection: socket.socket) -> Closing:
        """Return the totals of a connection that is about to be shut down."""
        try:
            data = connection.getsockopt(_TCP, self._tcp_info, SIZE)
        except OSError:
            return Closing()
        told = len(data) >= TELLING_SIZE
        return parse_closing(data, None if told else self._unacked(connection))

    def ending(self, connection: socket.socket) -> Ending | None:
        """Return what tells how a connection ends that is about to be shut down.

        Of most connections nobody wants to know more than their state, and nobody does here: the
        rest is parsed when somebody does.
        """
        try:
            data = connection.getsockopt(_TCP, self._tcp_info, SIZE)
        except _NO_ANSWER:
            return None
        if len(data) >= TELLING_SIZE:
            return data
        return tuple(parse_closing(data, self._unacked(connection)))

    def cookie(self, sock: socket.socket) -> str | None:
        """Return SO_COOKIE in hex: the id that `ss -e` and eBPF show for this socket."""
        if not self._linux:
            return None
        try:
            data = sock.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8)
        except _NO_ANSWER:
            return None
        return format(int.from_bytes(data, sys.byteorder), "x")

    def _unacked(self, connection: socket.socket) -> int | None:
        try:
            data = fcntl.ioctl(connection.fileno(), SIOCOUTQ, b"\0\0\0\0")
        except OSError:
            return None
        return int.from_bytes(data, sys.byteorder)

    def depth_of_port(self, port: int) -> int | None:
        """Return the accept queue's depth of the listener on `port`, seen from another process.

        Reads the first rows of /proc/net/tcp and tcp6: some tenths of a millisecond, however many
        connections the host has.
        """
        depths = [
            depth
            for path in (_PROC_TCP, _PROC_TCP6)
            if (depth := _listening(path, port)) is not None
        ]
        return max(depths) if depths else None


def _listening(path: Path, port: int) -> int | None:
    try:
        with path.open() as rows:
            return parse_proc_tcp(rows, port)
    except OSError:
        return None


def parse_proc_tcp(rows: Iterable[str], port: int) -> int | None:
    """Return rx_queue of the LISTEN row of `port` in a /proc/net/tcp table (its depth).

    The kernel lists listeners first, before Linux 4.4 with their half-open connections among them
    (net/ipv4/tcp_ipv4.c, tcp_get_idx), then all others: of 100,000 in TIME_WAIT none is read.
    """
    wanted = f":{port:04X}"
    for row in islice(rows, 1, None):
        columns = row.split()
        if len(columns) <= 4 or columns[3] not in {_LISTEN, _SYN_RECV}:
            return None
        if columns[3] == _LISTEN and columns[1].endswith(wanted):
            return int(columns[4].partition(":")[2], 16)
    return None
