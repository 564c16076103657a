"""The ladder: every rung of every kind of server, side by side, in rounds.

A round visits all servers, each of them a fresh process, in an order that moves on with every
round. Of each server it measures

- CPU time, by the operating system's accounting: of the whole process, its children and its
  helper, per request, with one client: with more, threads that wait for the GIL make a request
  cost now 450 µs and now 600. All servers get their requests in blocks that go round, because the
  machine is not always as fast. The server exports all it holds before the clock is read; what an
  export costs that no request precedes (the metrics', once a minute) is taken off;
- latency, at half of the rate at which the bare server of this kind answers when warm;
- memory: the peak of the resident size.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

from bench.load import Load
from bench.processes import Process, Server, Subject
from bench.ratios import percentile
from bench.rungs import (
    BARE,
    EVERYTHING,
    FORKING,
    HTTP,
    METRICS,
    SINGLE,
    THREADED,
    UNSAMPLED,
    Rung,
    rungs_of,
)

CLIENTS = 4
"""That find out the rate at which a bare server answers."""
PACED_CLIENTS = 8
"""At half of it: more than are ever busy at once, unless the server stalls."""
WARM_UP = {THREADED: 200, SINGLE: 200, FORKING: 12, HTTP: 500}
FULL = {THREADED: 800, SINGLE: 1000, FORKING: 60, HTTP: 5000}
"""Requests of a round, one after another."""
BLOCKS_OF = 10
"""Blocks in which they come: in between, the other servers have theirs."""
PACED = {THREADED: 1000, SINGLE: 1000, FORKING: 80, HTTP: 3000}
"""Requests of a round at half of it."""
FLOOD = 8000
"""Requests as fast as they are answered, of which nothing may ever be exported."""
BLOCKS, BLOCK = 30, 100
"""Blocks of requests that alternate between two servers, and requests of a block."""


@dataclass(frozen=True)
class Sample:
    """What a round has measured of a server; times and spans are those of one request."""

    cpu_us: float
    export_ms: float
    """CPU time of an export that no request precedes."""
    per_second: float
    """Requests answered in a second, to the one client."""
    p50_ms: float
    p99_ms: float
    peak_mb: float
    spans: float


class Bench:
    """The processes beside the servers: the load and the sink."""

    def __init__(self, subject: Subject, load: Process, sink: Process) -> None:
        self._subject, self._load, self._sink = subject, load, sink
        self._endpoint = f"http://127.0.0.1:{sink.ready()}"

    def server(self, kind: str, rung: Rung, endpoint: str = "") -> Server:
        """Start a server that exports to the sink, or to `endpoint`."""
        return self._subject.server(kind, rung, endpoint or self._endpoint)

    def put(self, load: Load) -> tuple[float, list[float]]:
        """Put a load on a server; return the seconds it took and the latencies in seconds."""
        said = self._load.ask(json.dumps(asdict(load)))
        return said["seconds"], said["latencies"]

    def spans(self) -> int:
        """Return how many spans the sink was sent since it was last asked."""
        return int(self._sink.ask("")["spans"])


@contextmanager
def beside(subject: Subject) -> Iterator[Bench]:
    """Start the load and the sink."""
    with subject.module("load") as load, subject.module("sink") as sink:
        yield Bench(subject, load, sink)


def half_rate(bench: Bench, kind: str) -> float:
    """Return half of the rate at which a warm bare server of this kind answers, per second."""
    keep = kind == HTTP
    with bench.server(kind, BARE) as server:
        bench.put(Load(server.port, WARM_UP[kind], CLIENTS, keep))
        took, _ = bench.put(Load(server.port, FULL[kind], CLIENTS, keep))
    return FULL[kind] / took / 2


def climb(bench: Bench, kind: str, rate: float, turn: int) -> dict[str, Sample]:
    """Measure all rungs of a kind of server once, beginning with the rung whose turn it is."""
    rungs = rungs_of(kind)
    with ExitStack() as stack:
        started = {rung.name: stack.enter_context(bench.server(kind, rung)) for rung in rungs}
        for server in started.values():
            server.ready()
        names = [rungs[(turn + at) % len(rungs)].name for at in range(len(rungs))]
        servers = {name: started[name] for name in names}
        work = side_by_side(bench, kind, servers)
        return {
            name: paced(bench, kind, server, rate, work[name]) for name, server in servers.items()
        }


@dataclass
class Work:
    """What a server did for the requests of a round, block by block; times are a request's."""

    seconds: float = 0.0
    cpu_us: float = 0.0
    export_ms: float = 0.0


def side_by_side(bench: Bench, kind: str, servers: dict[str, Server]) -> dict[str, Work]:
    """Put the same requests on each server, in blocks that go round.

    The machine is now fast and now slow, for seconds at a time; a block takes a tenth of one. What
    a server does while others have their block, it does at its own expense.
    """
    keep, block = kind == HTTP, FULL[kind] // BLOCKS_OF
    work = {name: Work() for name in servers}
    for server in servers.values():
        bench.put(Load(server.port, WARM_UP[kind], 1, keep))
    before = {name: server.flush().whole for name, server in servers.items()}
    for _ in range(BLOCKS_OF):
        for name, server in servers.items():
            took, _ = bench.put(Load(server.port, block, 1, keep))
            work[name].seconds += took / FULL[kind]
    for name, server in servers.items():
        after = server.flush().whole
        export = server.flush().whole - after
        work[name].export_ms = export * 1e3
        work[name].cpu_us = (after - before[name] - export) / FULL[kind] * 1e6
    return work


def paced(bench: Bench, kind: str, server: Server, rate: float, work: Work) -> Sample:
    """Return the sample of a server, whose latency at a rate is still to be measured."""
    bench.spans()
    load = Load(server.port, PACED[kind], PACED_CLIENTS, kind == HTTP, rate)
    _, latencies = bench.put(load)
    server.flush()
    return Sample(
        cpu_us=work.cpu_us,
        export_ms=work.export_ms,
        per_second=1 / work.seconds,
        p50_ms=percentile(latencies, 50) * 1e3,
        p99_ms=percentile(latencies, 99) * 1e3,
        peak_mb=server.peak(),
        spans=bench.spans() / PACED[kind],
    )


def serving(bench: Bench) -> dict[str, list[float]]:
    """Return the CPU time of a single-threaded server's serving thread per request, in µs.

    The thread accepts and answers, and works for nobody else. Blocks of requests alternate between
    the servers; each value is one block's.
    """
    rungs = (BARE, METRICS, UNSAMPLED)
    found: dict[str, list[float]] = {rung.name: [] for rung in rungs}
    with ExitStack() as stack:
        servers = {rung.name: stack.enter_context(bench.server(SINGLE, rung)) for rung in rungs}
        for block in range(BLOCKS + 1):
            for name, server in servers.items():
                before = server.usage().serving
                bench.put(Load(server.port, BLOCK))
                took = (server.usage().serving - before) / BLOCK * 1e6
                if block:  # the first one warms up
                    found[name].append(took)
    return found


def flooded(bench: Bench) -> dict[str, float]:
    """Return peaks of the resident size in MB after a flood whose telemetry nobody takes."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        socket.create_server(("127.0.0.1", 0)) as gone,
    ):
        refusing = f"http://127.0.0.1:{gone.getsockname()[1]}"
        gone.close()
        cases = {
            "bare": (BARE, ""),
            "100%, collector answers": (EVERYTHING, ""),
            "100%, collector refuses": (EVERYTHING, refusing),
            "100%, collector is silent": (
                EVERYTHING,
                f"http://127.0.0.1:{silent.getsockname()[1]}",
            ),
        }
        found = {}
        for name, (rung, endpoint) in cases.items():
            with bench.server(THREADED, rung, endpoint) as server:
                bench.put(Load(server.port, FLOOD, PACED_CLIENTS))
                found[name] = server.peak()
        return found
