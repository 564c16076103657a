"""A burst of Locust's against the server of one thread, and what the stack then says of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

from stack import jaeger, prometheus
from stack.programs import ROOT
from stack.running import Stack
from tcpwatch import names

LOCUSTFILE = ROOT / "load" / "locustfile.py"
SERVICE, NAME, PORT = "app-inline", "shop-inline", 8001
USERS, SECONDS = 20, 10
SERVER_KIND = 2
WAIT = "tcpwatch_accept_queue_wait_time_seconds"
BLOCKED = "tcpwatch_accept_loop_blocked_time_seconds_total"


class BurstFailed(RuntimeError):
    """Locust did not do what it was told; the text has its last words."""


def burst(stack: Stack) -> int:
    """Run it; return how many requests were answered. Raises BurstFailed."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "locust", f"--locustfile={LOCUSTFILE}", "--headless"),
            *("--skip-log", "--json", f"--host={stack.url(SERVICE, PORT)}"),
            *(f"--users={USERS}", f"--spawn-rate={USERS}", f"--run-time={SECONDS}s"),
            *("--stop-timeout=30", "--exit-code-on-error=0"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BurstFailed(f"exit status {done.returncode} of Locust:\n{done.stderr[-2000:]}")
    rows = json.loads(done.stdout)
    return sum(row["num_requests"] - row["num_failures"] for row in rows)


def findings(stack: Stack, answered: int) -> Iterator[str]:
    """Yield what Jaeger and Prometheus say, a sentence each."""
    spans = jaeger.wait(
        stack.jaeger, NAME, lambda spans: sum(s.kind == SERVER_KIND for s in spans) >= answered
    )
    connections = [span for span in spans if span.name == names.SPAN_TCP]
    requests = [span for span in spans if span.kind == SERVER_KIND]
    yield (
        f"Jaeger has {len(connections)} connections (one is the health check's) "
        f"and {len(requests)} requests of {NAME}"
    )
    accepted = f'sum({WAIT}_count{{service_name="{NAME}"}})'
    prometheus.wait(
        stack.prometheus, accepted, lambda found: bool(found) and found[0][1] >= len(connections)
    )
    slow = prometheus.query(
        stack.prometheus,
        f'histogram_quantile(0.95, sum by (le) ({WAIT}_bucket{{service_name="{NAME}"}}))',
    )
    yield f"Prometheus: one in twenty waited {slow[0][1]:.2f} s or longer for accept()"
    culprits = prometheus.query(
        stack.prometheus,
        f'sum by (tcpwatch_blocked_by_activity) ({BLOCKED}{{service_name="{NAME}"}})',
    )
    for labels, seconds in sorted(culprits, key=lambda sample: -sample[1]):
        if seconds:  # each culprit is counted from 0
            activity = labels["tcpwatch_blocked_by_activity"]
            yield f"Prometheus: {seconds:.1f} s of waiting because of {activity}"
    yield from blockers(connections, requests)


def blockers(connections: list[jaeger.Span], requests: list[jaeger.Span]) -> Iterator[str]:
    """Yield who was waited for, by the request that its connection carried."""
    asked = {span.attributes[names.CONNECTION_ID]: span.name for span in requests}
    waited, seconds = Counter[str](), Counter[str]()
    for span in connections:
        if (by := span.attributes.get(names.BLOCKED_BY_CONNECTION_ID)) in asked:
            waited[asked[by]] += 1
            seconds[asked[by]] += span.attributes[names.PHASE_PREFIX + names.ACCEPT_QUEUE]
    for request, count in waited.most_common():
        yield f"Jaeger: {count} connections waited {seconds[request]:.1f} s behind {request}"
