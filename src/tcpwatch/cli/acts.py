"""The demo's script: which server, which clients, in which words, for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tcpwatch.cli import clients
from tcpwatch.cli.clients import Door

BACKLOG = 16
BURST = 50


@dataclass(frozen=True)
class Step:
    """Something the clients do: told in words, about `seconds` long."""

    words: str
    seconds: float
    play: Callable[[], None]


@dataclass(frozen=True)
class Act:
    """One server with its clients.

    `title` is for people, `service` its name in the telemetry, `options` are the sample server's.
    """

    title: str
    short: str
    service: str
    options: tuple[str, ...]
    steps: Callable[[Door, float], Iterator[Step]]

    @property
    def tls(self) -> bool:
        """Whether its server encrypts."""
        return "--tls" in self.options


def _everyday(door: Door, pace: float) -> Iterator[Step]:
    """The same clients for a server with one thread and for one with many."""
    yield Step(
        "Five clients, one after another. Nobody is in anybody's way.",
        0.2,
        clients.in_turn(*(clients.asks(door, "early client", "/fast") for _ in range(5))),
    )
    yield Step(
        f"Client A asks for a page that takes {pace:.1f} s. Client B comes a moment later and "
        "wants one that takes no time. A third loses patience.",
        1.1 * pace,
        clients.together(
            clients.asks(door, "client A", "/slow"),
            clients.later(0.1 * pace, clients.asks(door, "client B", "/fast")),
            clients.later(
                0.2 * pace, clients.gives_up(door, "impatient client", "/fast", 0.4 * pace)
            ),
        ),
    )
    yield Step(
        f"A browser connects ahead of time and says nothing for {2 * pace:.1f} s. Clients C and D "
        "come behind it.",
        2.1 * pace,
        clients.together(
            clients.says_nothing(door, 2 * pace),
            clients.later(0.1 * pace, clients.asks(door, "client C", "/fast")),
            clients.later(0.6 * pace, clients.asks(door, "client D", "/fast")),
        ),
    )
    yield Step(
        f"Client E downloads 12 MB and stops reading for {1.5 * pace:.1f} s. Client F comes "
        "behind it.",
        1.6 * pace,
        clients.together(
            clients.reads_slowly(door, "client E", "/large", 1.5 * pace),
            clients.later(0.3 * pace, clients.asks(door, "client F", "/fast")),
        ),
    )
    yield Step(
        f"{BURST} clients at once. The queue in front of the server has room for {BACKLOG}.",
        3.0,
        clients.together(
            *(clients.asks(door, f"burst {number}", "/work") for number in range(1, BURST + 1))
        ),
    )
    yield Step(
        "One more client breaks off in the middle of its request.",
        0.1,
        clients.breaks_off(door, "rude client", "/fast"),
    )


def _encrypted(door: Door, pace: float) -> Iterator[Step]:
    yield Step(
        f"A client connects and does not begin the encryption for {1.5 * pace:.1f} s. Client G "
        "comes behind it.",
        1.6 * pace,
        clients.together(
            clients.says_nothing(door, 1.5 * pace),
            clients.later(0.1 * pace, clients.asks(door, "client G", "/fast")),
        ),
    )


ACTS = (
    Act(
        "a server with one thread",
        "one thread",
        "one-thread",
        ("--single", "--backlog", str(BACKLOG)),
        _everyday,
    ),
    Act(
        "the same clients, a server with a thread for each",
        "threads",
        "threads",
        ("--threaded", "--backlog", str(BACKLOG)),
        _everyday,
    ),
    Act(
        "threads and TLS",
        "threads + TLS",
        "threads-tls",
        ("--threaded", "--tls", "--backlog", str(BACKLOG)),
        _encrypted,
    ),
)
