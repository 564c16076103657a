"""Writes the telemetry of a server, span by span, as tcpwatch would send it."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tcpwatch import names
from tcpwatch.view.web.otlp import Sink

SECOND = 1_000_000_000
Plain = str | int | float


def pairs(attributes: dict[str, Plain]) -> list[KeyValue]:
    made = []
    for key, value in attributes.items():
        pair = KeyValue(key=key)
        if isinstance(value, str):
            pair.value.string_value = value
        elif isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.double_value = value
        made.append(pair)
    return made


class Server:
    """Writes the telemetry of one server as tcpwatch would send it."""

    def __init__(self, store: Sink, service: str = "shop", began: float = 100.0) -> None:
        self.store = store
        self.service = service
        self.began = began

    def _send(self, name: str, trace: int, span: int, **fields: object) -> Span:
        request = ExportTraceServiceRequest()
        of_resource = request.resource_spans.add()
        of_resource.resource.attributes.extend(pairs({"service.name": self.service}))
        scope = of_resource.scope_spans.add()
        scope.scope.name = names.SCOPE
        attributes = fields.pop("attributes")
        assert isinstance(attributes, dict)
        parent = fields.pop("parent", 0)
        link = fields.pop("link", 0)
        start, seconds = fields.pop("start", 0.0), fields.pop("seconds", 0.0)
        assert isinstance(start, (int, float))
        assert isinstance(seconds, (int, float))
        assert isinstance(parent, int)
        assert isinstance(link, int)
        made = scope.spans.add(
            name=name,
            kind=Span.SPAN_KIND_SERVER if fields.pop("server", False) else Span.SPAN_KIND_INTERNAL,
            trace_id=trace.to_bytes(16, "big"),
            span_id=span.to_bytes(8, "big"),
            parent_span_id=parent.to_bytes(8, "big") if parent else b"",
            start_time_unix_nano=int((self.began + start) * SECOND),
            end_time_unix_nano=int((self.began + start + seconds) * SECOND),
            attributes=pairs(attributes),
        )
        if link:
            made.links.add(trace_id=link.to_bytes(16, "big"), span_id=link.to_bytes(8, "big"))
        self.store.add_traces(request)
        return made

    def connection(
        self,
        number: int,
        phases: dict[str, float],
        *,
        start: float = 0.0,
        outcome: str = names.COMPLETED,
        link: int = 0,
        **more: Plain,
    ) -> None:
        """A connection with trace and span id `number`, from port 40000 + number."""
        attributes: dict[str, Plain] = {
            names.NETWORK_PEER_ADDRESS: "127.0.0.1",
            names.NETWORK_PEER_PORT: 40_000 + number,
            names.CONNECTION_ID: f"{number:x}",
            names.CONNECTION_OUTCOME: outcome,
            names.DISPATCH_KIND: names.INLINE,
            names.ACCEPT_QUEUE_DEPTH: number,
            names.ACCEPT_QUEUE_LIMIT: 16,
            **{names.PHASE_PREFIX + phase: spent for phase, spent in phases.items()},
            **{names.SCOPE + "." + key.replace("__", "."): value for key, value in more.items()},
        }
        self._send(
            names.SPAN_TCP,
            number,
            number,
            start=start,
            seconds=sum(spent for spent in phases.values() if 0 <= spent < 1e6),
            attributes=attributes,
            link=link,
        )

    def phase(self, number: int, phase: str, seconds: float, function: str) -> None:
        """A phase span of connection `number`, in a function."""
        self._send(
            phase,
            number,
            3000 + number,
            parent=number,
            seconds=seconds,
            attributes={
                names.CODE_FUNCTION_NAME: function,
                names.CODE_FILE_PATH: "serving.py",
                names.CODE_LINE_NUMBER: 7,
            },
        )

    def request(
        self, number: int, path: str, *, parent: int = 0, link: int = 0, agent: str = ""
    ) -> None:
        """A request of connection `number`, tied to it by the given parent or link, or by id."""
        self._send(
            f"GET {path}",
            parent or 1000 + number,
            2000 + number,
            server=True,
            parent=parent,
            link=link,
            attributes={
                names.HTTP_REQUEST_METHOD: "GET",
                names.URL_PATH: path,
                names.CONNECTION_ID: f"{number:x}",
                names.HTTP_RESPONSE_STATUS_CODE: 200,
                names.USER_AGENT_ORIGINAL: agent,
            },
        )

    def standing(
        self,
        at: float,
        *,
        busy: float = 0.0,
        depth: int = 0,
        opened: dict[str, tuple[int, float]] | None = None,
        accepted: int = 0,
        instance: str = "1",
    ) -> None:
        """One export, made `at` (seconds since the epoch); `opened` by phase: how many, oldest."""
        request = ExportMetricsServiceRequest()
        of_resource = request.resource_metrics.add()
        of_resource.resource.attributes.extend(
            pairs({"service.name": self.service, "service.instance.id": instance})
        )
        scope = of_resource.scope_metrics.add()
        scope.scope.name = names.SCOPE

        def point(points: Any, value: float, **more: str) -> None:
            place: dict[str, Plain] = {names.SERVER_ADDRESS: "127.0.0.1", names.SERVER_PORT: 5000}
            named = {key.replace("__", "."): text for key, text in more.items()}
            points.add(
                time_unix_nano=int(at * SECOND),
                start_time_unix_nano=SECOND,
                as_double=value,
                attributes=pairs({**place, **named}),
            )

        for name, value in (
            (names.M_LOOP_BUSY, busy),
            (names.M_QUEUE_DEPTH, depth),
            (names.M_QUEUE_LIMIT, 128),
        ):
            point(scope.metrics.add(name=name).gauge.data_points, value)
        total = scope.metrics.add(name=names.M_CONNECTION_ACCEPTED).sum
        total.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        point(total.data_points, accepted)
        active = scope.metrics.add(name=names.M_CONNECTION_ACTIVE)
        oldest = scope.metrics.add(name=names.M_CONNECTION_OLDEST)
        for phase, (many, age) in (opened or {}).items():
            point(active.sum.data_points, many, tcpwatch__phase__name=phase)
            point(oldest.gauge.data_points, age, tcpwatch__phase__name=phase)
        self.store.add_metrics(request)

    def stall(
        self, at: float, text: str, *, over: bool = False, seconds: float = 1.2, **more: Plain
    ) -> None:
        """A warning of a stall that began `seconds` before, or its end; `more` is of the holder."""
        attributes: dict[str, Plain] = {
            names.SERVER_ADDRESS: "127.0.0.1",
            names.SERVER_PORT: 5000,
            names.STALL_STATE: names.STALL_OVER if over else names.STALL_STUCK,
            names.STALL_DURATION: seconds,
        }
        attributes.update({key.replace("__", "."): value for key, value in more.items()})
        self.log(at, text, attributes=attributes)

    def log(
        self,
        at: float,
        text: str,
        *,
        logger: str = names.SCOPE,
        attributes: dict[str, Plain] | None = None,
    ) -> None:
        """One record of a logger."""
        request = ExportLogsServiceRequest()
        of_resource = request.resource_logs.add()
        of_resource.resource.attributes.extend(pairs({"service.name": self.service}))
        scope = of_resource.scope_logs.add()
        scope.scope.name = logger
        record = scope.log_records.add(time_unix_nano=int(at * SECOND))
        record.body.string_value = text
        record.attributes.extend(pairs(attributes or {}))
        self.store.add_logs(request)

    def total(self, name: str, value: float, **attributes: str) -> None:
        """A cumulative sum of one series."""
        request = ExportMetricsServiceRequest()
        of_resource = request.resource_metrics.add()
        of_resource.resource.attributes.extend(pairs({"service.name": self.service}))
        metric = of_resource.scope_metrics.add().metrics.add(name=name)
        point = metric.sum.data_points.add(as_double=value)
        for key, text in attributes.items():
            point.attributes.append(
                KeyValue(key=key.replace("__", "."), value=AnyValue(string_value=text))
            )
        self.store.add_metrics(request)


def blocked(server: Server) -> None:
    """Client A is served for a second, client B waits 0.9 s of it."""
    server.connection(1, {names.ACCEPT_QUEUE: 0.0, names.APP: 1.0})
    server.request(1, "/slow", parent=1, agent="client A")
    server.connection(
        2,
        {names.ACCEPT_QUEUE: 0.9, names.APP: 0.01},
        start=0.1,
        blocked_by__activity=names.LOOP_INLINE,
        blocked_by__connection__id="1",
    )
    server.request(2, "/fast", parent=2, agent="client B")
