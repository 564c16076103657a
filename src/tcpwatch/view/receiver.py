"""The door: OTLP over HTTP on a local port, answered as the OTLP specification says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING

import waitress.server  # type: ignore[import-untyped]
from google.protobuf.message import Message
from google.rpc.code_pb2 import (  # type: ignore[import-untyped]
    INVALID_ARGUMENT,
    RESOURCE_EXHAUSTED,
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
from tcpwatch.view.recording import Recording

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from typing_extensions import Self

MAX_BODY = 64 * 1024 * 1024
"""Bytes of a request's body, as sent and after decompression."""


class Receiver:
    """Listens for OTLP/HTTP from its construction to `close`.

    Args:
        recording: where everything received goes.
        host: the address to listen on.
        port: the port, 0 for any free one.

    Raises:
        OSError: the address is not free.
    """

    def __init__(self, recording: Recording, host: str = "127.0.0.1", port: int = 0) -> None:
        self.recording = recording
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        self._bound: tuple[str, int] = listener.getsockname()[:2]
        self._sockets: dict[int, object] = {}
        self._pulled = threading.Event()
        self._server = waitress.server.create_server(
            self._answer,
            map=self._sockets,
            sockets=[listener],
            max_request_body_size=MAX_BODY,
            ident="tcpwatch",
        )
        self._thread = threading.Thread(
            target=self._server.run, name="tcpwatch-receiver", daemon=True
        )
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """What `OTEL_EXPORTER_OTLP_ENDPOINT` has to be, e.g. `http://127.0.0.1:4318`."""
        host, port = self._bound
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def close(self) -> None:
        """Stop listening; what was acknowledged is in the recording. Idempotent."""
        if self._thread.is_alive():
            # waitress' loop ends when its map is empty, and only its own thread may empty it.
            self._server.trigger.pull_trigger(self._close_sockets)
            self._pulled.set()
            self._thread.join()
            self._server.task_dispatcher.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _close_sockets(self) -> None:
        # An earlier pull may have brought us here; our own still needs the trigger's pipe.
        self._pulled.wait()
        self._server.asyncore.close_all(self._sockets)

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        sent_as = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
        handler = self._handler(environ["PATH_INFO"])
        content_type = messages.JSON if sent_as == messages.JSON else messages.PROTOBUF
        reply: Message
        if handler is None:
            status = "404 Not Found"
            reply = Status(code=UNIMPLEMENTED, message="post to /v1/traces or /v1/metrics")
        elif environ["REQUEST_METHOD"] != "POST":
            status = "405 Method Not Allowed"
            reply = Status(code=UNIMPLEMENTED, message="only POST is understood here")
        elif sent_as != content_type or coding not in messages.CODINGS:
            status = "415 Unsupported Media Type"
            reply = Status(
                code=INVALID_ARGUMENT,
                message=f"send {messages.PROTOBUF} or {messages.JSON}, plain, gzip or deflate",
            )
        else:
            try:
                body = messages.unpack(environ["wsgi.input"].read(), coding, MAX_BODY)
                status, reply = "200 OK", handler(body, content_type)
            except messages.GarbageError as error:
                status = "400 Bad Request"
                reply = Status(code=INVALID_ARGUMENT, message=str(error))
            except messages.TooLargeError as error:
                status = "413 Content Too Large"
                reply = Status(code=RESOURCE_EXHAUSTED, message=str(error))
        payload = messages.encode(reply, content_type)
        headers = [("Content-Type", content_type), ("Content-Length", str(len(payload)))]
        if status.startswith("405"):
            headers.append(("Allow", "POST"))
        start_response(status, headers)
        return [payload]

    def _handler(self, path: str) -> Callable[[bytes, str], Message] | None:
        return {
            "/v1/traces": self._take_traces,
            "/v1/metrics": self._take_metrics,
            "/v1/logs": _ignore_logs,
        }.get(path)

    def _take_traces(self, body: bytes, content_type: str) -> Message:
        refused = self.recording.add_traces(
            messages.decode(body, content_type, ExportTraceServiceRequest())
        )
        response = ExportTraceServiceResponse()
        if refused:
            response.partial_success.rejected_spans = refused
            response.partial_success.error_message = "trace and span ids must be 16 and 8 bytes"
        return response

    def _take_metrics(self, body: bytes, content_type: str) -> Message:
        self.recording.add_metrics(
            messages.decode(body, content_type, ExportMetricsServiceRequest())
        )
        return ExportMetricsServiceResponse()


def _ignore_logs(body: bytes, content_type: str) -> Message:
    """Accepted, so that an exporter of all three signals does not retry; not kept."""
    messages.decode(body, content_type, ExportLogsServiceRequest())
    return ExportLogsServiceResponse()
