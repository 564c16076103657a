"""What this machine's kernel tells about sockets: tried on a connection to ourselves."""

from __future__ import annotations

import platform
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tcpwatch import names
from tcpwatch.cli.checks.finding import Finding, absent, ok
from tcpwatch.core.marks import Closing
from tcpwatch.kernel.reader import Kernel
from tcpwatch.kernel.tcp_info import AtAccept

_WAIT: Final = 0.05
"""Seconds that our connection waits in the queue: some ticks of any kernel's clock."""

_SINCE: Final = (
    ("bytes_acked", "4.1", (names.TCP_BYTES_ACKED, names.TCP_BYTES_RECEIVED)),
    ("min_rtt_us", "4.6", (names.TCP_MIN_RTT,)),
    ("busy_us", "4.10", (names.TCP_BUSY, names.TCP_RWND_LIMITED, names.TCP_SNDBUF_LIMITED)),
    ("bytes_sent", "4.19", (names.TCP_BYTES_SENT,)),
)
"""Fields of TCP_INFO with the version of Linux that brought them, and what is missing without."""

_SYSCTLS: Final = Path("/proc/sys/net")


def check(kernel: Kernel | None = None) -> Iterator[Finding]:
    """Try what tcpwatch asks of the kernel.

    Args:
        kernel: who is asked; the real one if it is None.
    """
    kernel = kernel or Kernel()
    system = f"{platform.system()} {platform.release()}"
    if sys.platform != "linux":
        yield absent("kernel", f"{system}: TCP_INFO is read on Linux only. What that takes away:")
    else:
        yield ok("kernel", system)
    with ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=3))
        client = opened.enter_context(socket.create_connection(listener.getsockname(), 2))
        connected = time.monotonic()
        yield _queue(kernel.queue(listener))
        time.sleep(_WAIT)
        accepted, _ = listener.accept()
        opened.enter_context(accepted)
        found = kernel.accepted(accepted)
        yield _wait(found, kernel.jiffy_ns / 1e9, time.monotonic() - connected)
        client.sendall(b"?")
        accepted.sendall(b"!")
        yield from _totals(kernel.closing(accepted))
        yield _cookie(kernel.cookie(accepted))
        yield _drops(kernel.drops(listener))
        yield _from_outside(kernel.depth_of_port(listener.getsockname()[1]))
    yield from _sysctls()


def _queue(found: tuple[int, int] | None) -> Finding:
    about = "accept queue"
    if found is None:
        return absent(
            about,
            f"TCP_INFO of a listening socket says nothing: no {names.M_QUEUE_DEPTH},"
            f" {names.M_QUEUE_LIMIT}, no warning when the loop is stuck",
        )
    if found[0] != 1:
        return absent(about, f"with one connection in it, the kernel says {found[0]}: not reliable")
    return ok(about, "its depth and limit can be read (TCP_INFO of the listening socket)")


def _wait(found: AtAccept | None, tick: float, waited: float) -> Finding:
    about = "time in queue"
    if found is None:
        return absent(
            about,
            f"TCP_INFO says nothing: no phase {names.ACCEPT_QUEUE}, no {names.M_QUEUE_WAIT}, and"
            " nobody is named whom a connection waited for",
        )
    measured = found.since_data_sent_ms / 1000
    if not _WAIT - 2 * tick <= measured <= waited + 2 * tick:
        return absent(
            about,
            f"a connection waited {waited * 1000:.0f} ms and the kernel says {measured * 1000:.0f}"
            f" ms: {names.ACCEPT_QUEUE} is not reliable here",
        )
    return ok(about, f"can be measured, in steps of {tick * 1000:g} ms (tcpi_last_data_sent)")


def _totals(found: Closing) -> Iterator[Finding]:
    missing = [entry for entry in _SINCE if getattr(found, entry[0]) is None]
    for _, version, attributes in missing:
        yield absent(
            "TCP_INFO",
            f"no {', '.join(attributes)}: this kernel does not tell (Linux {version} on)",
        )
    if not missing:
        yield ok("TCP_INFO", "all fields: bytes, round trips, retransmits, what held the sender up")
    if found.bytes_unacked is None:
        yield absent("SIOCOUTQ", f"not answered: no {names.TCP_BYTES_UNACKED}")
    else:
        yield ok("SIOCOUTQ", "what the client has not acknowledged at close")


def _cookie(found: str | None) -> Finding:
    if found is None:
        words = f"not answered (Linux 4.12 on): no {names.CONNECTION_ID}, no join with ss and eBPF"
        return absent("SO_COOKIE", words)
    return ok("SO_COOKIE", "the connection's id, the same as in ss -e and eBPF")


def _drops(found: int | None) -> Finding:
    if found is None:
        return absent("SO_MEMINFO", f"not answered (Linux 4.12 on): no {names.M_QUEUE_DROPS}")
    return ok("SO_MEMINFO", "packets that a full queue has dropped")


def _from_outside(found: int | None) -> Finding:
    if found is None:
        return absent(
            "/proc/net/tcp",
            "not readable: a forking server's queue is not seen while its loop is stuck",
        )
    return ok("/proc/net/tcp", "a forking server's queue, seen from its helper process")


def _sysctls() -> Iterator[Finding]:
    for name, meaning in (
        ("core/somaxconn", "no accept queue has more room than this, whatever a server asks for"),
        ("ipv4/tcp_max_syn_backlog", "handshakes under way for each listening socket"),
    ):
        try:
            value = (_SYSCTLS / name).read_text().strip()
        except OSError:
            continue
        yield ok(f"net.{name.replace('/', '.')}", f"{value}: {meaning}")
