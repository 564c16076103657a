"""Sends tcpwatch's own warnings along with the spans, so that the viewer can show who is stuck.

Metrics say that a loop is stuck and for how long; the warning alone says with whom, and where in
the code. It is exported where OTEL_LOGS_EXPORTER says otlp, as `tcpwatch run` does for a viewer.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from tcpwatch import names
from tcpwatch.guard import guard

if TYPE_CHECKING:
    from opentelemetry._logs import Logger

_DELAY_MS: Final = 200
"""Somebody looks at the page while it happens."""


def export() -> None:
    """Export what tcpwatch warns of from now on, unless the application exports its log itself."""
    wanted = os.environ.get("OTEL_LOGS_EXPORTER", "").split(",")
    if "otlp" in (name.strip() for name in wanted):
        # With a handler, logging's last resort would no longer write to stderr.
        logging.getLogger(names.SCOPE).addFilter(_Export())


class _Export(logging.Filter):
    """Lets every record pass, and exports it from WARNING on; prepared when the first one comes."""

    def __init__(self) -> None:
        super().__init__()
        self._logger: Logger | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Take note of a record; it goes its way in any case."""
        if record.levelno >= logging.WARNING and record.name == names.SCOPE:
            try:
                self._emit(record)
            except Exception as error:
                logging.getLogger(names.SCOPE).removeFilter(self)
                guard.caught("logs", error)
        return True

    def _emit(self, record: logging.LogRecord) -> None:
        from opentelemetry._logs import LogRecord, SeverityNumber

        self._logger = self._logger or _logger()
        if self._logger is None:
            return
        severe = record.levelno >= logging.ERROR
        self._logger.emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                observed_timestamp=int(record.created * 1e9),
                severity_text=record.levelname,
                severity_number=SeverityNumber.ERROR if severe else SeverityNumber.WARN,
                body=record.getMessage(),
            )
        )


def _logger() -> Logger | None:
    """Return a logger of our own, None if the application has a provider: then it is its affair."""
    from opentelemetry import _logs
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.resources import Resource

    if isinstance(_logs.get_logger_provider(), LoggerProvider):
        return None
    if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip() == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    else:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import (  # type: ignore[assignment]
            OTLPLogExporter,
        )
    provider = LoggerProvider(resource=Resource.create(), shutdown_on_exit=False)
    processor = BatchLogRecordProcessor(OTLPLogExporter(), schedule_delay_millis=_DELAY_MS)
    provider.add_log_record_processor(processor)
    return provider.get_logger(names.SCOPE)
