"""Attributes in groups: what comes together is looked up, counted and encoded together.

A span of ours has some twenty attributes. One by one their encoding was what a traced connection
cost most; but most of them come in a few sets of values again and again, and the others are times,
which have one length. As a mapping they are what everybody expects.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from tcpwatch.emit.encoding import ATTRIBUTES, attribute, before_double

Values = tuple[Any, ...]

_REMEMBERED: Final = 512
"""Sets of values of one group."""

SHORT: Final = 256
"""Characters of texts that are worth remembering: a client may send what it likes."""


class Group:
    """Attributes that come together; a value of None is an attribute that is not there.

    `encoded` makes their bytes of their values, which are in the order of `names`.
    """

    __slots__ = ("encoded", "names")

    def __init__(self, names: Sequence[str], encoded: Callable[[Values], bytes]) -> None:
        self.names, self.encoded = names, encoded


def fresh(*names: str) -> Group:
    """Return a group whose values are new each time."""

    def encoded(values: Values) -> bytes:
        pairs = zip(names, values, strict=True)
        return b"".join(
            [attribute(name, value, ATTRIBUTES) for name, value in pairs if value is not None]
        )

    return Group(names, encoded)


def repeated(*names: str) -> Group:
    """Return a group whose values are mostly those of an earlier span.

    A value is of the same type each time: Python takes 1 and True for one.
    """
    return Group(names, functools.lru_cache(_REMEMBERED)(fresh(*names).encoded))


def texts(*names: str) -> Group:
    """Return a group of texts, mostly those of an earlier span; long ones are not remembered."""
    encoded, remembered = fresh(*names).encoded, repeated(*names).encoded

    def encoded_or_remembered(values: Values) -> bytes:
        short = sum(map(len, filter(None, values))) < SHORT
        return remembered(values) if short else encoded(values)

    return Group(names, encoded_or_remembered)


@functools.lru_cache(_REMEMBERED)
def floats(*names: str) -> Group:
    """Return a group of floats, none of which is None."""
    parts: list[Any] = []
    for name in names:
        parts += before_double(ATTRIBUTES, name), 0.0
    pack = struct.Struct("<" + "".join(f"{len(part)}sd" for part in parts[::2])).pack

    def encoded(values: Values) -> bytes:
        filled = parts[:]
        filled[1::2] = values
        return pack(*filled)

    return Group(names, encoded)


class Grouped(Mapping[str, Any]):
    """Attributes: groups and their values. No name is in two of them."""

    __slots__ = ("_found", "groups")

    def __init__(self, groups: list[tuple[Group, Values]]) -> None:
        self.groups = groups
        self._found: dict[str, Any] | None = None

    def add(self, group: Group, *values: Any) -> None:
        """Add a group."""
        self.groups.append((group, values))
        self._found = None

    def extend(self, others: Grouped) -> None:
        """Add all groups of others."""
        self.groups += others.groups
        self._found = None

    def encoded(self) -> bytes:
        """Return them as fields of their span; raises what `encoding` raises."""
        return b"".join([group.encoded(values) for group, values in self.groups])

    def _all(self) -> dict[str, Any]:
        found = self._found
        if found is None:
            found = self._found = {
                name: value
                for group, values in self.groups
                for name, value in zip(group.names, values, strict=True)
                if value is not None
            }
        return found

    def __getitem__(self, name: str) -> Any:
        """Return the value of an attribute."""
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        """Return the names of those that are there."""
        return iter(self._all())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._all())
