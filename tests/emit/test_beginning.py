"""A request's span begins in C as it does in Python, where most do; C leaves the others alone."""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Callable, Iterator
from email.message import Message
from itertools import pairwise
from typing import Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler, SamplingResult, TraceIdRatioBased

from tcpwatch.core import kinds
from tcpwatch.emit.compiled import began
from tcpwatch.emit.contexts import SAMPLED
from tcpwatch.emit.current import Carried, RequestSpan
from tcpwatch.emit.peers import Peers
from tcpwatch.emit.requests import RequestSpans
from tcpwatch.emit.tracing import Tracing
from tcpwatch.hub import hub
from tcpwatch.hub.connection import APP, HEAD, Connection, Exchange
from tcpwatch.hub.loop import Loop
from tcpwatch.settings import Settings
from tcpwatch.testing import FakeKernel
from tests.emit.test_starting import HIGH, LISTENER, LOW

pytestmark = pytest.mark.skipif(
    began is None, reason="spans do not start in C here; tcpwatch doctor says why"
)


def spans(sampler: Sampler | None = None, **settings: Any) -> RequestSpans:
    """Return what begins spans with a provider that has this sampler; of half of all, usually."""
    provider = TracerProvider(sampler=sampler or TraceIdRatioBased(0.5), shutdown_on_exit=False)
    found = RequestSpans(Tracing(provider), Peers.of(provider), Settings(**settings))
    found._propagated()  # as after its first request
    return found


def connection(trace_id: int = LOW) -> Connection:
    """Return a connection whose first request's head was just parsed."""
    facts = (0, 1, 0, 0, 9, 1, ("127.0.0.1", 5), None, "1f", None, None, trace_id, 2)
    made = Connection(1, Loop(LISTENER, None, FakeKernel()), 0, 1, facts)
    exchange = made.exchange = Exchange(1, 10, 30)
    exchange.method, exchange.target, exchange.head_ns = "GET", "/", 20
    made.stage = APP
    return made


def head(**fields: str) -> Message:
    """Return a parsed head, of which one field comes twice."""
    message = Message()
    message["Host"] = "example.org"
    for name, value in fields.items():
        message[name] = value
    message["X-Twice"] = "first"
    message["x-twice"] = "second"
    return message


@pytest.fixture(autouse=True)
def _same_ids(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have ids drawn anew from one seed at each start, and nothing current at the end."""
    random.seed(1)
    before = context_api.get_current()
    yield
    assert context_api.get_current() == before


def in_c(given: RequestSpans, made: Connection, message: Any, app: Any = None) -> bool:
    """Begin a span in C; return whether it was done."""
    assert began is not None
    return began(given, made, exchange_of(made), message, app)


def in_python(given: RequestSpans, made: Connection, message: Message) -> None:
    """Begin a span in Python."""
    given.begin(made, exchange_of(made), message, None)


def exchange_of(made: Connection) -> Exchange:
    """Return the request of a connection."""
    assert made.exchange is not None
    return made.exchange


def outcome(made: Connection) -> Any:
    """Return all that a start has left behind, and take it back."""
    exchange = exchange_of(made)
    current = trace.get_current_span()
    assert isinstance(current, (Carried, RequestSpan))
    context = current.get_span_context()
    exchange.release()
    return (
        *(made.flags, made.trace_state, made.marks, exchange.span_facts, dict(exchange.fields)),
        *(type(current), current.ids, type(current.ids), context),
        exchange.span is current,
    )


@pytest.mark.parametrize(
    ("trace_id", "cls", "flags"), [(LOW, RequestSpan, SAMPLED), (HIGH, Carried, 0)]
)
def test_a_span_begun_in_c_is_the_one_begun_in_python(trace_id: int, cls: type, flags: int) -> None:
    """Its ids, its decision, what is current, and what the request tells of it."""
    given = spans()
    found = []
    for begin in (in_c, in_python):
        random.seed(7)
        made = connection(trace_id)
        begin(given, made, head())
        found.append(outcome(made))

    assert found[0] == found[1]
    assert found[0][5] is cls
    assert found[0][0] == flags


def test_what_begins_in_c_becomes_an_sdk_span_when_it_is_touched() -> None:
    """With the same ids, and a child of the connection's."""
    made = connection()
    assert in_c(spans(), made, head())
    span = trace.get_current_span()
    span.set_attribute("mine", 1)
    ended = exchange_of(made)
    ended.release()

    assert isinstance(span, RequestSpan)
    assert span.touched
    assert span.attributes is not None
    assert span.attributes["mine"] == 1
    assert span.parent is not None
    assert span.parent.span_id == 2


class Asked(Sampler):
    """A sampler that wants to be asked."""

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        """Say no."""
        return ALWAYS_OFF.should_sample(*args, **kwargs)

    def get_description(self) -> str:
        """Return its name."""
        return "Asked"


def later(made: Connection) -> None:
    """Be the connection's second request."""
    exchange_of(made).sequence = 2


def decided(made: Connection) -> None:
    """Be on a connection that is decided on."""
    made.flags = 1


def early(made: Connection) -> None:
    """Be in the middle of a head."""
    made.stage = HEAD


def refused(made: Connection) -> None:
    """Have no head."""
    exchange_of(made).head_ns = 0


class Made(Message):
    """A head that says something else than what it holds."""

    def raw_items(self) -> Iterator[tuple[str, str]]:
        """Return its fields."""
        return iter([("X-Made", "up")])


def usual(made: Connection) -> None:
    """Be as most are."""


LEFT: dict[str, tuple[Callable[[], RequestSpans], Callable[[Connection], Any], Any]] = {
    "a second request": (spans, later, head()),
    "a decision": (spans, decided, head()),
    "no stage of the application's": (spans, early, head()),
    "no head": (spans, refused, head()),
    "a remote parent": (spans, usual, head(TraceParent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")),
    "a sampler that is to be asked": (lambda: spans(Asked()), usual, head()),
    "excluded paths": (lambda: spans(excluded_urls=("^/$",)), usual, head()),
    "hooks in Python": (lambda: spans(c_hooks=False), usual, head()),
    "a head that is none": (spans, usual, object()),
    "a head of another make": (spans, usual, Made()),
}


@pytest.mark.parametrize(("given", "change", "message"), LEFT.values(), ids=LEFT)
def test_what_is_not_usual_is_left_to_python(
    given: Callable[[], RequestSpans], change: Callable[[Connection], Any], message: Any
) -> None:
    """It says so, and has changed nothing."""
    made = connection()
    change(made)
    before = (made.flags, list(made.marks), exchange_of(made).span_facts)

    assert in_c(given(), made, message) is False
    assert (made.flags, list(made.marks), exchange_of(made).span_facts) == before
    assert exchange_of(made).release is None


def test_a_current_context_is_left_to_python() -> None:
    """Its span is the parent, or it suppresses spans."""
    token = context_api.attach(context_api.set_value("mine", 1))
    try:
        assert not in_c(spans(), connection(), head())
    finally:
        context_api.detach(token)


def test_an_instrumented_application_is_left_to_python() -> None:
    """Another instrumentation reports its requests."""

    class App:
        _is_instrumented_by_opentelemetry = True

    assert not in_c(spans(), connection(), head(), App())


def test_a_forked_child_is_left_to_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """It only carries its spans."""
    monkeypatch.setattr(hub.post, "in_child", True)

    assert not in_c(spans(), connection(), head())


def test_another_propagator_is_left_to_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until its fields are known."""
    given = spans()
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", object())

    assert not in_c(given, connection(), head())


def test_what_an_application_raises_goes_on() -> None:
    """An error in a question to Python is an error of the hook's, and counted there."""
    given = spans()
    assert given.usual is not None

    class Unknowing(Peers):
        def instrument(self, app: Any) -> bool:
            raise ValueError("as asked")

    tracing, _, starter, bound = given.usual
    given.usual = (tracing, Unknowing(), starter, bound)
    with pytest.raises(ValueError, match="as asked"):
        in_c(given, connection(), head(), object())


@pytest.mark.parametrize("trace_id", [LOW, HIGH])
def test_beginning_leaves_nothing_behind(trace_id: int) -> None:
    """Two hundred spans later there are as many blocks of memory as before."""
    given, message = spans(), head()

    def blocks() -> int:
        for _ in range(200):
            made = connection(trace_id)
            assert in_c(given, made, message)
            exchange_of(made).release()
        gc.collect()
        return sys.getallocatedblocks()

    blocks()
    grown = [after - before for before, after in pairwise(blocks() for _ in range(5))]
    assert min(grown) < 50


def test_no_propagator_is_seen_with_the_fields_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """While its fields are read, another thread begins a request that has a remote parent."""
    given = spans()
    found: list[bool] = []

    class Slow:
        @property
        def fields(self) -> set[str]:
            found.append(in_c(given, connection(), head(x_mine="1")))
            return {"x_mine"}

    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", Slow())

    assert given._propagated() == {"x_mine"}
    assert given._propagated() == {"x_mine"}
    assert found == [False]


def test_marks_that_were_handed_over_are_not_added_to() -> None:
    """While C allocates there may be a collection, in which another thread takes the marks."""
    made, given, message = connection(), spans(), head()
    taken: list[tuple[list[Any], list[Any]]] = []

    def take(phase: str, info: dict[str, int]) -> None:
        taken.append((made.marks, list(made.marks)))
        made.marks = []

    threshold, pairs = gc.get_threshold(), [(number, None) for number in range(5000)]
    gc.callbacks.append(take)  # the interpreter has no pair left that it need not allocate
    gc.set_threshold(1)
    try:
        assert in_c(given, made, message)
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(take)
    exchange_of(made).release()

    assert pairs
    assert [marks for marks, _ in taken] == [before for _, before in taken]
    marks = [*(mark for marks, _ in taken for mark in marks), *made.marks]
    assert marks[-3:] == [kinds.SAMPLED, 20, (1, ())]
