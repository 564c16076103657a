"""Client spans of the load: with traceparent sent, client and server are one trace.

Only where OTEL_EXPORTER_OTLP_ENDPOINT says who takes them: a trace whose first span went nowhere
would look broken.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from opentelemetry import propagate
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context

MaybeSpan: TypeAlias = "Span | None"
_provider: TracerProvider | None = None


def start() -> None:
    """Begin to make spans, if somebody takes them."""
    global _provider  # noqa: PLW0603 - one for the process, as Locust's own state
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") and _provider is None:
        name = os.environ.get("OTEL_SERVICE_NAME", "locust")
        _provider = TracerProvider(resource=Resource.create({"service.name": name}))
        _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))


def stop() -> None:
    """Send what is left."""
    if _provider is not None:
        _provider.shutdown()


@contextmanager
def client_span(method: str, name: str, headers: dict[str, str]) -> Iterator[MaybeSpan]:
    """Make the span of one request, and put its traceparent into the headers."""
    if _provider is None:
        yield None
        return
    span = _provider.get_tracer("load").start_span(
        f"{method} {name}", kind=SpanKind.CLIENT, attributes={"http.request.method": method}
    )
    propagate.inject(headers, set_span_in_context(span))
    try:
        yield span
    except BaseException as cut_off:  # also Locust's end of the run
        span.set_attribute("error.type", type(cut_off).__name__)
        span.set_status(Status(StatusCode.ERROR))
        raise
    finally:
        span.end()


def answered(span: MaybeSpan, status: int) -> None:
    """Note the answer; 0, as in Locust, is none."""
    if span is None:
        return
    if status:
        span.set_attribute("http.response.status_code", status)
    if not status or status >= 400:
        # Values of error.type by the semantic convention for HTTP spans.
        span.set_attribute("error.type", str(status or "_OTHER"))
        span.set_status(Status(StatusCode.ERROR))
