"""Request spans: the stable HTTP convention, in the caller's trace, around the application."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.conftest import Start
from tests.live.seen import Seen, links, number, phases
from tests.live.wire import local_port, request_bytes

TRACE_ID, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE_ID}-{CALLER}-01"}
NOT_SAMPLED = {"traceparent": f"00-{TRACE_ID}-{CALLER}-00"}


@pytest.mark.parametrize("server", ["flask", "plain", "wsgiref"])
def test_a_request_without_a_caller_is_in_its_connections_trace(
    start: Start, seen: Seen, server: str
) -> None:
    """Without a traceparent the request's parent is the connection span."""
    start("--server", server).get("/")
    (connection,), (request,) = seen.wait_connections(1), seen.wait_requests(1)
    assert request.parent_span_id == connection.span_id
    assert request.trace_id == connection.trace_id
    assert (
        request.attributes["tcpwatch.connection.id"]
        == connection.attributes["tcpwatch.connection.id"]
    )


@pytest.mark.parametrize("server", ["flask", "plain", "wsgiref"])
def test_a_request_with_a_caller_is_in_the_callers_trace(
    start: Start, seen: Seen, server: str
) -> None:
    """With a traceparent the request's parent is the caller, and a link leads to the connection."""
    start("--server", server).get("/", TRACEPARENT)
    (connection,), (request,) = seen.wait_connections(1), seen.wait_requests(1)
    assert (request.trace_id, request.parent_span_id) == (TRACE_ID, CALLER)
    assert links(request) == {connection.span_id}
    assert connection.trace_id != TRACE_ID
    assert connection.parent_span_id == ""


@pytest.mark.parametrize("dispatch", ["inline", "thread", "process"])
def test_the_applications_spans_are_children_of_the_request(
    start: Start, seen: Seen, dispatch: str
) -> None:
    """The request span is current around the view, and only there."""
    server = start("--dispatch", dispatch)
    told = [server.get("/child").json for _ in range(2)]
    requests = seen.wait_requests(2)

    def own(now: Seen) -> list[str]:
        return [s.parent_span_id for s in now.recording.spans if s.name == "own work"]

    seen.wait("the application's own spans", lambda now: len(own(now)) == 2)
    assert {(r.trace_id, r.span_id) for r in requests} == {
        (answer["trace_id"], answer["span_id"]) for answer in told
    }
    assert set(own(seen)) == {request.span_id for request in requests}


def test_a_request_span_follows_the_convention(start: Start, seen: Seen) -> None:
    """A Flask request has its route, method, URL, status, version, client and server."""
    server = start()
    with server.connect() as client:
        port = local_port(client)
        client.sendall(request_bytes("/item/7?a=b", {"User-Agent": "me", "Host": "shop.test:81"}))
        client.recv(1000)
    request = seen.request_of(port)
    told = request.attributes
    assert request.name == "GET /item/<int:number>"
    assert (request.kind, request.status) == ("SERVER", "UNSET")
    expected = {
        "http.request.method": "GET",
        "http.route": "/item/<int:number>",
        "http.response.status_code": 200,
        "url.path": "/item/7",
        "url.query": "a=b",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "network.peer.address": "127.0.0.1",
        "network.peer.port": port,
        "client.address": "127.0.0.1",
        "server.address": "shop.test",
        "server.port": 81,
        "user_agent.original": "me",
        "tcpwatch.request.sequence": 1,
    }
    assert {name: told.get(name) for name in expected} == expected
    assert str(told["code.function.name"]).endswith(".item")
    source = Path(str(told["code.file.path"])).read_text().splitlines()
    assert source[int(str(told["code.line.number"]))].strip().startswith("def item(")
    assert "error.type" not in told
    assert {"accept_queue", "dispatch", "read_head", "app"} <= set(phases(request))


def test_a_view_that_raises_is_an_error(start: Start, seen: Seen) -> None:
    """An exception of the view is the request's error.type; the connection itself did not fail."""
    assert start().get("/boom").status == 500
    (request,), (connection,) = seen.wait_requests(1), seen.wait_connections(1)
    assert request.attributes["http.response.status_code"] == 500
    assert request.attributes["error.type"] == "RuntimeError"
    assert request.status == "ERROR"
    assert request.attributes["http.route"] == "/boom"
    assert connection.attributes["tcpwatch.connection.outcome"] == "completed"


@pytest.mark.parametrize(("code", "status"), [(404, "UNSET"), (503, "ERROR")])
def test_a_status_is_an_error_from_500_on(start: Start, seen: Seen, code: int, status: str) -> None:
    """A 4xx leaves the span's status alone, a 5xx sets it with error.type."""
    start().get(f"/status/{code}")
    (request,) = seen.wait_requests(1)
    assert request.attributes["http.response.status_code"] == code
    assert request.status == status
    assert request.attributes.get("error.type") == ("503" if status == "ERROR" else None)


def test_a_stream_that_raises_is_an_error(start: Start, seen: Seen) -> None:
    """An exception in mid-stream is the request's, although its status was 200."""
    start().get("/stream/boom")
    (request,) = seen.wait_requests(1)
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["error.type"] == "RuntimeError"
    assert request.status == "ERROR"


def test_a_handler_that_raises_is_a_handler_error(start: Start, seen: Seen) -> None:
    """An exception out of an http.server handler is the request's and the connection's."""
    start("--server", "plain").exchange(request_bytes("/boom"))
    (request,), (connection,) = seen.wait_requests(1), seen.wait_connections(1)
    for span in (request, connection):
        assert span.attributes["error.type"] == "RuntimeError"
        assert span.status == "ERROR"
    assert connection.attributes["tcpwatch.connection.outcome"] == "handler_error"
    assert "http.response.status_code" not in request.attributes


def test_an_unknown_method_has_no_name_of_its_own(start: Start, seen: Seen) -> None:
    """A method that the convention does not know is _OTHER, with the original beside it."""
    server = start()
    server.exchange(request_bytes("/", method="FROBNICATE"))
    (request,) = seen.wait_requests(1)
    assert request.name.split()[0] == "HTTP"
    assert request.attributes["http.request.method"] == "_OTHER"
    assert request.attributes["http.request.method_original"] == "FROBNICATE"
    seen.wait("the metric", lambda now: now.total("http.server.request.duration") == 1)
    (point,) = seen.points("http.server.request.duration")
    assert point.attributes["http.request.method"] == "_OTHER"


def test_secrets_in_a_query_are_redacted(start: Start, seen: Seen) -> None:
    """Parameters that the convention calls secret lose their value."""
    start().get("/?a=b&sig=secret&Signature=secret")
    (request,) = seen.wait_requests(1)
    assert "a=b" in str(request.attributes["url.query"])
    assert "secret" not in str(request.attributes["url.query"])


def test_a_query_can_be_left_out(start: Start, seen: Seen) -> None:
    """With TCPWATCH_URL_QUERY=off no span has a query."""
    start(env={"TCPWATCH_URL_QUERY": "off"}).get("/?a=b")
    (request,) = seen.wait_requests(1)
    assert "url.query" not in request.attributes


@pytest.mark.parametrize("instrument", ["flask", "wsgi"])
@pytest.mark.parametrize("caller", [{}, TRACEPARENT], ids=["root", "called"])
def test_opentelemetrys_own_instrumentation_has_the_word(
    start: Start, seen: Seen, instrument: str, caller: dict[str, str]
) -> None:
    """Where OpenTelemetry instruments the application, its span is the one SERVER span."""
    server = start("--instrument", instrument)
    for _ in range(5):
        server.get("/item/7", caller)
    seen.wait_connections(5)
    seen.wait_requests(5)
    server.flush()
    theirs = [s for s in seen.requests if s.scope.startswith("opentelemetry.instrumentation")]
    assert len(theirs) == 5
    # The middleware is not seen before its first span; from the second request on it is known.
    assert len(seen.requests) <= (5 if instrument == "flask" else 6)
    connections = {c.attributes["tcpwatch.connection.id"]: c for c in seen.connections}
    for span in theirs[1:]:
        connection = connections[span.attributes["tcpwatch.connection.id"]]
        assert connection.span_id in links(span) | {span.parent_span_id}
        assert span.trace_id == (TRACE_ID if caller else span.trace_id)
    ours = [p for p in seen.points("http.server.request.duration") if p.scope == "tcpwatch"]
    assert sum(point.count for point in ours) <= 1


def test_an_unsampled_trace_exports_nothing_healthy(start: Start, seen: Seen) -> None:
    """With every sampling decision a no, only what failed or was slow is kept, whole."""
    server = start(env={"OTEL_TRACES_SAMPLER": "always_off", "TCPWATCH_SLOW": "0.2"})
    for path in ("/", "/boom", "/slow?s=0.25", "/"):
        server.get(path)
    seen.wait("the metric", lambda now: now.total("tcpwatch.connection.duration") == 4)
    server.flush()
    kept = [span.attributes["tcpwatch.kept.reason"] for span in seen.connections]
    assert kept == ["failed", "slow"]
    assert [span.attributes["url.path"] for span in seen.requests] == ["/boom", "/slow"]
    seen.wait("the counter", lambda now: now.total("tcpwatch.connection.kept") == 2)
    for request, connection in zip(seen.requests, seen.connections, strict=True):
        assert request.parent_span_id == connection.span_id


def test_a_callers_no_stays_a_no(start: Start, seen: Seen) -> None:
    """A request in a trace that its caller did not sample is not exported."""
    server = start()
    server.get("/boom", NOT_SAMPLED)
    server.get("/")
    (request,) = seen.wait_requests(1)
    server.flush()
    assert request.trace_id != TRACE_ID
    assert not [span for span in seen.recording.spans if span.trace_id == TRACE_ID]
    assert number(request, "tcpwatch.request.sequence") == 1
