"""The demo's script: which server, which clients, in which words, for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tcpwatch.cli.clients import (
    Door,
    asks,
    breaks_off,
    gives_up,
    in_turn,
    later,
    reads_slowly,
    says_nothing,
    together,
)

USUAL_SECONDS = 18.0

BACKLOG = 16
BURST = 50


@dataclass(frozen=True)
class Step:
    """Something the clients do: told in words, about `seconds` long."""

    words: str
    seconds: float
    play: Callable[[Door], None]


@dataclass(frozen=True)
class Act:
    """One server with its clients.

    `title` and `short` are for people, `service` is its name in the telemetry, `options` are the
    sample server's; `steps` makes the script for a pace (1 is the usual one).
    """

    title: str
    short: str
    service: str
    options: tuple[str, ...]
    steps: Callable[[float], list[Step]]

    @property
    def tls(self) -> bool:
        """Whether its server encrypts."""
        return "--tls" in self.options

    def seconds(self, pace: float) -> float:
        """About how long it takes."""
        return sum(step.seconds for step in self.steps(pace))


def _everyday(pace: float) -> list[Step]:
    """The same clients for a server with one thread and for one with many."""
    return [
        Step(
            "Five clients, one after another. Nobody is in anybody's way.",
            0.2,
            in_turn(*[asks("early client", "/fast")] * 5),
        ),
        Step(
            f"Client A asks for a page that takes {2 * pace:.1f} s. Client B comes a moment later "
            "and wants one that takes no time. A third loses patience.",
            2.1 * pace,
            together(
                asks("client A", "/slow"),
                later(0.2 * pace, asks("client B", "/fast")),
                later(0.4 * pace, gives_up("impatient client", "/fast", 0.8 * pace)),
            ),
        ),
        Step(
            f"A browser connects ahead of time and says nothing for {1.6 * pace:.1f} s. Clients C "
            "and D come behind it.",
            1.7 * pace,
            together(
                says_nothing(1.6 * pace),
                later(0.2 * pace, asks("client C", "/fast")),
                later(0.6 * pace, asks("client D", "/fast")),
            ),
        ),
        Step(
            f"Client E downloads 12 MB and stops reading for {1.5 * pace:.1f} s. Client F comes "
            "behind it.",
            1.6 * pace,
            together(
                reads_slowly("client E", "/large", 1.5 * pace),
                later(0.3 * pace, asks("client F", "/fast")),
            ),
        ),
        Step(
            "A client breaks off in the middle of its request.",
            0.2 * pace,
            breaks_off("rude client", "/fast", 0.2 * pace),
        ),
        Step(
            f"{BURST} clients at once. The queue in front of the server has room for {BACKLOG}.",
            2.5,
            together(*(asks(f"burst {number}", "/work") for number in range(1, BURST + 1))),
        ),
    ]


def _encrypted(pace: float) -> list[Step]:
    return [
        Step("One client. Nobody is in its way.", 0.1, asks("early client", "/fast")),
        Step(
            f"A client connects and does not begin the encryption for {1.5 * pace:.1f} s. Client "
            "G comes behind it.",
            1.6 * pace,
            together(says_nothing(1.5 * pace), later(0.1 * pace, asks("client G", "/fast"))),
        ),
    ]


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
