"""OTLP over HTTP as a WSGI application, answered as the OTLP specification says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from google.protobuf.message import Message
from google.rpc.code_pb2 import (  # type: ignore[import-untyped]
    INVALID_ARGUMENT,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    UNIMPLEMENTED,
)
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tcpwatch.view import messages
from tcpwatch.view.store import StoreError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MAX_BODY = 64 * 1024 * 1024
"""Bytes of a request's body, as sent and after decompression."""
_LARGE = 4 * 1024 * 1024
REFUSED_SPANS = (
    "refused: ids must be 16 and 8 bytes and not zero, times not later than tomorrow, and the "
    "number of different resources is limited"
)
REFUSED_LOGS = (
    "refused: the number of different resources is limited, times not later than tomorrow"
)
REFUSED_POINTS = "refused: the number of different series is limited, times not later than tomorrow"


class Sink(Protocol):
    """Takes what was sent; each says how much of it was refused."""

    def add_traces(self, request: ExportTraceServiceRequest) -> int:
        """Take spans."""

    def add_metrics(self, request: ExportMetricsServiceRequest) -> int:
        """Take metric points."""

    def add_logs(self, request: ExportLogsServiceRequest) -> int:
        """Take log records."""


class Otlp:
    """Serves /v1/traces, /v1/metrics and /v1/logs; what arrives goes to `sink`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        # A large message becomes many times its size in Python: one at a time.
        self._large = threading.Lock()
        self._handlers: dict[str, Callable[[bytes, str], Message]] = {
            "/v1/traces": self._traces,
            "/v1/metrics": self._metrics,
            "/v1/logs": self._logs,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one export."""
        sent_as = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        content_type = messages.JSON if sent_as == messages.JSON else messages.PROTOBUF
        status, reply = self._answer(environ, sent_as)
        payload = messages.encode(reply, content_type)
        headers = [("Content-Type", content_type), ("Content-Length", str(len(payload)))]
        if status.startswith("405"):
            headers.append(("Allow", "POST"))
        if status.startswith("503"):
            headers.append(("Retry-After", "5"))
        start_response(status, headers)
        return [payload]

    def _answer(self, environ: WSGIEnvironment, sent_as: str) -> tuple[str, Message]:
        coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
        handler = self._handlers.get(environ["PATH_INFO"])
        if handler is None:
            message = "post to /v1/traces, /v1/metrics or /v1/logs"
            return "404 Not Found", Status(code=UNIMPLEMENTED, message=message)
        if environ["REQUEST_METHOD"] != "POST":
            message = "only POST is understood here"
            return "405 Method Not Allowed", Status(code=UNIMPLEMENTED, message=message)
        if sent_as not in (messages.JSON, messages.PROTOBUF) or coding not in messages.CODINGS:
            message = f"send {messages.PROTOBUF} or {messages.JSON}, plain, gzip or deflate"
            return "415 Unsupported Media Type", Status(code=INVALID_ARGUMENT, message=message)
        try:
            body = messages.unpack(environ["wsgi.input"].read(), coding, MAX_BODY)
            if len(body) < _LARGE:
                return "200 OK", handler(body, sent_as)
            with self._large:
                return "200 OK", handler(body, sent_as)
        except messages.GarbageError as error:
            return "400 Bad Request", Status(code=INVALID_ARGUMENT, message=str(error))
        except messages.TooLargeError as error:
            return "413 Content Too Large", Status(code=RESOURCE_EXHAUSTED, message=str(error))
        except StoreError as error:
            return "503 Service Unavailable", Status(code=UNAVAILABLE, message=str(error))

    def _traces(self, body: bytes, content_type: str) -> Message:
        request = messages.decode(body, content_type, ExportTraceServiceRequest())
        return traces_answer(self._sink.add_traces(request))

    def _metrics(self, body: bytes, content_type: str) -> Message:
        request = messages.decode(body, content_type, ExportMetricsServiceRequest())
        return metrics_answer(self._sink.add_metrics(request))

    def _logs(self, body: bytes, content_type: str) -> Message:
        request = messages.decode(body, content_type, ExportLogsServiceRequest())
        return logs_answer(self._sink.add_logs(request))


def traces_answer(refused: int) -> ExportTraceServiceResponse:
    """Return the answer to an export of which so many spans were refused."""
    response = ExportTraceServiceResponse()
    if refused:
        response.partial_success.rejected_spans = refused
        response.partial_success.error_message = REFUSED_SPANS
    return response


def metrics_answer(refused: int) -> ExportMetricsServiceResponse:
    """Return the answer to an export of which so many points were refused."""
    response = ExportMetricsServiceResponse()
    if refused:
        response.partial_success.rejected_data_points = refused
        response.partial_success.error_message = REFUSED_POINTS
    return response


def logs_answer(refused: int) -> ExportLogsServiceResponse:
    """Return the answer to an export of which so many records were refused."""
    response = ExportLogsServiceResponse()
    if refused:
        response.partial_success.rejected_log_records = refused
        response.partial_success.error_message = REFUSED_LOGS
    return response
