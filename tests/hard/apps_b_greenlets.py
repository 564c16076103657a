"""Greenlets that take turns on kept-alive connections; tells the requests of each connection.

python -m tests.hard.apps_b_greenlets
"""

from __future__ import annotations

import json
import socket
import sys
import time
from http.server import ThreadingHTTPServer

from tests.hard.apps_b_gevent import patch

CLIENTS, REQUESTS = 3, 3
NAP = 0.02


def client(port: int) -> None:
    """Ask again and again on one connection, while the others do so, too."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(REQUESTS):
            connection.sendall(f"GET /slow?s={NAP} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            heard = b""
            while not heard.endswith(b"/slow?s=%.2f" % NAP):
                heard += connection.recv(4096)
            time.sleep(NAP)


def main() -> None:
    """Serve them all in one thread of the system's."""
    patch()
    import gevent

    from tcpwatch.hub import hub
    from tcpwatch.testing import recording
    from tests.apps.handlers import Plain

    with recording() as seen, ThreadingHTTPServer(("127.0.0.1", 0), Plain) as server:
        gevent.spawn(server.serve_forever)
        gevent.joinall([gevent.spawn(client, server.server_port) for _ in range(CLIENTS)])
        while hub.connections:
            time.sleep(NAP)
        server.shutdown()
    json.dump([connection.requests for connection in seen.connections], sys.stdout)


if __name__ == "__main__":
    main()
