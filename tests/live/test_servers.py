"""Servers: whatever is built on socketserver is watched, as it is, and UDP is left alone."""

from __future__ import annotations

import socket
import xmlrpc.client

import pytest

from tests.live.conftest import Start
from tests.live.seen import Seen, links
from tests.live.wire import local_port, read_all, read_response, request_bytes

KEEP = {"Connection": "keep-alive"}
DISPATCH = pytest.mark.parametrize("dispatch", ["inline", "thread", "process"])
OVERRIDING = {
    "GetRequestSuper": "thread",
    "GetRequestOwn": "thread",
    "ProcessRequestSuper": "thread",
    "ProcessRequestOwn": "thread",
    "VerifyRequestOwn": "thread",
    "VerifyRequestSuper": "thread",
}
N = 7


@pytest.mark.parametrize(("override", "dispatch"), OVERRIDING.items())
def test_overriding_servers_are_watched(
    start: Start, seen: Seen, override: str, dispatch: str
) -> None:
    """Overriding a method, with or without `super()`, loses and doubles nothing."""
    server = start("--server", "overriding", "--override", override)
    for number in range(N):
        assert server.get(f"/{number}").body == b"/%d" % number
    connections, requests = seen.wait_connections(N), seen.wait_requests(N)
    server.flush()
    assert len(seen.connections) == len(seen.requests) == N
    assert [span.attributes["url.path"] for span in requests] == [f"/{n}" for n in range(N)]
    for connection in connections:
        told = connection.attributes
        assert told["tcpwatch.server.class"] == f"tests.apps.overriding.{override}"
        assert told["tcpwatch.dispatch"] == dispatch
        assert told["tcpwatch.connection.outcome"] == "completed"
        assert "tcpwatch.phase.accept_queue" in told
    seen.wait_total("tcpwatch.connection.accepted", N)
    seen.wait_total("tcpwatch.connection.active", 0)
    server.wait_connections(lambda found: not found)


@DISPATCH
@pytest.mark.parametrize("family", ["ipv4", "ipv6", "unix"])
def test_a_bare_stream_server(
    start: Start, seen: Seen, socket_path: str, dispatch: str, family: str
) -> None:
    """A socketserver with a protocol of its own has connections and no requests."""
    where = ("--path", socket_path) if family == "unix" else ()
    server = start("--server", "echo", "--dispatch", dispatch, "--family", family, *where)
    for _ in range(N):
        with server.connect() as client:
            client.sendall(b"one\n")
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"one\n"
    connections = seen.wait_connections(N)
    server.flush()
    assert len(seen.connections) == N
    assert not seen.requests
    name = "unix.connection" if family == "unix" else "tcp.connection"
    assert {span.name for span in connections} == {name}
    for connection in connections:
        told = connection.attributes
        assert told["tcpwatch.connection.outcome"] == "completed"
        assert told["tcpwatch.connection.requests"] == 0
        assert told["tcpwatch.dispatch"] == dispatch
        # What a Unix socket does not give is absent, not 0.
        assert ("tcpwatch.phase.accept_queue" in told) == (family != "unix")
        assert ("tcpwatch.tcp.rtt" in told) == (family != "unix")
        assert ("network.peer.port" in told) == (family != "unix")
        assert ("tcpwatch.accept_queue.depth" in told) == (family != "unix")


@DISPATCH
def test_wsgiref(start: Start, seen: Seen, dispatch: str) -> None:
    """Requests of wsgiref's server are spans with their status; a failing application is a 500."""
    server = start("--server", "wsgiref", "--dispatch", dispatch)
    assert server.get("/a?b=c").body == b"/a"
    assert server.post("/upload", b"x" * 10).body == b"10"
    assert server.get("/boom").status == 500
    assert len(seen.wait_connections(3)) == 3
    requests = seen.wait_requests(3)
    told = [
        (span.name, span.attributes["url.path"], span.attributes["http.response.status_code"])
        for span in requests
    ]
    assert told == [("GET", "/a", 200), ("POST", "/upload", 200), ("GET", "/boom", 500)]
    assert requests[2].attributes["error.type"] == "RuntimeError"
    assert requests[2].status == "ERROR"


def test_xmlrpc(start: Start, seen: Seen) -> None:
    """Calls of the XML-RPC server are POST requests, each on a connection of its own (HTTP/1.0)."""
    server = start("--server", "xmlrpc")
    host, port = server.address
    with xmlrpc.client.ServerProxy(f"http://{host}:{port}") as proxy:
        assert [proxy.double(n) for n in range(3)] == [0, 2, 4]
    requests = seen.wait_requests(3)
    assert {span.name for span in requests} == {"POST"}
    assert {span.parent_span_id for span in requests} == {
        span.span_id for span in seen.wait_connections(3)
    }


@DISPATCH
def test_keep_alive_requests_have_their_own_contexts(
    start: Start, seen: Seen, dispatch: str
) -> None:
    """Requests of one connection come from different callers, and stay in their traces."""
    server = start("--server", "plain", "--dispatch", dispatch)
    callers = [f"{number:032x}" for number in range(1, 4)]
    with server.connect() as client:
        for trace_id in callers:
            parent = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
            client.sendall(request_bytes("/child", KEEP | parent))
            read_response(client)
        client.sendall(request_bytes("/child", KEEP))
        read_response(client)
    (connection,) = seen.wait_connections(1)
    requests = seen.wait_requests(4)
    assert [span.trace_id for span in requests[:3]] == callers
    assert requests[3].trace_id == connection.trace_id
    assert all(connection.span_id in links(span) for span in requests[:3])
    own = {span.parent_span_id for span in seen.recording.spans if span.name == "own work"}
    assert own == {span.span_id for span in requests}


def test_pipelined_requests_are_two(start: Start, seen: Seen) -> None:
    """Two requests sent at once are answered and told one after the other."""
    server = start("--server", "plain")
    with server.connect() as client:
        client.sendall(request_bytes("/a", KEEP) + request_bytes("/b"))
        assert read_all(client).count(b" 200 OK") == 2
    first, second = seen.wait_requests(2)
    assert [first.attributes["url.path"], second.attributes["url.path"]] == ["/a", "/b"]
    assert first.end_ns <= second.start_ns


def test_udp_is_left_alone(start: Start, seen: Seen) -> None:
    """A UDP server works as ever and has no connections."""
    server = start("--server", "udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(b"x", tuple(server.address))
        assert client.recv(10) == b"x"
    server.flush()
    assert server.connections() == []
    assert not seen.recording.spans
    assert not seen.total("tcpwatch.connection.accepted")


@pytest.mark.parametrize(
    "env",
    [
        {"TCPWATCH_EXCLUDE": "http.server.HTTPServer"},
        {"TCPWATCH_INCLUDE": "werkzeug.serving.BaseWSGIServer"},
    ],
    ids=["excluded", "not included"],
)
def test_a_server_can_be_left_out(start: Start, seen: Seen, env: dict[str, str]) -> None:
    """A server that is excluded, or not included, is served as ever and not told."""
    server = start("--server", "plain", env=env)
    assert server.get("/").status == 200
    server.flush()
    assert not seen.recording.spans


@pytest.mark.parametrize("traces", ["otlp", "none"])
def test_an_open_connection_is_in_the_snapshot(start: Start, traces: str) -> None:
    """`connections()` tells id, peer, phase, ages and counts of what is open now."""
    server = start("--server", "plain", env={"OTEL_TRACES_EXPORTER": traces})
    with server.connect() as client:
        client.sendall(request_bytes("/", KEEP))
        read_response(client)
        client.sendall(request_bytes("/hold", KEEP))
        (one,) = server.wait_connections(lambda found: bool(found) and found[0]["phase"] == "app")
        assert one["peer"] == ["127.0.0.1", local_port(client)]
        assert int(one["id"], 16) > 0
        assert one["dispatch"] == "thread"
        assert one["requests"] == 2
        assert 0 <= one["phase_age"] <= one["age"] < 10
        server.tell("release")
        read_response(client)
    assert server.wait_connections(lambda found: not found) == []


@pytest.mark.parametrize("traces", ["otlp", "none"])
@pytest.mark.parametrize("dispatch", ["inline", "process"])
def test_who_is_in_a_handshake_is_known_by_its_id(
    start: Start, certificate: str, traces: str, dispatch: str
) -> None:
    """A silent client inside accept() holds the loop: `ss -e` finds it by the kernel's id."""
    env = {"OTEL_TRACES_EXPORTER": traces, "TCPWATCH_STALL": "0.3"}
    server = start("--dispatch", dispatch, "--certificate", certificate, env=env)
    with server.raw() as client, server.raw():
        server.wait_stderr("TLS handshake")
        (one,) = server.connections()
        assert one["phase"] == "tls_handshake"
        assert one["peer"] == ["127.0.0.1", local_port(client)]
        assert int(one["id"], 16) > 0
