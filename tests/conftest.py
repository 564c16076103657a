"""What holds for every test: no telemetry setting of the machine reaches it."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_telemetry_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take OTEL_* and TCPWATCH_* out of the environment."""
    for name in [n for n in os.environ if n.startswith(("OTEL_", "TCPWATCH_"))]:
        monkeypatch.delenv(name)
