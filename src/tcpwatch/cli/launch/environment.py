"""The environment of a watched program: what it gets from us, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

BOOTSTRAP: Final = Path(__file__).with_name("bootstrap")

LIVE: Final = {
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    "OTEL_BSP_SCHEDULE_DELAY": "500",
    "OTEL_LOGS_EXPORTER": "otlp",
}
"""Milliseconds between two exports, and our warnings with them. The SDK's (60 s, 5 s) are for a
collector of many programs; who has named no endpoint looks at one program on this machine, and
wants to see it live."""


def watched(environ: Mapping[str, str], viewer: str = "") -> dict[str, str]:
    """Return the environment in which every Python, and its children, load the bootstrap.

    `viewer` is the address that telemetry goes to, "" to leave that to the variables.
    """
    shared = str(BOOTSTRAP)
    paths = environ.get("PYTHONPATH", "").split(os.pathsep) if environ.get("PYTHONPATH") else []
    path = os.pathsep.join([shared, *(entry for entry in paths if entry != shared)])
    added = {} if endpoints(environ) else dict(LIVE)
    if viewer and not endpoints(environ):
        added["OTEL_EXPORTER_OTLP_ENDPOINT"] = viewer
    return {**added, **environ, "PYTHONPATH": path}


def endpoints(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that say where telemetry goes, as far as they are set."""
    return {
        name: value
        for name, value in environ.items()
        if name.startswith("OTEL_EXPORTER_OTLP") and name.endswith("ENDPOINT") and value.strip()
    }


def elsewhere(environ: Mapping[str, str], viewer: str) -> list[str]:
    """Return those of the variables that send telemetry past a viewer's address."""
    here = {viewer, viewer.replace("127.0.0.1", "localhost")}
    return [
        f"{name}={value}"
        for name, value in endpoints(environ).items()
        if not value.strip().rstrip("/").startswith(tuple(here))
    ]
