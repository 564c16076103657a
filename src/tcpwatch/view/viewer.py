"""The whole viewer: a store, with its doors for OTLP and its page, on this machine's ports."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from tcpwatch.view import HTTP_PORT
from tcpwatch.view.store import Store
from tcpwatch.view.web.app import application
from tcpwatch.view.web.otlp import MAX_BODY
from tcpwatch.view.web.serving import Serving

if TYPE_CHECKING:
    from typing_extensions import Self

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Viewer:
    """Serves a store from construction to `close`.

    Args:
        store: what is shown, and where OTLP goes.
        host: the address to listen on.
        port: the port of page and OTLP over HTTP, 0 for any free one.
        hosts: names that clients may use for this server beside localhost and its address.

    Raises:
        OSError: the address is not free.
    """

    def __init__(
        self,
        store: Store,
        host: str = "127.0.0.1",
        port: int = HTTP_PORT,
        hosts: Iterable[str] = (),
    ) -> None:
        self.store = store
        others = host not in _LOOPBACK
        self._serving = Serving(application(store, hosts, others=others), host, port, MAX_BODY)

    @property
    def address(self) -> str:
        """Where the page is; OTLP over HTTP goes to the same."""
        return self._serving.endpoint

    def close(self) -> None:
        """Stop listening; the store stays open. Idempotent."""
        self._serving.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
