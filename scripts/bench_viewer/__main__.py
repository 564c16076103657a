"""Measure the viewer: spans it takes in a second, questions over 100,000 connections, frames.

    python -m bench_viewer                 three minutes, written into docs/viewer.md
    python -m bench_viewer --seconds 10    a look: nothing is written

Ingest is sustained for a minute with the page open, and judged by its worst five seconds; beside
it stands a door that reads and forgets. The exit code is 1 if a bar was missed.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench_viewer.browser import frames, open_page
from bench_viewer.telemetry import SPANS, batch, metrics, sent

BATCH = 100
MINUTE = 60.0
STRETCH = 5.0
"""Seconds over which a rate is taken; the worst such stretch is judged."""
EXPORTS = 1_000
ROUNDS = 5
OUT = Path(__file__).parents[2] / "docs" / "viewer-bench.txt"
BARS = {"ingest": 5_000, "question": 0.2, "frames": 30}


@contextlib.contextmanager
def server(*arguments: str) -> Iterator[str]:
    """Run the server's process and give its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench_viewer.server", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(30)


def send(address: str, exports: Iterable[bytes], path: str = "/v1/traces") -> list[float]:
    """Send gzipped exports of `BATCH` connections one after another.

    Returns the spans per second of each stretch of `STRETCH` seconds.
    """
    place = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    began = time.perf_counter()
    counts: dict[int, int] = defaultdict(int)
    for export in exports:
        spent = time.perf_counter() - began
        connection.request("POST", path, export, headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != http.client.OK or said:  # OTLP says nothing if all was taken
            raise SystemExit(f"the viewer answered {answer.status} {said!r}; expected an empty 200")
        counts[int(spent // STRETCH)] += BATCH * SPANS
    connection.close()
    return [count / STRETCH for count in counts.values()]


def for_so_long(exports: list[bytes], seconds: float) -> Iterator[bytes]:
    """Give exports to be sent, over and over, each time as new ones."""
    until = time.perf_counter() + seconds
    for number, export in enumerate(itertools.cycle(exports), 1):
        if time.perf_counter() >= until:
            return
        yield sent(export, number)


def ask(address: str, path: str) -> tuple[float, int]:
    """Return the seconds that a question took and the size of the answer."""
    place = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    began = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    took = time.perf_counter() - began
    connection.close()
    if answer.status != http.client.OK:
        raise SystemExit(f"the viewer answered {answer.status} to {path}: {body[:200]!r}")
    return took, len(body)


def ingest(seconds: float) -> bool:
    """Measure how many spans are taken, beside the door that forgets."""
    begin = time.time() - 3600
    exports = [batch(BATCH, begin + number * 10, 0.1, number) for number in range(40)]
    with server("null") as null, server() as viewer, open_page(viewer) as page:
        forgets = statistics.median(send(null, for_so_long(exports, STRETCH)))
        keeps = send(viewer, for_so_long(exports, seconds))
        state = json.loads(_body(viewer, "/api/state"))
    stored = state["evicted"] + SPANS * sum(one["connections"] for one in state["servers"])
    if abs(stored - sum(keeps) * STRETCH) >= SPANS:  # a connection may have left in part
        raise SystemExit(f"of {sum(keeps) * STRETCH:,.0f} spans {stored:,} were stored")
    median, worst = statistics.median(keeps), min(keeps)
    say(f"ingest for {seconds:.0f} s, page {page}, one sender, {SPANS * BATCH} spans an export")
    say(f"  a door that forgets  {forgets:>10,.0f} spans/s")
    say(
        f"  the viewer           {median:>10,.0f} spans/s  ({median / forgets:.2f} of it; worst "
        f"{STRETCH:.0f} s {worst:,.0f}; bar {BARS['ingest']:,})"
    )
    say(f"  then {state['size'] / 1e6:,.0f} MB are kept, {state['evicted']:,} spans had to leave")
    return worst >= BARS["ingest"]


def questions(address: str) -> bool:
    """Measure every question of the page."""
    state = json.loads(_body(address, "/api/state"))
    one = state["servers"][0]
    name, begin, end = one["id"], one["first"], one["last"]
    middle = begin + (end - begin) / 2
    span = json.loads(
        _body(address, f"/api/loop?server={name}&begin={middle}&end={middle + 1}&most=10")
    )["rows"][0][0]
    paths = {
        "state": "/api/state",
        "now": "/api/now",
        "loop, everything": f"/api/loop?server={name}&begin={begin}&end={end}&most=4000",
        "loop, a minute": f"/api/loop?server={name}&begin={middle}&end={middle + 60}&most=4000",
        "density": f"/api/density?server={name}&begin={begin}&end={end}",
        "findings": f"/api/findings?server={name}",
        "overview": f"/api/overview?server={name}",
        "overview, a route": f"/api/overview?server={name}&route=/slow&least=0.05",
        "learn": f"/api/learn?server={name}",
        "connection": f"/api/connection/{span}",
    }
    say(f"questions over {one['connections']:,} connections (median and longest of {ROUNDS})")
    good = True
    for what, path in paths.items():
        ask(address, path)
        taken = [ask(address, path) for _ in range(ROUNDS)]
        median = statistics.median(seconds for seconds, _ in taken)
        longest = max(seconds for seconds, _ in taken)
        missed = "" if median <= BARS["question"] else "   over the bar of 200 ms"
        say(
            f"  {what:<20} {median * 1e3:>7.0f} ms {longest * 1e3:>7.0f} ms  "
            f"{taken[0][1] / 1e3:>8.0f} kB{missed}"
        )
        good &= not missed
    return good


def _body(address: str, path: str) -> bytes:
    place = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    return body


def drawing(address: str) -> bool:
    """Measure frames; where there is no browser, say so."""
    rate = frames(address)
    if rate is None:
        say("frames: not measured, there is no browser")
        return True
    say(
        f"frames, {rate.rows:,} rows on screen, panning: {rate.per_second:.0f} a second, "
        f"a drawing takes {rate.drawing * 1e3:.1f} ms (bar {BARS['frames']})"
    )
    return rate.per_second >= BARS["frames"]


_said: list[str] = []


def say(words: str) -> None:
    """Print it, and keep it for the document."""
    _said.append(words)
    print(words, flush=True)


def main() -> int:
    """Measure all; return 1 if a bar was missed."""
    parser = argparse.ArgumentParser(prog="bench_viewer", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=MINUTE)
    parser.add_argument("--connections", type=int, default=100_000)
    chosen = parser.parse_args()
    good = ingest(chosen.seconds)
    end = time.time()
    step = 3500 / chosen.connections
    with server() as viewer:
        firsts = range(0, chosen.connections, BATCH)
        made = (batch(BATCH, end - 3600 + first * step, step, first) for first in firsts)
        send(viewer, (sent(export, number) for number, export in enumerate(made, 1)))
        exports = [metrics(end - EXPORTS + second) for second in range(EXPORTS)]
        send(viewer, exports, path="/v1/metrics")
        good &= questions(viewer)
        good &= drawing(viewer)
    if chosen.seconds >= MINUTE:
        OUT.write_text("\n".join(_said) + "\n", encoding="utf-8")
        subprocess.run([sys.executable, OUT.parents[1] / "scripts" / "docs.py"], check=True)
    return not good


if __name__ == "__main__":
    sys.exit(main())
