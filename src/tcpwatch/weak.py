"""What is alive of a weak collection to which other threads add meanwhile.

Python iterates over `weakref`'s collections step by step and raises RuntimeError if one has grown;
only the references of a WeakValueDictionary can be had in one step.
"""

from __future__ import annotations

from typing import Any, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")


def alive(collection: WeakValueDictionary[Any, T]) -> list[T]:
    """Return the values that are alive now, in the order in which they came."""
    found = (reference() for reference in collection.valuerefs())
    return [value for value in found if value is not None]
