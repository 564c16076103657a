"""Ports that name a connection: else the kernel gives one out again when its connection is gone."""

from __future__ import annotations

import socket

_had: set[int] = set()


def bound(host: str, limit: float) -> socket.socket:
    """Return a socket at a port of `host` that none before has had, not connected yet.

    `limit` is its timeout in seconds. Host is an address, IPv4's or IPv6's.
    """
    while True:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.settimeout(limit)
        sock.bind((host, 0))
        port = sock.getsockname()[1]
        if port not in _had:
            _had.add(port)
            return sock
        sock.close()
