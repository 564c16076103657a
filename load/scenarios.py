"""The scenarios: how many clients do what to whom, and what the dashboards must then show.

`python load/scenarios.py` prints them as JSON; the tests run each against a real server and ask the
very queries of the panels.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import behaviours
from stated import Scenario, Shown

PORTS = {"app": 8000, "app-inline": 8001, "app-tls": 8443}
"""The services of deploy/compose.yaml that are loaded, and where they listen."""
BACKLOG = 128
"""The queue's limit in werkzeug; the kernel lets one more in."""
PHASE = "tcpwatch_phase_name"
OUTCOME = "tcpwatch_connection_outcome"
CULPRIT = "tcpwatch_blocked_by_activity"

SCENARIOS = {
    "shoppers": Scenario(
        "People who want little, and now and then a report of 0.4 s, on a server of one thread.",
        behaviours.shopper,
        *("app-inline", 20, 20, 20, 0.5),
        (
            Shown(
                "accept-loop",
                "Who was waited for, in this range",
                "each report keeps everybody who comes in the queue for up to 0.4 s",
                at_least=5,
                series={CULPRIT: "inline"},
            ),
            Shown("accept-loop", "Wait, 1 in 100", "up to a report or two", 0.05, 5),
        ),
    ),
    "steady": Scenario(
        "Ten clients, each asks twice a second for something cheap, on a server with threads.",
        behaviours.steady,
        *("app", 10, 10, 30, 0.5),
        (
            Shown("requests", "Requests", "10 clients / (0.5 s + some ms) = 19 a second", 14, 21),
            Shown("requests", "Failed", "nothing fails", at_most=0),
            Shown("accept-loop", "Loop busy", "an accept costs about a millisecond", at_most=0.5),
            *(
                Shown(
                    "accept-loop",
                    "Who was waited for, in this range",
                    "the loop serves nobody itself; who waits, waits for the machine",
                    at_most=0,
                    series={CULPRIT: culprit},
                )
                for culprit in ("inline", "tls_handshake")
            ),
            Shown("accept-loop", "Dropped", "the queue is never full", at_most=0),
        ),
    ),
    "ramp": Scenario(
        "Two shoppers more each second, until a server of one thread is all that they wait for.",
        behaviours.shopper,
        *("app-inline", 40, 2, 35, 0.2),
        (
            Shown(
                "accept-loop",
                "Loop busy",
                "40 clients want 1/11 x 0.4 s + 10/11 x 12 ms = 47 ms each, 4 times a second: "
                "1.9 s of work in a second",
                at_least=0.9,
            ),
            Shown(
                "accept-loop",
                "Waiting, by culprit",
                "the line has more than five clients on average",
                at_least=1,
            ),
        ),
        ("TcpwatchAcceptLoopBlocked",),
    ),
    "burst": Scenario(
        f"Two hundred at once on a server of one thread that is held for {behaviours.HOLD:.0f} s.",
        behaviours.burst,
        *("app-inline", 200, 200, 25, 0),
        (
            Shown(
                "accept-loop",
                "Dropped",
                f"200 - 1 served - {BACKLOG + 1} queued = 70, and each tries again",
                at_least=70,
            ),
            Shown(
                "accept-loop",
                "Who was waited for, in this range",
                f"{BACKLOG + 1} wait for nearly {behaviours.HOLD:.0f} s; coming takes a second",
                at_least=(BACKLOG + 1) * (behaviours.HOLD - 2),
                series={CULPRIT: "inline"},
            ),
        ),
        (
            "TcpwatchConnectionsDropped",
            "TcpwatchAcceptQueueNearlyFull",
            "TcpwatchAcceptLoopStuck",
            "TcpwatchAcceptLoopBlocked",
        ),
    ),
    "idle": Scenario(
        "Browsers that connect ahead of time and say nothing, on a server with threads.",
        behaviours.idle,
        *("app", 20, 20, 20, 0),
        (
            Shown(
                "connections",
                "Open, by phase",
                "each of the 20 is open nearly always",
                *(15, 20),
                series={PHASE: "idle"},
            ),
            Shown(
                "connections",
                "Outcomes, in this range",
                f"20 clients x 5 turns of {behaviours.SILENCE:.0f} s",
                at_least=80,
                series={OUTCOME: "no_request"},
            ),
        ),
    ),
    "slow-heads": Scenario(
        "Heads that come a few bytes at a time, on a server with threads.",
        behaviours.slow_head,
        *("app", 20, 20, 20, 0),
        (
            Shown(
                "connections",
                "Open, by phase",
                "19 of 20 pieces of a head's time are after its first byte",
                *(14, 20),
                series={PHASE: "read_head"},
            ),
            Shown(
                "connections",
                "Where the time goes",
                "20 clients spend nearly all of their time in it",
                *(10, 25),
                series={PHASE: "read_head"},
            ),
        ),
    ),
    "slow-readers": Scenario(
        "Clients that ask for 16 MiB and begin to read after 3 s, on a server with threads.",
        behaviours.slow_reader,
        *("app", 10, 10, 20, 0),
        (
            Shown(
                "connections",
                "Where the time goes",
                "10 clients of which each waits 3 s, then reads fast",
                at_least=5,
                series={PHASE: "respond"},
            ),
            Shown(
                "requests",
                "Duration, 1 in 20",
                f"it takes {behaviours.READ_AFTER:.0f} s until somebody reads; "
                "the bucket is 2.5 to 5 s",
                2.5,
            ),
        ),
    ),
    "losses": Scenario(
        f"Clients whose line loses all of a large answer for {behaviours.LOSS} s, on a server with "
        "threads.",
        behaviours.loss,
        *("app", 10, 10, 20, 0.5),
        (
            Shown(
                "connections",
                "Retransmits",
                "each of some 5 connections a second sends the same again after 0.2, 0.6 and 1.4 s",
                at_least=10,
                curve="segments",
            ),
            Shown(
                "connections",
                "Retransmits",
                "every connection that ends, and each client has one in 2 s: 5 a second",
                at_least=3,
                curve="connections",
            ),
        ),
    ),
    "uploads": Scenario(
        "Bodies of 64 KiB that take 2 s to come, on a server with threads.",
        behaviours.upload,
        *("app", 10, 10, 20, 0),
        (
            Shown(
                "requests",
                "Duration by route (1 in 20)",
                f"{behaviours.UPLOAD_SECONDS:.0f} s, in the bucket of 1 to 2.5 s",
                *(1, 2.5),
                series={"http_route": "/upload"},
            ),
            Shown(
                "connections",
                "Where the time goes",
                "10 clients whose body is awaited by the view",
                *(6, 12),
                series={PHASE: "app"},
            ),
        ),
    ),
    "resets": Scenario(
        "Clients that reset the connection while the view works, on a server with threads.",
        behaviours.reset,
        *("app", 10, 10, 20, 0.3),
        (
            Shown(
                "connections",
                "Outcomes, in this range",
                "10 clients x 20 s / 0.5 s = 400, less the last seconds",
                *(250, 420),
                series={OUTCOME: "client_disconnected"},
            ),
        ),
    ),
    "silent-tls": Scenario(
        "Clients that connect and do not shake hands, on a server with TLS and threads.",
        behaviours.silent_tls,
        *("app-tls", 6, 6, 30, 0),
        (
            Shown(
                "accept-loop",
                "Loop busy",
                "the handshake is in the loop, and one silent client follows the other",
                at_least=0.9,
            ),
            Shown(
                "accept-loop",
                "Who was waited for, in this range",
                "five of six wait while one is silent",
                at_least=30,
                series={CULPRIT: "tls_handshake"},
            ),
        ),
        ("TcpwatchAcceptLoopBlocked",),
    ),
    "mixed": Scenario(
        "A little of all of it: on a server with threads, and on one with TLS, which a client that "
        "does not shake hands holds.",
        None,
        *("app", 31, 31, 20, 0.5),
        (
            Shown(
                "connections",
                "Outcomes, in this range",
                "20 of 31 ask twice a second for 20 s",
                at_least=300,
                series={OUTCOME: "completed"},
            ),
            Shown("accept-loop", "Dropped", "threads take everybody at once", at_most=0),
            Shown(
                "accept-loop",
                "Who was waited for, in this range",
                f"of 2.5 s one client is silent for {behaviours.TLS_SILENCE:.0f} s, and the two "
                "who shake hands wait: 1.6 in each of 20 s, less what they rest",
                at_least=10,
                series={CULPRIT: "tls_handshake"},
                service="app-tls",
            ),
        ),
    ),
}
DEFAULT = "shoppers"


def as_data() -> dict[str, Any]:
    """Return them as plain data."""
    found = {}
    for name, scenario in SCENARIOS.items():
        chosen = scenario.behaviour
        found[name] = asdict(scenario) | {"behaviour": chosen.__name__ if chosen else None}
    return found


if __name__ == "__main__":
    print(json.dumps(as_data(), indent=1))
