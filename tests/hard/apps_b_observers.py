"""Servers that are part of observing, beside an application's in one process; tells what was seen.

python -m tests.hard.apps_b_observers logging|prometheus|receiver
"""

from __future__ import annotations

import importlib
import json
import logging
import logging.config
import socket
import struct
import sys
import threading
import urllib.request
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import Any

from tcpwatch.testing import recording
from tcpwatch.view.receiver import Receiver
from tcpwatch.view.recording import Recording
from tests.apps.handlers import Plain

CONFIGURED = b'{"version": 1, "incremental": true, "loggers": {"told": {"level": "ERROR"}}}'
LIMIT = 10


def configure_by_socket() -> bool:
    """Send a configuration to the server of `logging.config.listen`, and say whether it came."""
    server = logging.config.listen(0)
    server.start()
    server.ready.wait(LIMIT)  # type: ignore[attr-defined]
    with socket.create_connection(("127.0.0.1", server.port), LIMIT) as client:  # type: ignore[attr-defined]
        client.sendall(struct.pack(">L", len(CONFIGURED)) + CONFIGURED)
        client.shutdown(socket.SHUT_WR)
        client.recv(1)
    logging.config.stopListening()
    server.join(LIMIT)
    return logging.getLogger("told").level == logging.ERROR


def scrape() -> bool:
    """Read the metrics that `prometheus_client` serves."""
    prometheus_client: Any = importlib.import_module("prometheus_client")

    server, thread = prometheus_client.start_http_server(0, "127.0.0.1")
    prometheus_client.Counter("told", "Told.").inc()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=LIMIT) as answer:
        body = answer.read()
    server.shutdown()
    server.server_close()
    thread.join()
    return b"told_total 1.0" in body


def receive() -> bool:
    """Send something to tcpwatch's own receiver, and say whether it was taken."""
    with Receiver(Recording()) as receiver:
        export = urllib.request.Request(
            f"{receiver.endpoint}/v1/traces",
            data=b"",
            headers={"Content-Type": "application/x-protobuf"},
        )
        with urllib.request.urlopen(export, timeout=LIMIT) as answer:
            return bool(answer.status == HTTPStatus.OK)


OBSERVERS = {"logging": configure_by_socket, "prometheus": scrape, "receiver": receive}


def ask(port: int) -> bool:
    """Ask the application's server."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/app", timeout=LIMIT) as answer:
        return bool(answer.read() == b"/app")


def main(which: str) -> None:
    """Serve, observe, tell."""
    with recording() as seen:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Plain)
        threading.Thread(target=server.serve_forever).start()
        well = OBSERVERS[which]() and ask(server.server_port)
        server.shutdown()
        server.server_close()
    json.dump({"well": well, "watched": len(seen.connections)}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
