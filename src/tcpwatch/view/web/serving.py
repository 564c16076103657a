"""A WSGI application on a port of its own, on waitress, from construction to `close`."""

from __future__ import annotations

import logging
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING

import waitress.server  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from typing_extensions import Self


class Serving:
    """Listens on a port and serves `application` in a thread of its own.

    Args:
        application: what answers.
        host: the address to listen on.
        port: the port, 0 for any free one.
        max_body: bytes that a request's body may have.

    Raises:
        OSError: the address is not free.
    """

    def __init__(self, application: WSGIApplication, host: str, port: int, max_body: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family)
        except OSError as error:
            raise OSError(
                error.errno, f"cannot listen on {host} port {port}: {error.strerror}"
            ) from error
        # A burst of exports makes tasks wait a moment; that is no news.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._bound: tuple[str, int] = listener.getsockname()[:2]
        self._sockets: dict[int, object] = {}
        self._pulled = threading.Event()
        self._server = waitress.server.create_server(
            application,
            map=self._sockets,
            sockets=[listener],
            max_request_body_size=max_body,
            threads=6,
            ident="tcpwatch",
        )
        self._thread = threading.Thread(
            target=self._server.run, name="tcpwatch-receiver", daemon=True
        )
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """What `OTEL_EXPORTER_OTLP_ENDPOINT` has to be, e.g. `http://127.0.0.1:4318`."""
        host, port = self._bound
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def close(self) -> None:
        """Stop listening. Idempotent."""
        if self._thread.is_alive():
            # waitress' loop ends when its map is empty, and only its own thread may empty it.
            self._server.trigger.pull_trigger(self._close_sockets)
            self._pulled.set()
            self._thread.join()
            self._server.task_dispatcher.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _close_sockets(self) -> None:
        # An earlier pull may have brought us here; our own still needs the trigger's pipe.
        self._pulled.wait()
        self._server.asyncore.close_all(self._sockets)
