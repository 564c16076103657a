"""What has finished, to histograms, with its span where that is sampled: exemplars lead to traces.

What a leg of a connection's life has to tell is decided once for each kind of leg; of each one only
a row of numbers is noted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from operator import itemgetter
from time import time_ns
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import Meter, MeterProvider

from tcpwatch import names
from tcpwatch.core.course import Leg
from tcpwatch.core.marks import Accepted, Ending, Exchanged
from tcpwatch.core.record import RequestRecord
from tcpwatch.core.timeline import Timeline
from tcpwatch.emit import attributes as words
from tcpwatch.emit.collecting import Collecting
from tcpwatch.emit.compiled import connect, quick
from tcpwatch.emit.contexts import span_context
from tcpwatch.emit.distributions import NOBODY, Distribution, Origin, Series
from tcpwatch.emit.ledger import MOST_ROWS, Column, Ledger, Row
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.hub.output import Blocker
from tcpwatch.kernel.tcp_info import read_path

HISTOGRAMS: Final[dict[str, tuple[str, tuple[float, ...], str]]] = {
    names.M_CONNECTION_DURATION: (
        "s",
        names.CONNECTION_BUCKETS,
        "From ESTABLISHED in the kernel to the socket's close.",
    ),
    names.M_CONNECTION_RTT: (
        "s",
        names.RTT_BUCKETS,
        "Smoothed round-trip time, as the kernel had it at the close.",
    ),
    names.M_CONNECTION_RETRANSMITS: (
        "{segment}",
        names.RETRANSMITS_BUCKETS,
        "Segments that were sent again, of each connection.",
    ),
    names.M_PHASE_DURATION: (
        "s",
        names.PHASE_BUCKETS,
        "One stretch of one phase of a connection.",
    ),
    names.M_QUEUE_WAIT: (
        "s",
        names.QUEUE_WAIT_BUCKETS,
        "From ESTABLISHED in the kernel to accept() returned.",
    ),
    names.M_QUEUE_LENGTH: (
        "{connection}",
        names.QUEUE_LENGTH_BUCKETS,
        "Connections left in the accept queue, seen at each accept.",
    ),
    names.M_REQUEST_DURATION: (
        "s",
        names.REQUEST_BUCKETS,
        "Duration of HTTP server requests.",
    ),
}
"""Unit, boundaries and meaning of each histogram."""


Recorder = Callable[[dict[str, Any]], Series]
"""Finds the series of a histogram's attributes."""

_NANOSECONDS: Final = {"s": 1_000_000_000}
"""What is noted of a duration, in its unit; other values are noted as they are."""

_LABELS: Final = tuple(
    map(
        Exchanged._fields.index,
        (
            *("method", "scheme", "route", "status", "error", "version"),
            *("peer_instrumented", "excluded"),
        ),
    )
)
"""What decides on the series of a request."""

_labels: Final = itemgetter(*_LABELS)


class Histograms:
    """The sink that records what has finished."""

    def __init__(self, provider: MeterProvider, meter: Meter) -> None:
        ours = {
            name: Distribution(name, unit, meaning, buckets, _NANOSECONDS.get(unit, 1))
            for name, (unit, buckets, meaning) in HISTOGRAMS.items()
        }
        self._ledger = Ledger()
        collecting = Collecting.of(provider, ours)
        self._exemplars: bool | None = None
        self._most_rows = 0
        if collecting is None:
            self._find = {name: _of_the_sdk(meter, name) for name in HISTOGRAMS}
        else:
            self._find = {name: of.series for name, of in collecting.distributions.items()}
            self._exemplars = collecting.exemplars
            self._most_rows = MOST_ROWS
            collecting.read_from(self._ledger)
        self._collecting = collecting

    def take(self, loop: Loop, connection: Timeline, leg: Leg, blocker: Blocker | None) -> bool:
        """Note down what has ended with this leg, as one row."""
        row, key = told(loop.key, connection, leg)
        page = self._ledger.pages.get(key)
        if page is None:
            page = self._ledger.open(key, list(self._columns(loop.listener, connection, leg)))
        wanted = self._exemplars
        if connection.sampled if wanted is None else wanted:
            page.sampled.append((row, _origins(connection, wanted), time_ns()))
        else:
            page.rows.append(row)
        return False

    def _columns(self, listener: Listener, connection: Timeline, leg: Leg) -> Iterator[Column]:
        """Say what the rows of a leg like this one have to tell."""
        common = words.listener_attributes(listener)
        for phase, start, end, _ in leg.course.steps:
            if phase == names.ACCEPT_QUEUE:
                yield Column(self._find[names.M_QUEUE_WAIT](common), end, start)
            else:
                found = {**common, names.PHASE_NAME: phase}
                yield Column(self._find[names.M_PHASE_DURATION](found), end, start)
        at = len(leg.times)
        if leg.first:
            if connection.accepted is not None and connection.accepted.depth is not None:
                yield Column(self._find[names.M_QUEUE_LENGTH](common), at)
            at += 1
        if connection.outcome is not None:
            found = {**common, names.CONNECTION_OUTCOME: connection.outcome}
            if connection.error is not None:
                found[names.ERROR_TYPE] = connection.error
            yield Column(self._find[names.M_CONNECTION_DURATION](found), at)
            at += 1
            for name, value in zip(_OF_THE_PATH, _path(connection.ending), strict=True):
                if value is not None:
                    yield Column(self._find[name](common), at)
                at += 1
        for number, request in enumerate(connection.requests):
            exchanged = request.exchanged
            if not (exchanged.peer_instrumented or exchanged.excluded):
                found = words.request_metric_attributes(exchanged)
                series = self._find[names.M_REQUEST_DURATION](found)
                yield Column(series, at + number, origin=number + 1)

    def tidy(self) -> Iterator[None]:
        """Keep what waits for the readers small."""
        posted = False
        for _ in self._ledger.tidy(self._most_rows):
            posted = True
            yield
        if posted and self._collecting is not None:
            yield from self._collecting.tidy()


_OF_THE_PATH: Final = (names.M_CONNECTION_RTT, names.M_CONNECTION_RETRANSMITS)


def _path(ending: Ending | None) -> tuple[int | None, int | None]:
    return read_path(ending) if ending is not None else (None, None)


@quick
def told(loop: int, connection: Timeline, leg: Leg) -> tuple[Row, Hashable]:
    """Return what a leg has to tell as one row, and the key of its page: who tells the same."""
    course, times, _, first = leg
    accepted, outcome = connection.accepted, connection.outcome
    assert accepted is not None  # the worker delivers no other
    row: Row = list(times)
    if first:
        row.append(accepted.depth)
    rtt = sent_again = None
    if outcome is not None:
        row.append(connection.since_ns - connection.start_ns)
        rtt, sent_again = path = _path(connection.ending)
        row += path
    labels = []
    for request in connection.requests:
        row.append(request[2] - request[1])
        labels.append(_labels(request[5]))
    unknown = (first and accepted.depth is None, rtt is None, sent_again is None)
    return row, (loop, course, outcome, connection.error, unknown, *labels)


def _origins(connection: Timeline, wanted: bool | None) -> tuple[Origin, ...]:
    """Return whose the values of a row are: the connection's, and each of its requests'."""
    accepted = connection.accepted
    assert accepted is not None  # the worker delivers no other
    return (
        (accepted.trace_id, accepted.span_id),
        *(
            (request.exchanged.trace_id, request.exchanged.span_id)
            if wanted or request.exchanged.flags
            else NOBODY
            for request in connection.requests
        ),
    )


def _of_the_sdk(meter: Meter, name: str) -> Recorder:
    """Use an instrument of the SDK's."""
    unit, buckets, meaning = HISTOGRAMS[name]
    scale = _NANOSECONDS.get(unit, 1)
    instrument: Any = meter.create_histogram(
        name, unit, meaning, explicit_bucket_boundaries_advisory=list(buckets)
    )

    def series(attributes: dict[str, Any]) -> Series:
        def record(values: Sequence[int]) -> None:
            for value in values:
                instrument.record(value / scale, attributes)

        def record_of_spans(
            values: Sequence[int], origins: Sequence[Origin], times: Sequence[int]
        ) -> None:
            for value, (trace_id, span_id) in zip(values, origins, strict=True):
                span = trace.NonRecordingSpan(span_context(trace_id, span_id, 1))
                context = trace.set_span_in_context(span, Context())
                instrument.record(value / scale, attributes, context)

        return Series(record, record_of_spans)

    return series


connect(
    "histograms",
    {
        "Accepted": Accepted,
        "Exchanged": Exchanged,
        "Leg": Leg,
        "RequestRecord": RequestRecord,
        "Timeline": Timeline,
        "LABELS": _LABELS,
        "read_path": read_path,
        "COURSE": Leg._fields.index("course"),
        "TIMES": Leg._fields.index("times"),
        "FIRST": Leg._fields.index("first"),
        "LEG": len(Leg._fields),
        "DEPTH": Accepted._fields.index("depth"),
        "START": RequestRecord._fields.index("start_ns"),
        "END": RequestRecord._fields.index("end_ns"),
        "EXCHANGED_AT": RequestRecord._fields.index("exchanged"),
    },
)
