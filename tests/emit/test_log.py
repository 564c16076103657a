"""What tcpwatch warns of is exported where OTEL_LOGS_EXPORTER says so, once, and goes its way."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    InMemoryLogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)

from tcpwatch import names
from tcpwatch.emit import log
from tcpwatch.emit.delivery import Deliveries

OURS, THEIRS = logging.getLogger(names.SCOPE), logging.getLogger(__name__)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryLogRecordExporter]:
    """Return what the application's own provider exports, with our export on."""
    kept = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    monkeypatch.setattr(_logs, "get_logger_provider", lambda: provider)
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
    export = log.export()
    assert export is not None
    yield kept
    export.close(1.0)


@pytest.mark.parametrize(("chosen", "added"), [("", 0), ("none", 0), ("console, otlp", 1)])
def test_logs_are_exported_if_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch, chosen: str, added: int
) -> None:
    """By the variable that OpenTelemetry has for it; closed, nothing of it is left."""
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", chosen)
    before = len(OURS.filters)
    export = log.export()
    assert len(OURS.filters) == before + added
    if export is not None:
        export.close(1.0)
    assert len(OURS.filters) == before


def test_a_record_has_its_words_and_its_attributes(exported: InMemoryLogRecordExporter) -> None:
    """Through the application's provider, where it has one; what is no warning stays here."""
    OURS.warning("stuck for %d s", 2, extra={names.STALL_STATE: names.STALL_STUCK})
    OURS.info("all is well")
    (one,) = exported.get_finished_logs()
    assert one.log_record.body == "stuck for 2 s"
    assert dict(one.log_record.attributes or {}) == {names.STALL_STATE: names.STALL_STUCK}
    assert one.log_record.severity_text == "WARNING"


def test_an_application_whose_log_is_exported_does_it_itself(
    exported: InMemoryLogRecordExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same warning twice would be one too many."""

    class LoggingHandler(logging.NullHandler):
        """Called as OpenTelemetry's, whose class has moved between its packages."""

    monkeypatch.setattr(logging.getLogger(), "handlers", [LoggingHandler()])
    OURS.warning("stuck")
    assert not exported.get_finished_logs()


class Refused(InMemoryLogRecordExporter):
    """Does as the SDK's exporter with a collector that is down: each retry is logged."""

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Fail."""
        for _ in range(3):
            THEIRS.warning("Transient error encountered, retrying.")
        return LogRecordExportResult.FAILURE


@pytest.mark.parametrize("listens", ["before", "after"])
def test_a_collector_that_is_down_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, listens: str
) -> None:
    """The exporter of our warnings, made with the first of them, adds none on its own troubles."""
    deliveries = Deliveries()
    monkeypatch.setattr(log, "deliveries", deliveries)
    monkeypatch.setattr(log, "otlp_exporter", lambda signal: Refused)
    monkeypatch.setattr(_logs, "get_logger_provider", object)
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
    if listens == "before":
        deliveries.listen()
    export = log.export()
    assert export is not None
    monkeypatch.setattr(log, "_DELAY_MS", 60_000)
    OURS.warning("stuck")
    if listens == "after":
        deliveries.listen()
    export.close(10.0)
    deliveries.leave()
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "stuck"
    assert len(told) == 2
    assert told[1].startswith("telemetry cannot be sent: logs to ")
