"""Hard case 23: operations at random, by a seed that is printed.

TCPWATCH_FUZZ_SEED=123 TCPWATCH_FUZZ_SECONDS=60 pytest tests/hard/test_b_fuzz.py
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from typing import Any

from tests.live.harness import BROKEN, ROOT, clean_environment

SEED = int(os.environ.get("TCPWATCH_FUZZ_SEED", "0")) or random.SystemRandom().getrandbits(32)
SECONDS = float(os.environ.get("TCPWATCH_FUZZ_SECONDS", "8"))


def test_whatever_happens_the_books_balance() -> None:
    """No crash, no leak; gauges are 0, and each connection accepted while installed has a span."""
    sys.stdout.write(f"seed {SEED}\n")
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "faulthandler",
            "-m",
            "tests.hard.apps_b_fuzz",
            str(SEED),
            str(SECONDS),
        ],
        cwd=ROOT,
        env=clean_environment({"TCPWATCH_STRICT": "on", "TCPWATCH_BANNER": "off"}),
        capture_output=True,
        text=True,
        timeout=SECONDS + 30,
        check=False,
    )
    assert done.returncode == 0, f"seed {SEED}\n{done.stderr}"
    assert not [words for words in BROKEN if words in done.stderr], f"seed {SEED}\n{done.stderr}"
    told: dict[str, Any] = json.loads(done.stdout)
    accepted = told["watched"]
    assert accepted > 0
    del told["done"]
    assert told == {
        "failures": [],
        "counted": True,
        "closed": True,
        "watched": accepted,
        "connections": accepted,
        "durations": accepted,
        "distinct": True,
        "gauges": [0, 0, 0],
        "kept": 0,
        "threads": [],
    }, f"seed {SEED}\n{done.stderr}"
