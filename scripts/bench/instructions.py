"""Instructions per request, counted by valgrind: the same on a busy machine as on a quiet one.

Each rung's server runs under cachegrind twice, once with FEW requests and once with MANY; the
difference, per request, is what a request costs. Start and end are in both and cancel out. All
work of the process and its children counts, whenever it is done:

- Before it ends the server exports everything it holds, in both runs, so what is put off is
  counted with the requests that have caused it.
- Spans leave in batches of 512, the SDK's default, as on a busy server; the rest leaves at the end.
- What is done once in so many seconds is not a request's cost. valgrind runs a program some fifty
  times slower, so all waits of the server's threads are stretched by 50, and so are tcpwatch's
  thresholds in seconds: an interval lasts as many requests as it would on a busy server.

    python -m bench.instructions                    all rungs, tcpwatch as installed
    python -m bench.instructions --rungs bare,100%,flask --repeats 3
    python -m bench.instructions --source . --source ../other   two checkouts beside each other
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import sink
from bench.rungs import BARE, PEER, RUNGS, Rung, named
from bench.server import STRETCH

FEW, MANY = 150, 550
SLOWDOWN = 50
AT_ONCE = 2
PATIENCE = 300.0
SCRIPTS = Path(__file__).resolve().parents[1]
REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\n\r\n"
SLOW_TIMES = {
    STRETCH: str(SLOWDOWN),
    "TCPWATCH_PHASE_SPAN_MIN": str(0.0005 * SLOWDOWN),
    "TCPWATCH_BLAME_MIN": str(0.05 * SLOWDOWN),
    "TCPWATCH_STALL": str(1.0 * SLOWDOWN),
    "TCPWATCH_SLOW": str(1.0 * SLOWDOWN),
    "OTEL_EXPORTER_OTLP_TIMEOUT": str(10 * SLOWDOWN),
}
_SUMMARY = re.compile(r"^summary:\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Subject:
    """What is measured: an interpreter and, if it is not the installed one, a source tree."""

    python: Path
    source: Path | None = None

    def environ(self, rung: Rung, port: int) -> dict[str, str]:
        """Return the environment of a server on this rung, exporting to `port`."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("OTEL_", "TCPWATCH_", "PYTHON"))
        }
        path = [str(SCRIPTS), *([str(self.source / "src")] if self.source else [])]
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONHASHSEED": "0",
            "PYTHONNOUSERSITE": "1",
            "TCPWATCH_BANNER": "off",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            **rung.environ,
        }


def counted(report: str) -> int:
    """Return the instructions of one cachegrind output file.

    Raises ValueError if it has no summary: the process did not end by itself.
    """
    found = _SUMMARY.search(report)
    if found is None:
        raise ValueError("cachegrind has left no summary; the server was killed?")
    return int(found[1])


def get(port: int) -> None:
    """Make one request on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        sock.sendall(REQUEST)
        answer = b""
        while part := sock.recv(65536):
            answer += part
    if not answer.endswith(b"hello"):
        raise RuntimeError(f"the server answered {answer!r} instead of hello")


@contextmanager
def collector(python: Path) -> Iterator[int]:
    """Run the sink; yield its port."""
    with subprocess.Popen(
        [python, sink.__file__],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def serve(command: Sequence[str | Path], environ: dict[str, str], requests: int) -> None:
    """Run a server for so many requests, one after another, to its own end."""
    process = subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        if line:
            for _ in range(requests):
                get(int(line))
            process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    if process.returncode or not line:
        raise RuntimeError(f"the server ended with {process.returncode}:\n{words}")


def count(subject: Subject, rung: Rung, requests: int, port: int) -> int:
    """Return the instructions of a server's whole life with so many requests."""
    environ = subject.environ(rung, port) | SLOW_TIMES
    with tempfile.TemporaryDirectory() as folder:
        valgrind = (
            *("valgrind", "--tool=cachegrind", "--cache-sim=no", "--trace-children=yes"),
            f"--cachegrind-out-file={folder}/%p",
        )
        command = (*valgrind, subject.python, "-m", "bench.server", "threaded", rung.watch)
        serve(command, environ, requests)
        return sum(counted(file.read_text()) for file in Path(folder).iterdir())


def per_request(subject: Subject, rung: Rung, port: int) -> float:
    """Return the instructions of one request."""
    few, many = (count(subject, rung, requests, port) for requests in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def measure(
    subjects: Sequence[Subject], rungs: Sequence[Rung], repeats: int
) -> dict[tuple[Subject, str], list[float]]:
    """Return the instructions per request of each rung, once for each repeat."""
    with collector(subjects[0].python) as port:
        for subject in subjects:
            for rung in rungs:  # so that nobody compiles a module while being counted
                command = (subject.python, "-m", "bench.server", "threaded", rung.watch)
                serve(command, subject.environ(rung, port), 1)
        jobs = [(s, r) for _ in range(repeats) for s in subjects for r in rungs]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            results = pool.map(lambda job: per_request(*job, port), jobs)
            found: dict[tuple[Subject, str], list[float]] = {}
            for (subject, rung), result in zip(jobs, results, strict=True):
                found.setdefault((subject, rung.name), []).append(result)
                print(f"  {rung.name}: {result / 1000:.1f} k", file=sys.stderr, flush=True)
    return found


def told(results: dict[str, list[float]]) -> str:
    """Return the results of one subject as a table."""
    middle = {name: statistics.median(values) for name, values in results.items()}
    bare, peer = middle.get(BARE.name), middle.get(PEER.name)
    lines = [f"{'rung':<12}{'k instr/request':>16}{'added k':>10}{'ratio':>8}{'spread':>9}"]
    for name, value in middle.items():
        added = f"{(value - bare) / 1000:.1f}" if bare is not None else ""
        ratio = ""
        if bare is not None and peer is not None and name != BARE.name:
            ratio = f"{(value - bare) / (peer - bare):.3f}"
        spread = f"{(max(results[name]) - min(results[name])) / 1000:.1f}"
        lines.append(f"{name:<12}{value / 1000:>16.1f}{added:>10}{ratio:>8}{spread:>9}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Count and tell."""
    parser = argparse.ArgumentParser(prog="bench.instructions", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--source", type=Path, action="append", help="a checkout; may be repeated")
    parser.add_argument("--rungs", type=named, default=list(RUNGS), metavar="A,B")
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args(arguments)
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is needed to count instructions: apt-get install valgrind")
    sources = [source.resolve() for source in options.source or ()] or [None]
    subjects = [Subject(options.python, source) for source in sources]
    found = measure(subjects, options.rungs, options.repeats)
    for subject in subjects:
        print(f"\n{subject.source or 'tcpwatch as installed'}")
        print(told({r.name: found[subject, r.name] for r in options.rungs}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
