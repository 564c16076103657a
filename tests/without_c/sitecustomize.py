"""A Python with this folder on its path has tcpwatch as it is where there was no compiler."""

import sys

for room in ("core.compiled._compiled", "emit.compiled._compiled", "patches.ordinary._ordinary"):
    sys.modules[f"tcpwatch.{room}"] = None  # type: ignore[assignment]  # to import it is an error
