"""Print what a probe saw, as JSON; docs.py puts it into the pages.

python -m probes patched|cost|symptoms
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

from probes.cost import cost
from probes.patched import patched
from probes.symptoms import symptoms

PROBES: dict[str, Callable[[], Any]] = {"patched": patched, "cost": cost, "symptoms": symptoms}

if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    print(json.dumps(PROBES[sys.argv[1]]()))
