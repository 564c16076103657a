"""Servers that override what tcpwatch wraps, with and without `super()`."""

from __future__ import annotations

import socket
import threading
from http.server import HTTPServer, ThreadingHTTPServer
from typing import Any

REFUSED_PEER = "127.0.0.2"


class GetRequestSuper(ThreadingHTTPServer):
    """Sets an option on each socket that the base class accepted."""

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept by the base class."""
        request, address = super().get_request()
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return request, address


class GetRequestOwn(ThreadingHTTPServer):
    """Accepts by itself."""

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept without the base class."""
        return self.socket.accept()


class ProcessRequestSuper(ThreadingHTTPServer):
    """Counts, then does as the base class."""

    served = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        """Dispatch by the base class."""
        self.served += 1
        super().process_request(request, client_address)


class ProcessRequestOwn(HTTPServer):
    """Starts its own threads, without any mix-in."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """Dispatch without the base class."""
        threading.Thread(target=self._serve, args=(request, client_address), daemon=True).start()

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        finally:
            self.shutdown_request(request)


class VerifyRequestOwn(ThreadingHTTPServer):
    """Wants no connection from one address."""

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Say no to one address, without the base class."""
        return bool(client_address[0] != REFUSED_PEER)


class VerifyRequestSuper(ThreadingHTTPServer):
    """Wants no connection from one address, and asks the base class about the others."""

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Say no to one address."""
        return client_address[0] != REFUSED_PEER and super().verify_request(request, client_address)


OVERRIDING = {
    kind.__name__: kind
    for kind in (
        GetRequestSuper,
        GetRequestOwn,
        ProcessRequestSuper,
        ProcessRequestOwn,
        VerifyRequestOwn,
        VerifyRequestSuper,
    )
}
