"""From OTLP logs to rows: only what tcpwatch itself logged in a server, as a stall's warning."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs

from tcpwatch import names
from tcpwatch.view.store.rows import DAY_NS, INT64, Rows, service_of

NumberOrigin = Callable[[ResourceLogs, ScopeLogs, str], "int | None"]


def of_logs(
    request: ExportLogsServiceRequest, seq: int, number_origin: NumberOrigin
) -> tuple[Rows, int]:
    """Return the rows of our own records, and how many records were refused.

    Args:
        request: what was sent; a logger's name is its scope.
        seq: the first record's; the following count up from it.
        number_origin: gives a resource and a scope their number, None when there are too many.
    """
    rows: Rows = defaultdict(list)
    refused, latest = 0, time.time_ns() + DAY_NS
    for of_resource in request.resource_logs:
        service = service_of(of_resource.resource)
        for of_scope in of_resource.scope_logs:
            if of_scope.scope.name != names.SCOPE or not of_scope.log_records:
                continue
            origin = number_origin(of_resource, of_scope, service)
            for record in of_scope.log_records:
                at = record.time_unix_nano or record.observed_time_unix_nano
                if origin is None or at > latest:
                    refused += 1
                    continue
                rows["logs"].append((seq, origin, min(at, INT64), record.SerializeToString()))
                seq += 1
    return rows, refused
