"""OpenTelemetry's own Flask and WSGI instrumentation in the same process: one SERVER span each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
THEIRS = {
    "tcpwatch_first": "flask",
    "flask_first": "flask",
    "instrument_app": "flask",
    "middleware_inside": "wsgi",
    "middleware_outside": "wsgi",
}


def run(order: str) -> dict[str, Any]:
    """Run the application in this order of installing and return what it told."""
    environment = {
        **os.environ,
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
        "TCPWATCH_STRICT": "on",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.apps.coexistence", order],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "tcpwatch internal error" not in done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def of(told: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the spans of a kind."""
    return [span for span in told["spans"] if span["kind"] == kind]


@pytest.mark.parametrize("order", THEIRS)
def test_their_span_is_the_only_server_span(order: str) -> None:
    """Theirs stays, with our link and connection id; ours and our request metric step back."""
    told = run(order)
    connections = {s["id"]: s for s in told["spans"] if s["name"] == "tcp.connection"}
    servers = of(told, "SERVER")

    assert [span["scope"] for span in servers] == [THEIRS[order]] * 2
    assert told["durations"] == {THEIRS[order]: 2}
    assert servers[1]["trace"] == "1" * 32
    assert servers[1]["parent"] == "2" * 16
    for span in servers:
        (link,) = span["links"]
        assert connections[link]["connection"] == span["connection"]


def test_a_hidden_instrumentation_is_learned() -> None:
    """Where nothing gives it away, its first span under ours does, from the next request on."""
    told = run("middleware_hidden")

    assert [span["scope"] for span in of(told, "SERVER")] == ["tcpwatch", "wsgi"]


def test_without_an_instrumentation_the_span_is_ours() -> None:
    """One that was taken off again counts for nothing."""
    told = run("uninstrumented_again")

    assert [span["scope"] for span in of(told, "SERVER")] == ["tcpwatch"] * 2
    assert told["durations"] == {"tcpwatch": 2}
