"""Spans that were encoded beforehand, on their way through the stock OTLP/HTTP exporter.

The stock encoder was what spans cost most: 15 µs for each and 3 µs for each attribute. For an
exporter of ours, and only for one, the spans that have their message already are taken out of the
batch; the exporter encodes the others; what its client sends, with the exporter's own session,
compression, time limit and retries, is both. (Protobuf joins repeated fields of messages that stand
behind each other.) The queue, and what is counted when it is full, is the SDK's for all.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan

from tcpwatch.emit import encoding
from tcpwatch.emit.late import LateSpan

_MODULE: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_KNOWN: Final = "_tcpwatch_prepared"


def join(exporter: Any) -> bool:
    """Have an exporter of ours send what is encoded beforehand.

    Return False, and change nothing, if it is not built as we know the one for OTLP over HTTP.
    """
    client = getattr(exporter, "_client", None)
    if type(exporter).__module__ != _MODULE or not callable(getattr(client, "export", None)):
        return False
    if not isinstance(getattr(exporter, "_max_request_size", None), int) or sdk_counts():
        return False
    _Joined(exporter, client)
    return True


def takes(processor: Any) -> bool:
    """Say whether a span processor's exporter was joined."""
    return hasattr(getattr(processor, "span_exporter", None), _KNOWN)


def sdk_counts() -> bool:
    """Say whether the SDK counts its own spans and exports; then all of them are to pass it."""
    wish = os.environ.get("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "")
    return wish.strip().lower() == "true"


class _Joined:
    """An exporter and its client, with what goes ahead of the exporter's own bytes."""

    def __init__(self, exporter: Any, client: Any) -> None:
        self._exporter = exporter
        self._export, self._send = exporter.export, client.export
        self._ahead = threading.local()
        exporter.export, client.export = self.export, self.send
        setattr(exporter, _KNOWN, self)

    def export(self, spans: Sequence[ReadableSpan]) -> Any:
        """Export a batch, in place of the exporter's method."""
        groups: defaultdict[encoding.Envelope, list[bytes]] = defaultdict(list)
        others: list[ReadableSpan] = []
        for span in spans:
            if type(span) is LateSpan and span.encoded is not None:
                groups[span.home.envelope].append(span.encoded)
            else:
                others.append(span)
        ahead = b"".join(envelope.sealed(group) for envelope, group in groups.items())
        most = self._exporter._max_request_size
        if not groups or 0 < most < len(ahead):
            return self._export(spans)  # too much is the exporter's to refuse
        self._ahead.bytes = ahead
        try:
            return self._export(others)
        finally:
            self._ahead.bytes = b""

    def send(self, data: bytes) -> Any:
        """Send what the exporter has encoded, in place of its client's method."""
        ahead = getattr(self._ahead, "bytes", b"")
        if not 0 < self._exporter._max_request_size < len(ahead) + len(data):
            return self._send(ahead + data)
        # Each is small enough for a request, and both are not.
        first = self._send(ahead)
        return self._send(data) if first.success else first
