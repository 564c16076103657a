"""Our exporters' troubles are one log line a minute; what is not ours is logged as ever."""

from __future__ import annotations

import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from tcpwatch.emit import providers
from tcpwatch.emit.delivery import CLIENT, GAP, SHARED, Deliveries
from tcpwatch.guard import guard

THEIRS = logging.getLogger(__name__)
URL, SETTING = "http://collector:4318", "OTEL_EXPORTER_OTLP_ENDPOINT"
OK, FAILED = SpanExportResult.SUCCESS, SpanExportResult.FAILURE


class Exporter(SpanExporter):
    """Does as the SDK's exporters do: it logs its troubles on the logger of its module."""

    def __init__(self) -> None:
        self.act: Callable[[], Any] = lambda: OK

    def export(self, spans: Any) -> Any:
        return self.act()


def refused() -> SpanExportResult:
    """Fail as with nobody listening: the first words have the cause."""
    try:
        try:
            raise ConnectionRefusedError(111, "Connection refused")
        except OSError as inner:
            raise RuntimeError("a pool of connections") from inner
    except RuntimeError as error:
        THEIRS.warning("Transient error %s encountered, retrying in %.2fs.", error, 0.8)
        THEIRS.warning("Transient error %s encountered, retrying in %.2fs.", error, 1.6)
    THEIRS.error("Failed due to timeout, max retries or shutdown.")
    return FAILED


class Time:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def deliveries(time: Time) -> Iterator[Deliveries]:
    """Return deliveries that leave no filter behind."""
    made = Deliveries(time)
    yield made
    made.leave()
    assert not THEIRS.filters


@pytest.fixture
def exporter(deliveries: Deliveries) -> Exporter:
    """Return an exporter of ours that is listened to."""
    made = Exporter()
    deliveries.watch(made, "traces", URL, SETTING)
    deliveries.listen()
    return made


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged since the last time."""
    found = [f"{record.name}: {record.getMessage()}" for record in caplog.records]
    caplog.clear()
    return found


def test_one_line_says_what_cannot_be_sent_and_why(
    exporter: Exporter, caplog: pytest.LogCaptureFixture
) -> None:
    """It comes with the first trouble, and the cause is the error behind all others."""
    exporter.act = refused
    assert exporter.export(()) is FAILED
    cause = "ConnectionRefusedError: [Errno 111] Connection refused"
    what = f"tcpwatch: telemetry cannot be sent: traces to {URL} ({cause})"
    assert lines(caplog) == [f"{what}; requests are not affected; check {SETTING}"]


def test_the_next_line_comes_a_minute_later_and_counts_what_is_lost(
    exporter: Exporter, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    """However often an export fails."""
    exporter.act = refused
    told = []
    for _ in range(25):
        exporter.export(())
        told.append(len(lines(caplog)))
        time.now += 5
    assert [number for number, count in enumerate(told) if count] == [0, 12, 24]
    assert max(told) == 1
    time.now += GAP
    exporter.export(())
    assert "; 25 batch(es) lost)" in lines(caplog)[0]


def test_one_line_says_that_it_works_again(
    exporter: Exporter, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    """Not before its minute is over: a collector that comes and goes fills no log either."""
    exporter.act = refused
    exporter.export(())
    exporter.act = lambda: OK
    exporter.export(())
    assert len(lines(caplog)) == 1
    time.now += GAP
    exporter.export(())
    exporter.export(())
    assert lines(caplog) == ["tcpwatch: telemetry can be sent again; 1 batch(es) were lost"]


def test_two_signals_share_the_line(
    exporter: Exporter, deliveries: Deliveries, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    """It names each that is in trouble, and it is not over before it is over for both."""
    metrics = Exporter()
    deliveries.watch(metrics, "metrics", "elsewhere", "OTEL_METRICS_EXPORTER")
    deliveries.listen()
    exporter.act = metrics.act = refused
    exporter.export(())
    metrics.export(())
    assert len(lines(caplog)) == 1
    time.now += GAP
    exporter.export(())
    (line,) = lines(caplog)
    assert "traces to http" in line
    assert "metrics to elsewhere" in line
    assert line.endswith(f"check {SETTING} and OTEL_METRICS_EXPORTER")
    metrics.act = lambda: MetricExportResult.SUCCESS
    metrics.export(())
    time.now += GAP
    exporter.export(())
    (line,) = lines(caplog)
    assert "metrics" not in line.partition(";")[0]


def test_an_export_that_raises_is_a_trouble_like_any(
    exporter: Exporter, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK would log it with a traceback each time; for it the batch has failed."""

    def broken() -> None:
        raise ZeroDivisionError("by\x1b[2Jaccident" + "!" * 1000)

    exporter.act = broken
    assert exporter.export(()) is FAILED
    (line,) = lines(caplog)
    assert "ZeroDivisionError: by?[2Jaccident" in line
    assert len(line) < 500


def test_an_exporter_that_says_nothing_is_told_all_the_same(
    exporter: Exporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Its result is enough."""
    exporter.act = lambda: FAILED
    exporter.export(())
    assert "does not say why" in lines(caplog)[0]


def test_who_debugs_an_exporter_sees_what_it_says(
    exporter: Exporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Only warnings and worse are troubles."""
    caplog.set_level(logging.DEBUG, __name__)

    def talkative() -> SpanExportResult:
        THEIRS.debug("a detail")
        return OK

    exporter.act = talkative
    exporter.export(())
    assert lines(caplog) == [f"{__name__}: a detail"]


def test_the_http_clients_lines_are_not_the_applications(
    exporter: Exporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Though its log has everything; who asks the client for it hears it."""
    client = logging.getLogger("urllib3.connectionpool")

    def requesting() -> SpanExportResult:
        client.debug('"POST /v1/metrics HTTP/1.1" 200 0')
        return OK

    own = Exporter()
    own.act = exporter.act = requesting
    caplog.set_level(logging.DEBUG)
    exporter.export(())
    assert lines(caplog) == []
    own.export(())
    assert len(lines(caplog)) == 1
    caplog.set_level(logging.DEBUG, "urllib3")
    exporter.export(())
    assert len(lines(caplog)) == 1


def test_an_error_of_ours_reaches_neither_the_exporter_nor_a_request(
    exporter: Exporter,
    deliveries: Deliveries,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is counted, and the export goes on: here the exporter's line does not fit its words."""

    def confused() -> SpanExportResult:
        THEIRS.warning("%d%% of %s", "half")
        return OK

    monkeypatch.setattr(guard, "errors", Counter())
    monkeypatch.setattr(guard, "strict", False)
    exporter.act = confused
    assert exporter.export(()) is OK
    assert dict(guard.errors) == {"delivery": 1}


def test_an_exporter_of_the_applications_own_is_heard_as_ever(
    exporter: Exporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Although it is of the same class and logs on the same logger."""
    own = Exporter()
    own.act = exporter.act = refused
    exporter.export(())
    own.export(())
    exporter.export(())
    said = lines(caplog)
    assert [line.split(":")[0] for line in said] == ["tcpwatch", *[__name__] * 3]


def test_after_uninstall_our_exporters_speak_for_themselves(
    exporter: Exporter, deliveries: Deliveries, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    """No filter stays, an exception passes, and another install begins afresh."""
    exporter.act = refused
    exporter.export(())
    deliveries.leave()
    time.now += GAP
    lines(caplog)
    exporter.export(())
    assert [line.split(":")[0] for line in lines(caplog)] == [__name__] * 3
    exporter.act = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        exporter.export(())
    exporter.act = lambda: OK
    deliveries.listen()
    exporter.export(())
    assert lines(caplog) == []


def test_a_full_queue_is_one_trouble(
    deliveries: Deliveries, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    """Dropped spans are no line each; the application's own processor is heard as ever."""
    ours, own = (BatchSpanProcessor(Exporter(), 2, 60_000, 2) for _ in range(2))
    deliveries.watch(Exporter(), "traces", URL, SETTING).watch_queue(ours)
    deliveries.listen()
    # The SDK hides a line that it has logged in the same 20 s, if it was its last.
    sdk = logging.getLogger("opentelemetry.sdk._shared_internal")
    sdk.warning("something else")
    lines(caplog)
    for processor in (ours, own):
        # Nobody empties the queue any more.
        worker: Any = processor._batch_processor
        worker._shutdown = True
        worker._worker_awaken.set()
        worker._worker_thread.join(10)
        worker._shutdown = False
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(processor)
        for _ in range(10):
            provider.get_tracer("t").start_span("s").end()
            time.now += 1
    full = "Queue full, dropping Span."
    said = lines(caplog)
    assert said[0].startswith(f"tcpwatch: telemetry cannot be sent: traces to {URL} ({full})")
    assert set(said[1:]) == {f"{sdk.name}: {full}"}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_the_sdks_own_exporters_are_silent(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    deliveries: Deliveries,
    protocol: str,
) -> None:
    """OTLP over HTTP and gRPC, traces and metrics, to where nobody listens: one line."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    monkeypatch.setattr(providers, "deliveries", deliveries)
    tracers, meters = providers.own_tracer_provider(), providers.own_meter_provider()
    deliveries.listen()
    tracers.get_tracer("t").start_span("s").end()
    meters.get_meter("m").create_counter("c").add(1)
    for provider in (tracers, meters):
        provider.force_flush()  # type: ignore[union-attr]
        provider.shutdown()  # type: ignore[union-attr]
    (line,) = lines(caplog)
    assert f"traces to http://127.0.0.1:{port} (" in line
    assert "refused" in line


def test_the_sdk_logs_where_we_listen() -> None:
    """The loggers that are named by hand exist; a rename in the SDK is found here."""
    import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: F401 - makes its loggers

    assert set(logging.Logger.manager.loggerDict) >= SHARED | set(CLIENT)
