"""OTLP/HTTP bodies: bytes to messages and back, in protobuf and in OTLP's own kind of JSON."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
CODINGS = {"": 0, "identity": 0, "gzip": 31, "deflate": 15}
"""Content codings, with zlib's window bits for each."""

# json_format lets through whatever int() and float() raise for what is no number of theirs.
_UNREADABLE = (
    DecodeError,
    json_format.ParseError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
_HEX_IDS = {"traceId", "spanId", "parentSpanId"}

M = TypeVar("M", bound=Message)


class GarbageError(ValueError):
    """A body that is not what its headers say."""


class TooLargeError(ValueError):
    """A body over the limit."""


def unpack(body: bytes, coding: str, limit: int) -> bytes:
    """Undo a content coding.

    Args:
        body: the body as it came.
        coding: a key of `CODINGS`.
        limit: bytes allowed after decompression.

    Raises:
        GarbageError: the body is not in that coding, or ends early.
        TooLargeError: it grows over the limit.
    """
    bits = CODINGS[coding]
    parts: list[bytes] = []
    size = len(body) if not bits else 0
    while bits and body:
        stream = zlib.decompressobj(bits)
        try:
            parts.append(stream.decompress(body, limit + 1 - size))
        except zlib.error as error:
            raise GarbageError(f"the body is not {coding}: {error}") from error
        size += len(parts[-1])
        if size > limit:
            break
        if not stream.eof:
            raise GarbageError(f"the {coding} body ends early")
        body = stream.unused_data
    if size > limit:
        raise TooLargeError(f"the body is larger than {limit} bytes")
    return b"".join(parts) if bits else body


def decode(body: bytes, content_type: str, message: M) -> M:
    """Fill `message` from `body`, ignoring unknown fields as OTLP asks.

    Args:
        body: what was sent, decompressed.
        content_type: `PROTOBUF` or `JSON`.
        message: an empty message of the expected type.

    Raises:
        GarbageError: the body cannot be read as that message.
    """
    try:
        if content_type == JSON:
            plain = _with_base64_ids(json.loads(body))
            if not isinstance(plain, dict):
                raise GarbageError("the JSON is not an object")
            return json_format.ParseDict(plain, message, ignore_unknown_fields=True)
        message.ParseFromString(body)
    except _UNREADABLE as error:
        raise GarbageError(f"not an OTLP {type(message).__name__}: {error}") from error
    return message


def encode(message: Message, content_type: str) -> bytes:
    """Return `message` as bytes of the content type (`PROTOBUF` or `JSON`)."""
    if content_type == JSON:
        return json_format.MessageToJson(message, indent=None).encode()
    return message.SerializeToString()


def _with_base64_ids(node: Any) -> Any:
    """OTLP's JSON has ids in hex where protobuf's JSON mapping wants base64."""
    if isinstance(node, list):
        return [_with_base64_ids(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _base64_of_hex(value)
        if key in _HEX_IDS and isinstance(value, str)
        else _with_base64_ids(value)
        for key, value in node.items()
    }


def _base64_of_hex(text: str) -> str:
    try:
        return base64.b64encode(binascii.unhexlify(text)).decode()
    except ValueError as error:
        raise GarbageError(f"{text[:40]!r} is not an id in hex") from error
