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

    def http(self) -> http.client.HTTPConnection:
        """Return an HTTP client of this server, not yet connected."""
        where = ("127.0.0.1", self.port)
        if self.tls:
            return http.client.HTTPSConnection(*where, timeout=self.timeout, context=self.tls)
        return http.client.HTTPConnection(*where, timeout=self.timeout)


Client = Callable[[Door], None]
"""Plays a client at a door and returns when the client is done."""


def together(*clients: Client) -> Client:
    """All of `clients` at once; done when the last is done."""

    def crowd(door: Door) -> None:
        threads = [threading.Thread(target=one, args=(door,), daemon=True) for one in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return crowd


def in_turn(*clients: Client) -> Client:
    """One of `clients` after another."""

    def row(door: Door) -> None:
        for client in clients:
            client(door)

    return row


def later(seconds: float, client: Client) -> Client:
    """Return `client`, coming `seconds` later."""

    def waits(door: Door) -> None:
        time.sleep(seconds)
        client(door)

    return waits


def asks(name: str, path: str) -> Client:
    """A client that asks for `path`, reads the answer and leaves."""

    def client(door: Door) -> None:
        with _fate(), contextlib.closing(door.http()) as connection:
            connection.request("GET", path, headers={"User-Agent": name})
            connection.getresponse().read()

    return client


def says_nothing(seconds: float) -> Client:
    """A browser that connects ahead of time and keeps the connection for `seconds`."""

    def client(door: Door) -> None:
        with _fate(), door.connect():
            time.sleep(seconds)

    return client


def reads_slowly(name: str, path: str, seconds: float) -> Client:
    """A client that stops reading for `seconds` in the middle of the response."""

    def client(door: Door) -> None:
        with _fate(), door.connect(receive_buffer=_CHUNK) as connection:
            connection.sendall(_request(name, path) + b"\r\n")
            connection.recv(_CHUNK)
            time.sleep(seconds)
            while connection.recv(_CHUNK):
                pass

    return client


def gives_up(name: str, path: str, seconds: float) -> Client:
    """A client that asks and breaks the connection off after `seconds`, answered or not."""

    def client(door: Door) -> None:
        with _fate(), door.connect() as connection:
            connection.sendall(_request(name, path) + b"\r\n")
            time.sleep(seconds)
            _reset(connection)

    return client


def breaks_off(name: str, path: str, seconds: float) -> Client:
    """A client that resets the connection after `seconds` of half a request."""

    def client(door: Door) -> None:
        with _fate(), door.connect() as connection:
            connection.sendall(_request(name, path))
            time.sleep(seconds)
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
