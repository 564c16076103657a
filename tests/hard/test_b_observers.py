"""Hard case 21: servers that are part of observing are left alone, and unharmed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.live.harness import BROKEN, ROOT, clean_environment
from tests.live.wire import LIMIT


@pytest.mark.parametrize("observer", ["logging", "prometheus", "receiver"])
def test_an_observer_is_not_observed(observer: str) -> None:
    """It serves as ever; only the application's own server beside it has a connection to tell."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hard.apps_b_observers", observer],
        cwd=ROOT,
        env=clean_environment({}),
        capture_output=True,
        text=True,
        timeout=2 * LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not [words for words in BROKEN if words in done.stderr], done.stderr
    assert json.loads(done.stdout) == {"well": True, "watched": 1}
