"""Whether a viewer runs; without the weight of one."""

from __future__ import annotations

import json
import urllib.request
from typing import Final

_PATIENCE: Final = 5.0


def is_viewer(address: str) -> bool:
    """Say whether a viewer answers at an http:// or https:// address."""
    if not address.startswith(("http://", "https://")):
        return False
    try:
        with urllib.request.urlopen(f"{address}/api/state", timeout=_PATIENCE) as answer:  # noqa: S310  # http(s) only
            return "servers" in json.load(answer)
    except (OSError, ValueError):
        return False
