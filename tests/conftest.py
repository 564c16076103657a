"""What holds for every test: no telemetry setting of the machine, no ignored signal reaches it."""

from __future__ import annotations

import os
import signal

import hypothesis
import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts us in the background has us ignore Ctrl-C, and our servers would inherit
    # that; what is caught is reset by exec, what is ignored is not.
    signal.signal(signal.SIGINT, signal.default_int_handler)


# How long an example takes is the machine's affair: with others at work, 0.2 s are soon over.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _no_telemetry_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take OTEL_* and TCPWATCH_* out of the environment."""
    for name in [n for n in os.environ if n.startswith(("OTEL_", "TCPWATCH_"))]:
        monkeypatch.delenv(name)
