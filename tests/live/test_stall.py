"""Stalls: while the loop is stuck and clients wait, one warning says so, and who does it."""

from __future__ import annotations

import time

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tcpwatch import names
from tcpwatch.view import decode
from tcpwatch.view.store import Store
from tcpwatch.view.viewer import Viewer
from tests.live.conftest import Start
from tests.live.harness import LiveServer
from tests.live.seen import Seen
from tests.live.wire import LIMIT, local_port, parse, read_all, request_bytes

STALL = {"TCPWATCH_STALL": "0.3"}


def warnings(server: LiveServer) -> list[str]:
    """Return the lines of ours after the one of install()."""
    return [line for line in server.stderr.splitlines() if "tcpwatch" in line][1:]


def test_a_stall_is_told_while_it_lasts(start: Start) -> None:
    """The warning names the blocker, its peer and phase, how many wait, and the loop's stack."""
    server = start("--dispatch", "inline", env=STALL)
    with server.connect() as first, server.connect() as second, server.connect() as third:
        first.sendall(request_bytes("/hold"))
        for client in (second, third):
            client.sendall(request_bytes("/"))
        server.wait_stderr("gate.py")
        told = server.stderr
        server.tell("release")
        assert parse(read_all(first)).body == b"released"
        assert f"127.0.0.1:{local_port(first)}" in told
        for client in (second, third):
            read_all(client)
    assert "inline" in told
    assert "app" in told
    assert "2 connection" in told
    assert told.count("gate.py") == 1


@pytest.mark.parametrize("dispatch", ["thread", "process"])
def test_a_stall_is_sent_to_where_logs_go(start: Start, certificate: str, dispatch: str) -> None:
    """With a plain install(), from the process that accepts or from the helper beside it."""
    with Store() as store, Viewer(store, port=0) as viewer:
        env = {
            **STALL,
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{viewer.address}/v1/logs",
        }
        server = start("--dispatch", dispatch, "--certificate", certificate, env=env)
        with server.raw(), server.raw():
            deadline = time.monotonic() + LIMIT
            while not (kept := store.read("SELECT body FROM logs")):
                assert time.monotonic() < deadline, server.stderr
                time.sleep(0.02)  # another process' export cannot be waited for
    record = LogRecord.FromString(kept[0][0])
    told = decode.attributes(record.attributes)
    assert told[names.STALL_STATE] == names.STALL_STUCK
    assert told[names.BLOCKED_BY_ACTIVITY] == names.LOOP_TLS_HANDSHAKE
    assert told[names.ACCEPT_QUEUE_DEPTH] == 1
    assert told[names.SERVER_ADDRESS] == "127.0.0.1"


def test_the_end_of_a_stall_is_told(start: Start) -> None:
    """When the loop comes back, one line says so."""
    server = start("--dispatch", "inline", env=STALL)
    with server.connect() as first, server.connect() as second:
        first.sendall(request_bytes("/hold"))
        second.sendall(request_bytes("/"))
        server.wait_stderr("gate.py")
        before = server.stderr
        server.tell("release")
        read_all(second)
        server.wait_stderr_growth(before)
    after = server.stderr[len(before) :]
    assert "tcpwatch" in after or "accept" in after
    assert "gate.py" not in after


def test_the_stack_of_a_stall_is_the_servers_alone(start: Start) -> None:
    """A client that sends half of a head: the loop's thread is inside a read that we watch."""
    server = start("--dispatch", "inline", env=STALL)
    with server.connect() as first, server.connect() as second:
        first.sendall(b"GET / HT")
        second.sendall(request_bytes("/"))
        server.wait_stderr("readinto")
    assert "socket.py" in server.stderr
    assert not any("tcpwatch/patches" in line for line in server.stderr.splitlines())
    assert "tcpwatch wrapper" not in server.stderr


def test_a_stall_before_the_first_accept_is_told(start: Start, certificate: str) -> None:
    """The very first connection may be the one that stalls: a TLS client that says nothing."""
    server = start("--certificate", certificate, env=STALL)
    with server.raw(), server.raw():
        server.wait_stderr("tls_handshake")
        assert "do_handshake" in server.stderr


@pytest.mark.parametrize("dispatch", ["inline", "thread"])
def test_a_slow_view_without_a_queue_is_no_stall(start: Start, seen: Seen, dispatch: str) -> None:
    """Nobody waits, so nobody is warned; nor does a handler outside of the loop stall it."""
    server = start("--dispatch", dispatch, env=STALL)
    server.get("/slow?s=0.8")
    seen.wait_connections(1)
    assert warnings(server) == []
