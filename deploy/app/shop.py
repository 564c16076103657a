"""A small shop on werkzeug's own server, watched by tcpwatch: what deploy/ looks at."""

from __future__ import annotations

import argparse
import time

from flask import Flask, request

import tcpwatch

LONGEST = 30.0
"""Seconds a report may take."""
LARGEST = 64 * 1024**2
"""Bytes an export may have."""

app = Flask(__name__)


@app.get("/")
def home() -> str:
    """Answer at once."""
    return "hello"


@app.get("/healthz")
def healthz() -> str:
    """Answer those who ask whether we live; its requests are left out of the telemetry."""
    return "ok"


@app.get("/item/<int:number>")
def item(number: int) -> dict[str, int]:
    """Answer at once, by a route with a variable part."""
    return {"number": number}


@app.get("/report")
def report() -> dict[str, float]:
    """Take `s` seconds, like a query that nobody has given an index."""
    seconds = min(request.args.get("s", 1.0, type=float), LONGEST)
    time.sleep(seconds)
    return {"seconds": seconds}


@app.get("/export")
def export() -> bytes:
    """Send `n` bytes; a client that reads slowly shows as a long `respond`."""
    return b"x" * min(request.args.get("n", 1024**2, type=int), LARGEST)


@app.post("/upload")
def upload() -> dict[str, int]:
    """Read the whole body."""
    return {"read": len(request.get_data())}


@app.get("/error")
def error() -> str:
    """Fail."""
    raise RuntimeError("this view fails on purpose")


def main() -> None:
    """Serve where the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", metavar="HOST:PORT", required=True)
    parser.add_argument("--dispatch", choices=("thread", "inline"), default="thread")
    parser.add_argument("--tls", action="store_true", help="with a certificate made at start")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    tcpwatch.install()
    app.run(
        host,
        int(port),
        threaded=options.dispatch == "thread",
        ssl_context="adhoc" if options.tls else None,
    )


if __name__ == "__main__":
    main()
