"""What holds for every test: no telemetry setting of the machine, no ignored signal reaches it."""

from __future__ import annotations

import os
import signal

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts us in the background has us ignore Ctrl-C, and our servers would inherit
    # that; what is caught is reset by exec, what is ignored is not.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_telemetry_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take OTEL_* and TCPWATCH_* out of the environment."""
    for name in [n for n in os.environ if n.startswith(("OTEL_", "TCPWATCH_"))]:
        monkeypatch.delenv(name)
