"""An OTLP receiver for whoever wants the data and no page: tests, the demo's own check."""

from __future__ import annotations

from tcpwatch.view.recording import Recording
from tcpwatch.view.web import otlp
from tcpwatch.view.web.serving import Serving


class Receiver(Serving):
    """Listens for OTLP/HTTP from its construction to `close`.

    Args:
        recording: where everything received goes.
        host: the address to listen on.
        port: the port, 0 for any free one.

    Raises:
        OSError: the address is not free.
    """

    def __init__(self, recording: Recording, host: str = "127.0.0.1", port: int = 0) -> None:
        self.recording = recording
        super().__init__(otlp.Otlp(recording), host, port, otlp.MAX_BODY)
