"""Listeners of every kind: several at once, shared, inherited, abstract, IPv6 with and without."""

from __future__ import annotations

import http.server
import os
import socket
import socketserver
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from werkzeug.serving import make_server

from tests.apps.handlers import Echo, Plain
from tests.hard.apps_a_watch import LIMIT, serving, watching
from tests.live.wire import parse, read_all, request_bytes

ACCEPTED = "tcpwatch.connection.accepted"


class Threaded(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """A threaded server that waits for its threads at its end."""


class Shared(Threaded):
    """A server that lets others listen on its port."""

    def server_bind(self) -> None:
        """Share the port."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()


class Six(Threaded):
    """A server on IPv6."""

    address_family = socket.AF_INET6


class Dual(Six):
    """A server on IPv6 that takes IPv4 too."""

    def server_bind(self) -> None:
        """Take both."""
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def get(
    address: Any, family: int = socket.AF_INET, headers: Mapping[str, str] | None = None
) -> int:
    """Do one request and return the status."""
    with socket.socket(family) as client:
        client.settimeout(LIMIT)
        client.connect(address)
        client.sendall(request_bytes("/", headers))
        return parse(read_all(client)).status


def facts(span: ReadableSpan) -> Mapping[str, Any]:
    """Return the attributes of a span."""
    return span.attributes or {}


def test_two_servers_of_one_process_are_told_apart() -> None:
    """Each has its own port on its spans and its own series."""
    with watching() as watch, ExitStack() as running:
        servers = [Threaded(("127.0.0.1", 0), Plain), Threaded(("127.0.0.1", 0), Plain)]
        one, two = (running.enter_context(serving(server)) for server in servers)
        assert [get(address) for address in (one, two, two)] == [200] * 3
        assert watch.metric(ACCEPTED, "server.port") == {one[1]: 1, two[1]: 2}
        ports = [facts(span)["server.port"] for span in watch.connections]
        assert sorted(ports) == sorted([one[1], two[1], two[1]])
        assert 0 not in ports


def test_two_servers_can_be_configured_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two ports is left out; the other is told."""
    quiet, told = Threaded(("127.0.0.1", 0), Plain), Threaded(("127.0.0.1", 0), Plain)
    monkeypatch.setenv("TCPWATCH_EXCLUDE", str(quiet.server_address[1]))
    with watching() as watch, serving(quiet) as first, serving(told) as second:
        assert get(first) == get(second) == 200
        assert watch.metric(ACCEPTED, "server.port") == {second[1]: 1}
        assert len(watch.connections) == len(watch.requests) == 1


def test_servers_that_share_a_port_are_one_series() -> None:
    """With SO_REUSEPORT two loops serve one address; their counts are added, nothing is lost."""
    with watching() as watch, ExitStack() as running:
        first = Shared(("127.0.0.1", 0), Plain)
        second = Shared(first.server_address[:2], Plain)
        running.enter_context(serving(first))
        address = running.enter_context(serving(second))
        assert [get(address) for _ in range(40)] == [200] * 40
        assert watch.metric(ACCEPTED, "server.port") == {address[1]: 40}
        assert len(watch.connections) == len(watch.requests) == 40
        assert not any(watch.metric("tcpwatch.connection.active").values())


def test_a_port_can_be_used_again_by_another_server() -> None:
    """A server that follows on the port of one that has gone continues its series."""
    with watching() as watch:
        first = Threaded(("127.0.0.1", 0), Plain)
        with serving(first) as address:
            get(address)
        with serving(Threaded(address, Plain)):
            get(address)
        assert watch.metric(ACCEPTED, "server.port") == {address[1]: 2}


def test_an_abstract_unix_socket() -> None:
    """Its name is spelt with an @ as `ss` does, and what TCP alone has is absent."""
    name = f"\0tcpwatch-{os.getpid()}"
    with watching() as watch, serving(socketserver.ThreadingUnixStreamServer(name, Echo)):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(LIMIT)
            client.connect(name)
            client.sendall(b"hello\n")
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"hello\n"
        (span,) = watch.connections
    found = facts(span)
    assert span.name == "unix.connection"
    assert found["server.address"] == "@" + name[1:]
    assert found["network.transport"] == "unix"
    assert found["tcpwatch.connection.outcome"] == "completed"
    absent = ("network.type", "server.port", "network.peer.port", "tcpwatch.phase.accept_queue")
    assert not set(absent) & set(found)
    assert not [key for key in found if key.startswith("tcpwatch.tcp.")]


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_a_unix_client_names_itself_as_it_likes(tmp_path: Path, kind: str) -> None:
    """Bytes that are no UTF-8 are replaced: an exporter would lose its whole batch over them."""
    name = str(tmp_path / "server")
    own = bytes(tmp_path) + b"/\xff\xed\xa0\x80" if kind == "path" else b"\0\xff\xed\xa0\x80"
    with watching() as watch, serving(socketserver.ThreadingUnixStreamServer(name, Plain)):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(LIMIT)
            client.bind(own)
            client.connect(name)
            client.sendall(request_bytes("/"))
            assert parse(read_all(client)).status == 200
        (span,) = watch.connections
        told = watch.spans
    assert str(facts(span)["network.peer.address"]).endswith("\N{REPLACEMENT CHARACTER}")
    encode_spans(told).SerializeToString()


def test_a_unix_server_is_at_any_path(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are replaced in its name, too: it is on all metrics."""
    name = bytes(tmp_path) + b"/\xff\xed\xa0\x80"
    server = socketserver.ThreadingUnixStreamServer(os.fsdecode(name), Plain)
    with watching() as watch, serving(server), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(LIMIT)
        client.connect(name)
        client.sendall(request_bytes("/"))
        assert parse(read_all(client)).status == 200
        (span,) = watch.connections
        told = watch.spans
        (counted,) = watch.metric(ACCEPTED, "server.address")
    spelt = f"{tmp_path}/" + "\N{REPLACEMENT CHARACTER}" * 4
    assert counted == facts(span)["server.address"] == spelt
    encode_spans(told).SerializeToString()


def test_ipv6_has_its_own_type() -> None:
    """On ::1 addresses are spelt as IPv6 spells them."""
    with watching() as watch, serving(Six(("::1", 0), Plain)) as address:
        assert get(address, socket.AF_INET6) == 200
        (span,) = watch.connections
    found = facts(span)
    assert found["network.type"] == "ipv6"
    assert found["network.peer.address"] == found["network.local.address"] == "::1"


def test_a_dual_stack_listener_serves_ipv4() -> None:
    """A client of IPv4 on a listener of IPv6 is named as the kernel names it there."""
    with watching() as watch, serving(Dual(("::ffff:127.0.0.1", 0), Plain)) as address:
        assert get(("127.0.0.1", address[1])) == 200
        (span,) = watch.connections
        (accepted,) = watch.metric(ACCEPTED, "network.type").items()
    assert facts(span)["network.peer.address"] == "::ffff:127.0.0.1"
    assert facts(span)["network.type"] == accepted[0] == "ipv6"


def link_local() -> tuple[str, int] | None:
    """Return an address of this machine that needs a scope, with its scope."""
    table = Path("/proc/net/if_inet6")
    for line in table.read_text().splitlines() if table.exists() else ():
        raw, index, _, scope, flags, _ = line.split()
        if scope == "20" and not int(flags, 16) & 0x40:
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(raw)), int(index, 16)
    return None


def test_a_scoped_ipv6_address_is_told_as_python_spells_it() -> None:
    """A link-local address is served and told; its scope is not part of its name."""
    found = link_local()
    if found is None:
        pytest.skip("this machine has no link-local address")
    host, index = found
    with watching() as watch, serving(Six((host, 0, 0, index), Plain)) as address:
        assert get((host, address[1], 0, index), socket.AF_INET6) == 200
        (span,) = watch.connections
    names = ("network.peer.address", "network.local.address", "server.address")
    assert {facts(span)[name] for name in names} == {host}


def test_an_inherited_listening_socket() -> None:
    """With werkzeug's `fd=` a client that was queued before the server existed is told too."""

    def hello(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [])
        return [b"hello"]

    with watching() as watch, socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname(), LIMIT) as early:
            early.sendall(request_bytes("/"))
            server = make_server("127.0.0.1", 0, hello, threaded=True, fd=listener.fileno())
            with serving(server) as address:
                assert read_all(early).endswith(b"hello\r\n0\r\n\r\n")
                assert get(address) == 200
        one, two = watch.connections
        assert facts(one)["server.port"] == facts(two)["server.port"] == address[1]


def test_a_server_given_its_socket_later() -> None:
    """A listener that replaces the one that the server has made is the one that is watched."""
    with watching() as watch, socket.create_server(("127.0.0.1", 0)) as listener:
        server = Threaded(("127.0.0.1", 0), Plain, bind_and_activate=False)
        server.socket.close()
        server.socket = listener
        server.server_address = listener.getsockname()
        with serving(server) as address:
            assert get(address) == 200
        (span,) = watch.connections
        assert facts(span)["server.port"] == address[1]
        assert facts(span)["tcpwatch.accept_queue.limit"] >= 1
