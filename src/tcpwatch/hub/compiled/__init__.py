"""What serving threads write on, its fields typed in C where that could be built.

A connection passes some twenty hooks, each of which notes a time or asks how far it is. As slots of
a class in Python these are objects, made and thrown away; in C they are numbers in one place.
"""

from __future__ import annotations

from types import MemberDescriptorType
from typing import Final, TypeVar

from tcpwatch.core.compiled import Twins

State = TypeVar("State")

twins: Final = Twins(f"{__name__}._compiled")
quick, connect = twins.quick, twins.connect


def fields_are_typed() -> bool:
    """Say whether they are, on which all rests that writes on them in C."""
    return twins.module is not None


def typed(cls: type[State]) -> type[State]:
    """Return a class with its slots as typed fields, where they are built: a decorator.

    Raises TypeError if the class in C has other fields.
    """
    base = getattr(twins.module, cls.__name__, None)
    if base is None:
        return cls
    ours = {name for name, what in vars(cls).items() if isinstance(what, MemberDescriptorType)}
    theirs = {name for name, what in vars(base).items() if isinstance(what, MemberDescriptorType)}
    if ours != theirs:
        raise TypeError(f"{cls.__qualname__} in C has other fields: {sorted(ours ^ theirs)}")
    rest = {name: what for name, what in vars(cls).items() if name not in ours}
    made: type[State] = type(cls.__name__, (base,), {**rest, "__slots__": ()})
    return made
