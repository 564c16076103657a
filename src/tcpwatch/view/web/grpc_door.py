"""OTLP over gRPC, for exporters that speak nothing else; needs the extra `grpc`."""

from __future__ import annotations

import errno
from collections.abc import Callable
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tcpwatch.view.store import StoreError
from tcpwatch.view.web.otlp import MAX_BODY, Sink, logs_answer, metrics_answer, traces_answer

if TYPE_CHECKING:
    from google.protobuf.message import Message


class GrpcDoor:
    """Listens for OTLP over gRPC from construction to `close`.

    Args:
        sink: where what arrives goes.
        host: the address to listen on.
        port: the port, 0 for any free one.

    Raises:
        OSError: the address is not free.
    """

    def __init__(self, sink: Sink, host: str, port: int) -> None:
        self._server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=4, thread_name_prefix="tcpwatch-grpc"),
            # Without it a second viewer would share the port and get half of the telemetry.
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", MAX_BODY)],
        )
        enter: tuple[tuple[Any, object], ...] = (
            (trace_service_pb2_grpc.add_TraceServiceServicer_to_server, _Traces(sink)),
            (metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server, _Metrics(sink)),
            (logs_service_pb2_grpc.add_LogsServiceServicer_to_server, _Logs(sink)),
        )
        for add, service in enter:
            add(service, self._server)
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port = self._server.add_insecure_port(place)
        except RuntimeError as error:
            raise OSError(errno.EADDRINUSE, f"cannot listen on {place} for gRPC") from error
        if not self.port:
            raise OSError(errno.EADDRINUSE, f"cannot listen on {place} for gRPC")
        self._server.start()

    def close(self) -> None:
        """Stop listening; what is being answered gets half a second. Idempotent."""
        self._server.stop(0.5).wait()


def _kept(context: Any, keep: Callable[[], Message]) -> Message:
    try:
        return keep()
    except StoreError as error:
        context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        raise


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def Export(  # noqa: N802  # the service's name
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: Any
    ) -> Message:
        return _kept(context, lambda: traces_answer(self._sink.add_traces(request)))


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def Export(  # noqa: N802  # the service's name
        self, request: metrics_service_pb2.ExportMetricsServiceRequest, context: Any
    ) -> Message:
        return _kept(context, lambda: metrics_answer(self._sink.add_metrics(request)))


class _Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def Export(  # noqa: N802  # the service's name
        self, request: logs_service_pb2.ExportLogsServiceRequest, context: Any
    ) -> Message:
        return _kept(context, lambda: logs_answer(self._sink.add_logs(request)))
