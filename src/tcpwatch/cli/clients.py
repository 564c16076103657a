"""The demo's clients: real sockets that ask, wait, dawdle, give up and break off.

Each is bounded by its timeout, and what goes wrong for a client is its fate, not an error here.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

Client = Callable[[], None]
"""Something to call; it returns when the client is done."""

_CHUNK = 64 * 1024
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Door:
    """Where the server is; `tls` is the clients' context if it encrypts; `timeout` in seconds."""

    port: int
    timeout: float
    tls: ssl.SSLContext | None = None

    def connect(self, receive_buffer: int = 0) -> socket.socket:
        """Open a plain connection; a small `receive_buffer` (bytes) makes a slow reader felt."""
        plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        plain.settimeout(self.timeout)
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            plain.connect(("127.0.0.1", self.port))
        except BaseException:
            plain.close()
            raise
        return plain


def together(*clients: Client) -> Client:
    """All of `clients` at once; done when the last is done."""

    def crowd() -> None:
        threads = [threading.Thread(target=client, daemon=True) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return crowd


def in_turn(*clients: Client) -> Client:
    """One of `clients` after another."""

    def row() -> None:
        for client in clients:
            client()

    return row


def later(seconds: float, client: Client) -> Client:
    """Return `client`, starting `seconds` later."""

    def waits() -> None:
        time.sleep(seconds)
        client()

    return waits


def asks(door: Door, name: str, path: str) -> Client:
    """A client that asks for `path`, reads the answer and leaves."""

    def client() -> None:
        if door.tls:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", door.port, timeout=door.timeout, context=door.tls
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=door.timeout)
        with contextlib.closing(connection), _fate():
            connection.request("GET", path, headers={"User-Agent": name})
            connection.getresponse().read()

    return client


def says_nothing(door: Door, seconds: float) -> Client:
    """A browser that connects ahead of time and keeps the connection for `seconds`."""

    def client() -> None:
        with _fate(), door.connect():
            time.sleep(seconds)

    return client


def reads_slowly(door: Door, name: str, path: str, seconds: float) -> Client:
    """A client that stops reading for `seconds` in the middle of the response."""

    def client() -> None:
        with _fate(), door.connect(receive_buffer=_CHUNK) as connection:
            connection.sendall(_request(name, path) + b"\r\n")
            connection.recv(_CHUNK)
            time.sleep(seconds)
            while connection.recv(_CHUNK):
                pass

    return client


def gives_up(door: Door, name: str, path: str, seconds: float) -> Client:
    """A client that asks and breaks the connection off after `seconds`, answered or not."""

    def client() -> None:
        with _fate(), door.connect() as connection:
            connection.sendall(_request(name, path) + b"\r\n")
            time.sleep(seconds)
            _reset(connection)

    return client


def breaks_off(door: Door, name: str, path: str) -> Client:
    """A client that resets the connection in the middle of its own request."""

    def client() -> None:
        with _fate(), door.connect() as connection:
            connection.sendall(_request(name, path))
            _reset(connection)

    return client


def _request(name: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: {name}\r\n".encode()


def _reset(connection: socket.socket) -> None:
    """Closing with a linger time of 0 sends RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()


def _fate() -> contextlib.suppress:
    return contextlib.suppress(OSError, http.client.HTTPException)
