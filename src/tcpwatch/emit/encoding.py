"""Spans as the bytes of OTLP's protobuf messages: plain values in, bytes out.

A message of protobuf is a sequence of fields, so a message can be put together from parts that were
serialized before: what repeats in every span of ours (keys, most texts, scope and resource) is made
once. Field numbers are those of opentelemetry/proto/{common,resource,trace,collector}/v1; what is
written is what protobuf's own serializer would write, so fields stand in the order of their numbers
and defaults are left out.

Every function raises ValueError or TypeError (or struct.error) for what protobuf cannot carry: a
text with a lone surrogate, an integer beyond 64 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

INTERNAL: Final = 1
SERVER: Final = 2
"""SpanKind, as the protocol counts."""

ATTRIBUTES: Final = 9
"""The number of a span's attributes."""

_CACHED: Final = 2048

_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1

_double: Final = struct.Struct("<d").pack
_ids: Final = struct.Struct(">2sQQ2sQ").pack
_link: Final = struct.Struct(">4sQQ2sQ5s").pack
_id: Final = struct.Struct(">2sQ").pack
_times: Final = struct.Struct("<BQBQ").pack
_LOW: Final = (1 << 64) - 1

_TRACE_ID, _SPAN_ID, _PARENT_ID = b"\x0a\x10", b"\x12\x08", b"\x22\x08"
_START, _END = 0x39, 0x41
_FLAGS, _REMOTE_FLAGS = b"\x85\x01\x00\x01\x00\x00", b"\x85\x01\x00\x03\x00\x00"
"""SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK, without and with SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK."""
_LINK, _LINK_FLAGS = b"\x6a\x21\x0a\x10", b"\x35\x00\x01\x00\x00"
"""Field 13 of 33 bytes and its trace id's tag; the mask of a span's flags, as fixed32."""


Ids = tuple[int, int]
"""Trace id and span id."""


def varint(value: int) -> bytes:
    """Return an integer of at least 0 as a varint."""
    if value <= 0x7F:
        return _ONE_BYTE[value]
    if value <= 0x3FFF:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if value <= 0x1FFFFF:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


_ONE_BYTE: Final = [bytes((value,)) for value in range(0x80)]


def field(number: int, content: bytes) -> bytes:
    """Return a field of a length: a text, bytes or another message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def _count(number: int, count: int) -> bytes:
    return varint(number << 3) + varint(count) if count else b""


def _optional(number: int, text: str | None) -> bytes:
    return field(number, text.encode()) if text else b""


def _attribute(tag: int, key: str, value: bytes) -> bytes:
    return field(tag, field(1, key.encode()) + field(2, value))


@lru_cache(_CACHED)
def _before(tag: int, key: str, mark: bytes, size: int) -> bytes:
    """Return an attribute without the last `size` bytes, which follow `mark` in its AnyValue."""
    return _attribute(tag, key, mark + bytes(size))[: -size or None]


@lru_cache(_CACHED)
def _before_text(tag: int, key: str, size: int) -> bytes:
    return _before(tag, key, b"\x0a" + varint(size), size)


def before_double(tag: int, key: str) -> bytes:
    """Return all of an attribute but the last eight bytes, which are the double's."""
    return _before(tag, key, b"\x21", 8)


def _int(value: int) -> bytes:
    if not _INT64_MIN <= value <= _INT64_MAX:
        raise ValueError(f"{value} is more than 64 bits, which an attribute cannot carry")
    return varint(value & _LOW)


def _value(value: Any) -> bytes:
    """Return the content of an AnyValue; the order of the tests is that of the stock encoder."""
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, str):
        return field(1, value.encode())
    if isinstance(value, int):
        return b"\x18" + _int(value)
    if isinstance(value, float):
        return b"\x21" + _double(value)
    if isinstance(value, bytes):
        return field(7, value)
    if isinstance(value, Sequence):
        return field(5, b"".join(field(1, _value(item)) for item in value))
    if isinstance(value, Mapping):
        return field(6, attributes(value, 1))
    raise TypeError(f"an attribute cannot carry a {type(value).__name__}")


def attribute(key: str, value: Any, tag: int) -> bytes:
    """Return an attribute as a KeyValue field of the number `tag`."""
    kind = type(value)
    if kind is str:
        text: bytes = value.encode()
        return _before_text(tag, key, len(text)) + text
    if kind is int:
        number = _int(value)
        return _before(tag, key, b"\x18", len(number)) + number
    if kind is float:
        return before_double(tag, key) + _double(value)
    return _attribute(tag, key, _value(value))


def attributes(values: Mapping[str, Any], tag: int) -> bytes:
    """Return attributes as repeated KeyValue fields of the number `tag`."""
    return b"".join([attribute(key, value, tag) for key, value in values.items()])


@lru_cache(_CACHED)
def _name(name: str, kind: int) -> bytes:
    return (field(5, name.encode()) if name else b"") + b"\x30" + varint(kind)


@lru_cache(_CACHED)
def _trace_state(state: tuple[tuple[str, str], ...]) -> bytes:
    text = ",".join(f"{key}={value}" for key, value in state)
    return field(3, text.encode()) if text else b""


def link(ids: Ids) -> bytes:
    """Return a link to another span of this process, as a field of the span that has it."""
    trace_id, span_id = ids
    return _link(_LINK, trace_id >> 64, trace_id & _LOW, _SPAN_ID, span_id, _LINK_FLAGS)


def status(code: int, message: str | None = None) -> bytes:
    """Return a status as a field of its span; `code` is 0 (unset), 1 (ok) or 2 (error)."""
    return field(15, _optional(2, message) + _count(3, code))


UNSET: Final = status(0)
ERROR: Final = status(2)


def span(
    ids: Ids,
    trace_state: tuple[tuple[str, str], ...],
    parent: tuple[int, bool],
    name: str,
    kind: int,
    times: tuple[int, int],
    attributes: bytes,
    links: bytes = b"",
    status: bytes = UNSET,
    dropped: tuple[int, int] | None = None,
) -> bytes:
    """Return a span as a field of its ScopeSpans.

    `parent` is a span id (0: none) and whether it is remote, `kind` the protocol's number, `times`
    are wall-clock nanoseconds of more than 0; `attributes` (of the number ATTRIBUTES), `links` and
    `status` are what the functions of these names return, `dropped` counts attributes and links.
    """
    trace_id, span_id = ids
    parent_id, is_remote = parent
    no_attributes = no_links = b""
    if dropped is not None:
        no_attributes, no_links = map(_count, (10, 14), dropped)
    content = b"".join(
        (
            _ids(_TRACE_ID, trace_id >> 64, trace_id & _LOW, _SPAN_ID, span_id),
            _trace_state(trace_state) if trace_state else b"",
            _id(_PARENT_ID, parent_id) if parent_id else b"",
            _name(name, kind),
            _times(_START, times[0], _END, times[1]),
            attributes,
            no_attributes,
            links,
            no_links,
            status,
            _REMOTE_FLAGS if is_remote else _FLAGS,
        )
    )
    return b"\x12" + varint(len(content)) + content


class Envelope:
    """What stands round the spans of one resource and scope."""

    def __init__(
        self,
        resource: Mapping[str, Any],
        resource_schema_url: str,
        scope: tuple[str, str, str],
    ) -> None:
        """Prepare it; `scope` is name, version and schema URL."""
        name, version, schema_url = scope
        self._resource = field(1, attributes(resource, 1))
        self._resource_end = _optional(3, resource_schema_url)
        self._scope = field(1, _optional(1, name) + _optional(2, version))
        self._scope_end = _optional(3, schema_url)

    def sealed(self, spans: Iterable[bytes]) -> bytes:
        """Return spans as a field of an ExportTraceServiceRequest."""
        scope = self._scope + b"".join(spans) + self._scope_end
        return field(1, self._resource + field(2, scope) + self._resource_end)
