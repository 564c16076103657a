"""What it was measured on: processor, kernel, Python, packages. No names of hosts or people."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

PACKAGES = (
    "tcpwatch",
    "werkzeug",
    "flask",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-instrumentation-flask",
    "opentelemetry-instrumentation-wsgi",
)


def machine() -> dict[str, str]:
    """Return what it is, in words."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return {
        "processor": f"{processor()}, {len(os.sched_getaffinity(0))} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"CPython {platform.python_version()}",
        "packages": packages,
    }


def processor() -> str:
    """Return the processor's model, as the kernel calls it."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()
