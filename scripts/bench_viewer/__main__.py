"""Measure the viewer: spans it takes in a second, questions over 100,000 connections, frames.

    python -m bench_viewer [--seconds 5] [--rounds 3] [--connections 100000]

Ingest is measured against a door that reads and forgets, round by round side by side; the page is
open meanwhile if a browser is there. The exit code is 1 if a bar was missed.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator

from bench_viewer.browser import frames, open_page
from bench_viewer.telemetry import SPANS, batch

BATCH = 100
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


def send(address: str, bodies: list[bytes], seconds: float) -> float:
    """Send exports one after another for so long, or each once; return spans per second."""
    place = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    sent, began = 0, time.perf_counter()
    while (time.perf_counter() - began < seconds) if seconds else sent < len(bodies):
        connection.request("POST", "/v1/traces", bodies[sent % len(bodies)], headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.client.OK:
            raise SystemExit(f"the viewer answered {answer.status}")
        sent += 1
    took = time.perf_counter() - began
    connection.close()
    return sent * BATCH * SPANS / took


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


def ingest(seconds: float, rounds: int) -> bool:
    """Measure how many spans are taken, beside the door that forgets."""
    begin = time.time() - 3600
    bodies = [batch(BATCH, begin + number * 10, 0.1, number) for number in range(40)]
    rates: dict[str, list[float]] = {"forgets": [], "keeps": []}
    with server("null") as null, server() as viewer, open_page(viewer) as page:
        send(viewer, bodies, 1)
        for _ in range(rounds):
            rates["forgets"].append(send(null, bodies, seconds / 2))
            rates["keeps"].append(send(viewer, bodies, seconds))
    forgets, keeps = (statistics.median(rates[name]) for name in ("forgets", "keeps"))
    print(f"ingest, page {page}, one sender, {SPANS * BATCH} spans an export, {rounds} rounds")
    print(f"  a door that forgets  {forgets:>10,.0f} spans/s")
    print(
        f"  the viewer           {keeps:>10,.0f} spans/s  ({keeps / forgets:.2f} of it; worst "
        f"round {min(rates['keeps']):,.0f}; bar {BARS['ingest']:,})"
    )
    return min(rates["keeps"]) >= BARS["ingest"]


def questions(address: str, rounds: int) -> bool:
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
        "loop, everything": f"/api/loop?server={name}&begin={begin}&end={end}&most=4000",
        "loop, a minute": f"/api/loop?server={name}&begin={middle}&end={middle + 60}&most=4000",
        "density": f"/api/density?server={name}&begin={begin}&end={end}",
        "findings": f"/api/findings?server={name}",
        "overview": f"/api/overview?server={name}",
        "overview, a route": f"/api/overview?server={name}&route=/slow&least=0.05",
        "learn": f"/api/learn?server={name}",
        "connection": f"/api/connection/{span}",
    }
    print(f"questions over {one['connections']:,} connections (median and longest of {rounds})")
    good = True
    for what, path in paths.items():
        ask(address, path)
        taken = [ask(address, path) for _ in range(rounds)]
        median = statistics.median(seconds for seconds, _ in taken)
        longest = max(seconds for seconds, _ in taken)
        missed = "" if median <= BARS["question"] else "   over the bar of 200 ms"
        print(
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


def main() -> int:
    """Measure all; return 1 if a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=100_000)
    chosen = parser.parse_args()
    good = ingest(chosen.seconds, chosen.rounds)
    begin = time.time() - 3600
    step = 3500 / chosen.connections
    with server() as viewer:
        for first in range(0, chosen.connections, BATCH):
            send(viewer, [batch(BATCH, begin + first * step, step, first)], 0)
        good &= questions(viewer, max(5, chosen.rounds))
        rate = frames(viewer)
    if rate is None:
        print("frames: not measured, there is no browser")
        return not good
    print(
        f"frames, {rate.rows:,} rows on screen, panning: {rate.per_second:.0f} a second, "
        f"a drawing takes {rate.drawing * 1e3:.1f} ms (bar {BARS['frames']})"
    )
    return not (good and rate.per_second >= BARS["frames"])


if __name__ == "__main__":
    sys.exit(main())
