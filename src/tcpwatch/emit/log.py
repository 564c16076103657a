"""Sends tcpwatch's own warnings along with the spans, so that a viewer can show who is stuck.

Metrics say that a loop is stuck and for how long; the warning alone says with whom, and where in
the code. It is exported where OTEL_LOGS_EXPORTER says otlp, as `tcpwatch run` does for a viewer.
"""

from __future__ import annotations

import logging
import os
from typing import Any, Final

from opentelemetry import _logs
from opentelemetry._logs import LogRecord, SeverityNumber

from tcpwatch import names
from tcpwatch.emit.delivery import deliveries
from tcpwatch.emit.errands import errands
from tcpwatch.emit.providers import ENDPOINT, endpoint, otlp_exporter
from tcpwatch.guard import guard
from tcpwatch.hub import hub

_DELAY_MS: Final = 200
"""Somebody looks at the page while it happens."""

_logger = logging.getLogger(names.SCOPE)


def wanted() -> bool:
    """Say whether OTEL_LOGS_EXPORTER, a list, has otlp in it."""
    return "otlp" in map(str.strip, os.environ.get("OTEL_LOGS_EXPORTER", "").split(","))


def export() -> Export | None:
    """Export what tcpwatch warns of from now on, if the environment says so; the caller closes."""
    if not wanted():
        return None
    exported = Export()
    # With a handler, logging's last resort would no longer write to stderr.
    _logger.addFilter(exported)
    return exported


class Export(logging.Filter):
    """Lets every record pass, and exports it from WARNING on; prepared when the first one comes."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = False
        self._provider: Any = None
        self._ours: Any = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Take note of a record; it goes its way in any case."""
        if record.levelno >= logging.WARNING and record.name == names.SCOPE:
            try:
                self._emit(record)
            except Exception as error:
                _logger.removeFilter(self)
                guard.caught("logs", error)
        return True

    def close(self, timeout: float) -> None:
        """Export no more, and what is under way within `timeout` seconds. Idempotent."""
        _logger.removeFilter(self)
        ours, self._ours = self._ours, None
        if ours is not None:
            errands.run([ours.shutdown], timeout)

    def _emit(self, record: logging.LogRecord) -> None:
        if not self._asked:
            self._asked = True  # before it is answered: what fails in it is a warning of ours, too
            self._provider = self._resolve()
        if self._provider is None or hub.post.remote or _has_handler():
            return
        severe = record.levelno >= logging.ERROR
        self._provider.get_logger(names.SCOPE).emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                observed_timestamp=int(record.created * 1e9),
                severity_text=record.levelname,
                severity_number=SeverityNumber.ERROR if severe else SeverityNumber.WARN,
                body=record.getMessage(),
                attributes={key: value for key, value in vars(record).items() if "." in key},
            )
        )

    def _resolve(self) -> Any:
        """Return the application's provider if it has set one, else ours, None without exporter."""
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
        from opentelemetry.sdk.resources import Resource

        provider = _logs.get_logger_provider()
        if isinstance(provider, LoggerProvider):
            return provider
        make = otlp_exporter("logs")
        if make is None:
            return None
        exporter = make()
        deliveries.watch(exporter, "logs", endpoint("logs"), ENDPOINT)
        errands.prepare()
        self._ours = LoggerProvider(resource=Resource.create(), shutdown_on_exit=False)
        processor = BatchLogRecordProcessor(exporter, schedule_delay_millis=_DELAY_MS)
        self._ours.add_log_record_processor(processor)
        return self._ours


def _has_handler() -> bool:
    """Say whether OpenTelemetry's own handler exports our log: the same twice is one too many."""
    logger: logging.Logger | None = _logger
    while logger is not None:
        if any(type(handler).__name__ == "LoggingHandler" for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False
