"""HTTP over raw sockets: what a client sends and reads, byte by byte."""

from __future__ import annotations

import ctypes
import json
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

LIMIT = 10.0
"""Seconds that anything on loopback may take before it is called lost."""


SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
"""Of Linux: asm-generic/socket.h; Python has no names for them."""
KEEP_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)
"""A socket filter's one instruction: BPF_RET | BPF_K in linux/bpf_common.h, of 0 bytes."""


@contextmanager
def deaf(client: socket.socket) -> Iterator[None]:
    """Have the kernel drop each segment that comes for a client, as if it were lost."""
    instruction = ctypes.create_string_buffer(KEEP_NOTHING)
    program = struct.pack("HP", 1, ctypes.addressof(instruction))
    client.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    yield
    client.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


@dataclass(frozen=True)
class Response:
    """An HTTP response as it came over the socket."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body's JSON."""
        return json.loads(self.body)


def request_bytes(
    path: str, headers: Mapping[str, str] | None = None, *, method: str = "GET", body: bytes = b""
) -> bytes:
    """Return a request; it asks to close the connection unless the headers say otherwise."""
    fields = {"Host": "test", "Connection": "close", **(headers or {})}
    if body:
        fields.setdefault("Content-Length", str(len(body)))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def read_all(client: socket.socket) -> bytes:
    """Read until the server closes; a reset ends the reading like a close."""
    data = b""
    try:
        while more := client.recv(65536):
            data += more
    except ConnectionError:
        pass
    return data


def read_response(client: socket.socket) -> Response:
    """Read one response with a Content-Length, leaving the connection open."""
    with client.makefile("rb") as stream:
        status, headers = _head(stream.readline(), iter(stream.readline, b"\r\n"))
        return Response(status, headers, stream.read(int(headers.get("content-length", "0"))))


def parse(data: bytes) -> Response:
    """Return the response in `data`, everything after its head being the body."""
    assert data, "the server closed without a response"
    head, _, body = data.partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    status, headers = _head(first, iter(fields))
    return Response(status, headers, body)


def _head(first: bytes, fields: Any) -> tuple[int, dict[str, str]]:
    pairs = (field.decode("latin-1").split(":", 1) for field in fields)
    return int(first.split()[1]), {name.lower(): value.strip() for name, value in pairs}


def local_port(client: socket.socket) -> int:
    """Return the port by which the server's telemetry knows this client."""
    port = client.getsockname()[1]
    assert isinstance(port, int)
    return port


def reset(client: socket.socket) -> None:
    """Close so that the server gets a RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
