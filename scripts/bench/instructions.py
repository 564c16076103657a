"""Instructions per request, counted by valgrind: the same on a busy machine as on a quiet one.

Each rung's server runs under valgrind twice, with 150 requests and with 550; the difference is
what 400 requests cost. Start and end are in both and cancel out. All work of the process and its
children counts, whenever it is done:

- Before it ends the server exports everything it holds, in both runs, so that what was put off
  counts with the requests that have caused it.
- Spans leave in batches of 512, the SDK's default, as on a busy server, and the rest at the end.
- What is done once in so many seconds is no request's cost. Under valgrind a program runs some
  fifty times slower, so all waits of the server's threads are stretched by 50, and so are
  tcpwatch's thresholds: an interval lasts as many requests as it does on a busy server.
- The kernel's work is not counted: valgrind sees none of it.

    python -m bench.instructions                                  all rungs, tcpwatch as installed
    python -m bench.instructions --rungs bare,100%,flask --repeats 3
    python -m bench.instructions --source . --source ../other     two checkouts, side by side
    python -m bench.instructions --serving                        the serving thread alone
    python -m bench.instructions --keep-alive --rungs bare,metrics  one connection for all
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.load import Load, run
from bench.processes import Subject
from bench.ratios import middle, ratio
from bench.rungs import BARE, HTTP, PEER, RUNGS, SINGLE, THREADED, Rung, named
from bench.server import STRETCH

FEW, MANY = 150, 550
SLOWDOWN = 50
AT_ONCE = 2
SLOW_TIMES = {
    STRETCH: str(SLOWDOWN),
    "TCPWATCH_PHASE_SPAN_MIN": str(0.0005 * SLOWDOWN),
    "TCPWATCH_BLAME_MIN": str(0.05 * SLOWDOWN),
    "TCPWATCH_STALL": str(1.0 * SLOWDOWN),
    "TCPWATCH_SLOW": str(1.0 * SLOWDOWN),
    "OTEL_EXPORTER_OTLP_TIMEOUT": str(10 * SLOWDOWN),
}

_TOTAL = re.compile(r"^(?:summary|totals): *(\d+)", re.MULTILINE)

Counts = dict[str, list[float]]
"""Instructions per request of each rung, once for each repeat."""


CURE = "valgrind counts the instructions and is not on PATH: apt-get install valgrind"
"""What to say where it is missing."""


def valgrind() -> str | None:
    """Return where valgrind is, if it is installed."""
    return shutil.which("valgrind")


@dataclass(frozen=True)
class Tool:
    """One of valgrind's tools: which server runs under it, and which of its files count.

    cachegrind writes a file for each process, callgrind can write one for each thread.
    """

    kind: str
    options: tuple[str, ...]
    files: str


PROCESS = Tool(
    THREADED,
    (
        "--tool=cachegrind",
        "--cache-sim=no",
        "--trace-children=yes",
        "--cachegrind-out-file={folder}/%p",
    ),
    "*",
)
"""Counts every thread and every child."""
KEEP_ALIVE = replace(PROCESS, kind=HTTP)
"""The same, of a server that keeps its one connection: what was done for each connection is not."""
SERVING_THREAD = Tool(
    SINGLE,
    ("--tool=callgrind", "--separate-threads=yes", "--callgrind-out-file={folder}/counts"),
    "counts-01",
)
"""Counts the main thread: in the single-threaded server, which accepts and answers."""


def total(report: str) -> int:
    """Return the instructions of one file that cachegrind or callgrind has written.

    Raises ValueError if it has no total: the process did not end by itself.
    """
    found = _TOTAL.search(report)
    if found is None:
        raise ValueError("valgrind has left no total; expected the server to end by itself")
    return int(found[1])


def count(subject: Subject, rung: Rung, tool: Tool, requests: int, endpoint: str) -> int:
    """Return the instructions of a server's whole life with so many requests."""
    with tempfile.TemporaryDirectory() as folder:
        under = ["valgrind", *(option.format(folder=folder) for option in tool.options)]
        with subject.server(tool.kind, rung, endpoint, under, SLOW_TIMES) as server:
            run(Load(server.port, requests, keep_alive=tool.kind == HTTP))
            server.end()
        return sum(total(file.read_text()) for file in Path(folder).glob(tool.files))


def measure(
    subjects: Sequence[Subject], rungs: Sequence[Rung], tool: Tool = PROCESS, repeats: int = 1
) -> dict[Subject, Counts]:
    """Return what each rung costs in each of the subjects; needs valgrind."""
    with collector(subjects[0]) as endpoint, ThreadPoolExecutor(AT_ONCE) as pool:
        for subject in subjects:
            for rung in rungs:  # a module is compiled in its first run, which must not count
                with subject.server(tool.kind, rung, endpoint) as server:
                    run(Load(server.port, 1))
                    server.end()
        jobs = [
            (subject, rung, requests)
            for _ in range(repeats)
            for subject in subjects
            for rung in rungs
            for requests in (FEW, MANY)
        ]
        counts = list(pool.map(lambda job: count(job[0], job[1], tool, job[2], endpoint), jobs))
    found: dict[Subject, Counts] = {subject: {} for subject in subjects}
    for at, (subject, rung, _) in list(enumerate(jobs))[::2]:
        each = (counts[at + 1] - counts[at]) / (MANY - FEW)
        found[subject].setdefault(rung.name, []).append(each)
    return found


@contextmanager
def collector(subject: Subject) -> Iterator[str]:
    """Run the sink; give its endpoint."""
    with subject.module("sink") as sink:
        yield f"http://127.0.0.1:{sink.ready()}"


def told(counts: Counts) -> str:
    """Return the counts as a table."""
    lines = [f"{'rung':<12}{'k instructions':>15}{'added':>10}{'ratio':>8}{'spread':>8}"]
    middles = {name: middle(values) for name, values in counts.items()}
    bare, peer = middles.get(BARE.name), middles.get(PEER.name)
    for name, of in middles.items():
        line = f"{name:<12}{of.median / 1000:>15.1f}"
        if bare:
            line += f"{(of.median - bare.median) / 1000:>10.1f}"
        if bare and peer:
            line += f"{ratio(of.median, bare.median, peer.median):>8.3f}"
        lines.append(f"{line:<45}{(of.most - of.least) / 1000:>8.1f}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Count and tell."""
    parser = argparse.ArgumentParser(prog="bench.instructions", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--source", type=Path, action="append", help="a checkout; may be repeated")
    parser.add_argument("--rungs", type=named, default=list(RUNGS), metavar="A,B")
    parser.add_argument("--repeats", type=int, default=1)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--serving", action="store_true", help="the serving thread alone")
    only.add_argument("--keep-alive", action="store_true", help="one connection for all requests")
    options = parser.parse_args(arguments)
    sources = [source.resolve() for source in options.source or ()] or [None]
    subjects = [Subject(options.python, source) for source in sources]
    tool = SERVING_THREAD if options.serving else KEEP_ALIVE if options.keep_alive else PROCESS
    if not valgrind():
        sys.exit(CURE)
    found = measure(subjects, options.rungs, tool, options.repeats)
    for subject, counts in found.items():
        print(f"\n{subject.source or 'tcpwatch as installed'}\n{told(counts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
