"""Snapshots of open connections, for `tcpwatch.connections()` and for gauges."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionSnapshot:
    """An open connection at one moment; ages are seconds.

    `phase_age` is how long it has been in `phase`, `age` how long ago the kernel had it
    ESTABLISHED (or, where the kernel does not tell, accepted).
    """

    id: str | None
    server: str
    peer: tuple[str, int | None] | None
    dispatch: str | None
    phase: str
    phase_age: float
    age: float
    requests: int
    pid: int
    loop: int
    method: str | None = None
    scheme: str | None = None

    @property
    def in_request(self) -> bool:
        """Whether a request's head has been read and its response is not out yet."""
        return self.method is not None
