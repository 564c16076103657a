"""The load, a process of its own, so that its work is nobody else's.

Run as a module it says `ready`; each line of input is an order in JSON, answered with what came of
it. An order is the arguments of `Load`.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass

REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\n\r\n"
BODY = b"hello"
PATIENCE = 300.0
"""Seconds for one answer; a server under valgrind takes its time."""


@dataclass(frozen=True)
class Load:
    """So many requests to a port, by so many clients at once.

    Without a `rate` each client sends its next request when it has the answer to the last. With
    one, in requests per second, request k is due at k / rate, whatever became of the others, and
    its latency counts from then: a server that stalls makes all wait that were due meanwhile.
    """

    port: int
    requests: int
    clients: int = 1
    keep_alive: bool = False
    rate: float | None = None


@dataclass
class Outcome:
    """What came of a load: the seconds it took, and each request's latency in seconds."""

    seconds: float
    latencies: list[float]


class Client:
    """One client; connects for each request unless `keep_alive`."""

    def __init__(self, port: int, keep_alive: bool) -> None:
        self._port, self._keep_alive = port, keep_alive
        self._sock: socket.socket | None = None

    def get(self) -> None:
        """Make a request.

        Raises RuntimeError if the answer is not the one that the server under test gives.
        """
        sock = self._sock or self._connect()
        sock.sendall(REQUEST)
        answer = b""
        while not answer.endswith(BODY):
            part = sock.recv(65536)
            if not part:
                raise RuntimeError(f"the server answered {answer!r} instead of {BODY!r}")
            answer += part
        if not self._keep_alive:
            # As clients do that know the length: werkzeug waits 10 ms for one that does not close.
            self.close()

    def _connect(self) -> socket.socket:
        self._sock = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._sock

    def close(self) -> None:
        """Close what is open."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def run(load: Load) -> Outcome:
    """Put a load on a server; return when all of it is answered.

    Raises what the first client that failed has raised.
    """
    latencies: list[float] = []
    failures: list[Exception] = []
    turns = iter(range(load.requests))
    clients = [Client(load.port, load.keep_alive) for _ in range(load.clients)]
    began = time.monotonic()

    def work(client: Client) -> None:
        try:
            for turn in turns:  # a range's iterator hands each number to one thread
                due = time.monotonic()
                if load.rate is not None:
                    due = began + turn / load.rate
                    time.sleep(max(due - time.monotonic(), 0))
                client.get()
                latencies.append(time.monotonic() - due)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    for client in clients:
        client.close()
    if failures:
        raise failures[0]
    return Outcome(took, latencies)


def main() -> None:
    """Take orders until the input ends."""
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(asdict(run(Load(**json.loads(line))))), flush=True)


if __name__ == "__main__":
    main()
