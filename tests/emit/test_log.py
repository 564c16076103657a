"""What tcpwatch warns of is exported where OTEL_LOGS_EXPORTER says so, once, and goes its way."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from tcpwatch import names
from tcpwatch.emit import log

OURS = logging.getLogger(names.SCOPE)


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
