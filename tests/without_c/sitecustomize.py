"""A Python with this folder on its path has tcpwatch as it is where there was no compiler."""

import sys

ROOMS = ("core.compiled", "emit.compiled", "hub.compiled", "kernel.compiled")
for room in (*(f"{room}._compiled" for room in ROOMS), "patches.ordinary._ordinary"):
    sys.modules[f"tcpwatch.{room}"] = None  # type: ignore[assignment]  # to import it is an error
