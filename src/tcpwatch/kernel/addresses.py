"""Socket addresses of every family as plain values."""

from __future__ import annotations

import os
import socket
from typing import Any


def plain_address(address: Any) -> tuple[str, int | None] | None:
    """Return (address, port) of a socket address of any family; None if it has no name.

    The name of a Unix socket is bytes, and a client's to choose. What is no UTF-8 in it is
    replaced: no exporter could carry it, and would lose every other span of its batch, too.
    """
    if isinstance(address, tuple) and len(address) >= 2:
        return str(address[0]), int(address[1])
    if isinstance(address, bytes):
        address = "@" + address[1:].decode("utf-8", "replace")
    return (os.fsencode(str(address)).decode("utf-8", "replace"), None) if address else None


def own_address(sock: socket.socket) -> tuple[str, int | None] | None:
    """Return the socket's own address; None if it has none."""
    try:
        return plain_address(sock.getsockname())
    except (OSError, AttributeError):  # get_request() may return no socket, but what acts like one
        return None
