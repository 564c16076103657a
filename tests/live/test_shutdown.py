"""Shutdown: what is finished is exported, what is open is ended, and nobody waits long for it."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live.conftest import Start
from tests.live.harness import LiveServer
from tests.live.seen import Seen
from tests.live.wire import read_response, request_bytes

KEEP = {"Connection": "keep-alive"}
GRACE = 2.0
"""Seconds by which an exit may be later than without tcpwatch."""


def by_exit(server: LiveServer) -> int:
    """Let the main thread return while the server serves in a daemon thread."""
    server.say("exit")
    return server.wait()


def by_shutdown(server: LiveServer) -> int:
    """Call `server.shutdown()` from another thread."""
    server.say("shutdown")
    return server.wait()


def by_sigint(server: LiveServer) -> int:
    """Press Ctrl-C."""
    return server.stop(signal.SIGINT)


def by_sigterm(server: LiveServer) -> int:
    """Do as `docker stop` does."""
    return server.stop(signal.SIGTERM)


Way = Callable[[LiveServer], int]
WAYS: list[tuple[Way, tuple[str, ...]]] = [
    (by_exit, ("--serve-in", "daemon")),
    (by_shutdown, ()),
    (by_sigint, ()),
    (by_sigterm, ()),
]
ways = pytest.mark.parametrize(("way", "flags"), WAYS, ids=[way.__name__ for way, _ in WAYS])


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of a collector that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def refusing() -> str:
    """Return an address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@ways
@pytest.mark.parametrize("server", ["flask", "plain"])
def test_everything_is_told_before_the_end(
    start: Start, seen: Seen, server: str, way: Way, flags: tuple[str, ...]
) -> None:
    """Finished connections arrive, open ones end as `server_shutdown`; the status is the bare."""
    # An interval that never comes: only the exit can export.
    env = {"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_METRIC_EXPORT_INTERVAL": "60000"}
    bare = start("--server", server, *flags, "--install", "never")
    watched = start("--server", server, *flags, env=env)
    for running in (bare, watched):
        assert running.get("/").status == 200
    expected = way(bare)
    with watched.connect() as client:
        client.sendall(b"GET /unfinished HTTP/1.1\r\n")
        with watched.connect() as other:
            other.sendall(request_bytes("/", KEEP))
            read_response(other)
            assert way(watched) == expected
    outcomes = [s.attributes["tcpwatch.connection.outcome"] for s in seen.wait_connections(3)]
    assert outcomes[0] == "completed"
    assert outcomes.count("server_shutdown") >= 1
    assert len(seen.connections) == 3
    seen.wait_total("tcpwatch.connection.accepted", 3)


@pytest.mark.parametrize(
    ("way", "flags"),
    [*WAYS, *((way, ("--dispatch", "process")) for way in (by_sigint, by_sigterm))],
    ids=[*(way.__name__ for way, _ in WAYS), "forking_by_sigint", "forking_by_sigterm"],
)
def test_a_collector_that_is_not_there_delays_the_exit_little(
    start: Start, silent: str, refusing: str, way: Way, flags: tuple[str, ...]
) -> None:
    """With the collector silent or refusing the exit takes at most two seconds longer."""

    def seconds(server: LiveServer) -> tuple[float, int]:
        began = time.monotonic()
        status = way(server)
        return time.monotonic() - began, status

    collectors = ({"OTEL_EXPORTER_OTLP_ENDPOINT": collector} for collector in (silent, refusing))
    servers = [
        start(*flags, "--install", "never"),
        *(start(*flags, env=collector) for collector in collectors),
    ]
    for server in servers:
        for _ in range(3):
            assert server.get("/").body == b"hello"
    with ThreadPoolExecutor(len(servers)) as together:
        (bare, bare_status), *watched = together.map(seconds, servers)
    assert [status for _, status in watched] == [bare_status] * 2
    assert max(took for took, _ in watched) <= bare + GRACE


@pytest.mark.parametrize("dispatch", ["thread", "process"])
def test_a_collector_that_is_not_there_costs_one_line(
    start: Start, refusing: str, dispatch: str
) -> None:
    """Requests are answered as ever while nothing can be exported; one warning says so."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": refusing}
    server = start("--server", "plain", "--dispatch", dispatch, env=env)
    began = time.monotonic()
    for _ in range(50):
        with server.connect() as client:
            client.sendall(request_bytes("/"))
            assert read_response(client).status == 200
    assert time.monotonic() - began < 5
    server.wait_stderr("telemetry cannot be sent")
    by_sigterm(server)
    _, *lines = server.stderr.splitlines()
    assert len(lines) == 1, lines


@pytest.mark.parametrize("flags", [(), ("--serve-in", "daemon")], ids=["main", "daemon"])
def test_the_hosts_own_sigterm_handler_stays(
    start: Start, seen: Seen, flags: tuple[str, ...]
) -> None:
    """An application that handles SIGTERM goes on doing so, with its own exit status."""
    server = start("--own-sigterm", *flags)
    server.get("/")
    assert server.stop(signal.SIGTERM) == 3
    assert len(seen.wait_connections(1)) == 1
    assert "SIGTERM" in server.stderr


def test_a_connection_may_outlive_its_loop(start: Start, seen: Seen) -> None:
    """After `server.shutdown()` a connection that is still served is watched to its end."""
    server = start("--serve-in", "daemon", "--server", "plain")
    with server.connect() as client:
        client.sendall(request_bytes("/", KEEP))
        read_response(client)
        server.tell("shutdown")
        client.sendall(request_bytes("/again", KEEP))
        assert read_response(client).status == 200
        assert by_exit(server) == 0
    assert len(seen.wait_requests(2)) == 2
    (connection,) = seen.wait_connections(1)
    assert connection.attributes["tcpwatch.connection.outcome"] == "server_shutdown"
