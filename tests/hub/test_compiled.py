"""What serving threads write on has typed fields in C; what is told of it is what Python tells."""

from __future__ import annotations

import gc
from typing import Any
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpwatch.hub.compiled import twins, typed
from tcpwatch.hub.connection import KEPT, Connection, Exchange, fields_of
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.testing import FakeKernel

pytestmark = pytest.mark.skipif(
    not twins.in_python, reason="nothing is built in C here; tcpwatch doctor says why"
)

LISTENER = Listener(1, "127.0.0.1", 80, "ipv4", "tcp", "test.Server", False, ())
SPAN = (1 << 127, 2, 3, True, 1, (("vendor", "value"),), False)

texts = st.none() | st.text(max_size=3) | st.just("x" * (KEPT + 1))


def connection() -> Connection:
    """Return a connection of a loop."""
    return Connection(1, Loop(LISTENER, None, FakeKernel()), 0, 1, (0,) * 13)


def test_a_class_whose_fields_are_others_is_refused() -> None:
    """So neither side can get a field that the other does not know."""

    class Exchange:
        __slots__ = ("status", "surprise")

    with pytest.raises(TypeError, match=r"other fields: .*'surprise'"):
        typed(Exchange)


@pytest.mark.parametrize(
    ("field", "value"), [("head_ns", "soon"), ("head_ns", 2**64), ("final", 1), ("final", None)]
)
def test_a_field_takes_what_it_is_made_for(field: str, value: Any) -> None:
    """A count is a number of 64 bits, a flag True or False."""
    exchange = Exchange(1, 2, 3)
    with pytest.raises((TypeError, OverflowError)):
        setattr(exchange, field, value)


@pytest.mark.parametrize("cls", [Connection, Exchange, Loop])
def test_an_object_has_its_fields_and_nothing_else(cls: Any) -> None:
    """No dictionary, which each would pay for; and none before it is filled."""
    empty = cls.__new__(cls)
    with pytest.raises(AttributeError):
        empty.surprise = 1
    assert not hasattr(empty, "__dict__")
    objects = {Connection: "marks", Exchange: "method", Loop: "history"}
    with pytest.raises(AttributeError):
        getattr(empty, objects[cls])


def test_a_cycle_is_garbage() -> None:
    """An application may keep what leads back to its connection."""

    class Kept:
        pass

    kept = Kept()
    made = connection()
    made.application = [made, kept]
    made.exchange = Exchange(1, 2, 3)
    made.exchange.span = made
    gone = ref(kept)
    del made, kept
    gc.collect()
    assert gone() is None


@given(
    texts=st.lists(texts, min_size=7, max_size=7),
    fields=st.dictionaries(
        st.sampled_from(["host", "user-agent", "x-forwarded-for", "accept"]), st.text(max_size=3)
    ),
    status=st.none() | st.integers(),
    flags=st.lists(st.booleans(), min_size=3, max_size=3),
    numbers=st.tuples(st.integers(0, 2**62), st.sampled_from([0, 1, KEPT, KEPT + 1])),
    span=st.sampled_from([None, SPAN]),
)
def test_a_request_is_told_in_c_as_in_python(
    texts: list[str | None],
    fields: dict[str, str],
    status: int | None,
    flags: list[bool],
    numbers: tuple[int, int],
    span: tuple[Any, ...] | None,
) -> None:
    """Whatever it was, of what size, and whether it has a span."""
    exchange = Exchange(1, 2, 3)
    exchange.method, exchange.target, exchange.version = texts[:3]
    exchange.route, exchange.error, _, _ = texts[3:]
    exchange.fields, exchange.status, exchange.span_facts = fields, status, span
    exchange.refused, exchange.peer_instrumented, exchange.excluded = flags
    exchange.body_wait_ns, exchange.received = numbers

    in_python = twins.in_python["fields_of"](exchange)
    assert fields_of(exchange) == in_python == exchange.freeze()
    assert list(map(type, fields_of(exchange))) == list(map(type, in_python))
