"""What the kernel has told says in C what it says in Python."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tcpwatch.kernel import tcp_info
from tcpwatch.kernel.compiled import twins
from tcpwatch.kernel.tcp_info import SIZE, TELLING_SIZE

pytestmark = pytest.mark.skipif(
    not twins.in_python, reason="nothing is built in C here; tcpwatch doctor says why"
)

_COUNTS = struct.Struct("=Q72xQQ")
"""Bytes acknowledged, sent, and sent again, as they lie from the first of them on."""


def said(read: Callable[[bytes], Any], told: bytes) -> Any:
    """Return what is read, and of what type; or what kind of error it is."""
    try:
        found = read(told)
    except struct.error as error:
        return type(error)
    return type(found), found, list(map(type, found))


def told(state: int, counts: tuple[int, int, int], rest: bytes) -> bytes:
    """Return a structure of the kernel's with these bytes in it."""
    made = bytearray(rest)
    made[0] = state
    _COUNTS.pack_into(made, 120, *counts)
    return bytes(made)


counts = st.integers(0, 5) | st.integers(0, 2**64 - 1)


@given(
    state=st.integers(0, 13),
    counts=st.tuples(counts, counts, counts),
    rest=st.binary(min_size=SIZE, max_size=SIZE),
    size=st.integers(TELLING_SIZE - 2, SIZE),
)
@example(state=1, counts=(101, 100, 0), rest=bytes(SIZE), size=SIZE)
@example(state=7, counts=(101, 100, 0), rest=bytes(SIZE), size=SIZE)
@example(state=8, counts=(100, 100, 0), rest=b"\xff" * SIZE, size=SIZE)
@example(state=8, counts=(2**63, 2**64 - 1, 1), rest=b"\xff" * SIZE, size=TELLING_SIZE)
def test_c_reads_what_python_reads(
    state: int, counts: tuple[int, int, int], rest: bytes, size: int
) -> None:
    """Whatever state it is in, whatever the kernel counts, and wherever the structure ends."""
    data = told(state, counts, rest)[:size]
    for name, in_python in twins.in_python.items():
        assert said(getattr(tcp_info, name), data) == said(in_python, data), name


@pytest.mark.parametrize("name", twins.in_python)
def test_what_another_process_has_read_is_left_to_python(name: str) -> None:
    """The fields of `Closing`, and a sub-class of bytes."""

    class Bytes(bytes):
        __slots__ = ()

    data = bytes(SIZE)
    expected = said(twins.in_python[name], data)
    assert said(getattr(tcp_info, name), Bytes(data)) == expected
    fields: Any = tuple(tcp_info.parse_closing(data))
    assert getattr(tcp_info, name)(fields) == twins.in_python[name](fields)
