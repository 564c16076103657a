"""The sample server's process: started with its telemetry pointed at us, stopped by its own pid."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 8.0


class ServerFailedError(RuntimeError):
    """The sample server did not come up; the message has the end of what it wrote."""


class SampleServer:
    """A child process that serves from `start` until `stop`.

    Args:
        service: its `service.name`.
        endpoint: where it sends its telemetry (OTLP over HTTP).
        options: of `tcpwatch.cli.sample`.
    """

    def __init__(self, service: str, endpoint: str, options: tuple[str, ...]) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by stop()
        self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            [sys.executable, "-m", "tcpwatch.cli.sample", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(service, endpoint),
            # Ctrl-C is for us; the child ends with its standard input.
            start_new_session=True,
        )

    def port(self) -> int:
        """Wait for the server and return its port.

        Raises:
            ServerFailedError: it ended or said nothing for half a minute.
        """
        pipe = self._process.stdout
        assert pipe is not None
        ready, _, _ = select.select([pipe], [], [], _START_TIMEOUT)
        line = pipe.readline() if ready else b""
        if not line.strip().isdigit():
            raise ServerFailedError(f"the sample server did not start:\n{self._last_words()}")
        return int(line)

    def finish(self) -> None:
        """Ask the server to stop and to send what it still has; do not wait for it."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()

    def stop(self) -> None:
        """Stop the server and wait until it is gone: 8 s for its own ending, then by signal."""
        self.finish()
        for insist in (self._process.terminate, self._process.kill):
            try:
                self._process.wait(_STOP_TIMEOUT)
                break
            except subprocess.TimeoutExpired:
                insist()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _last_words(self) -> str:
        self._log.seek(0)
        return self._log.read()[-2000:].decode(errors="replace").strip()


def _environment(service: str, endpoint: str) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "TCPWATCH_"))
    }
    return inherited | {
        "OTEL_SERVICE_NAME": service,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "OTEL_LOGS_EXPORTER": "otlp",
        # A proxy of the user's is not for the loopback.
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
