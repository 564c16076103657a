"""The viewer's door: who may ask, what the page is told, and what it costs a stranger to lie."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tcpwatch import names
from tcpwatch.view.store import Store, StoreError
from tcpwatch.view.store.files import write_lines
from tcpwatch.view.viewer import Viewer
from tests.view.telemetry import Server, blocked

PAGES = ("/", "/page/main.js", "/page/style/base.css", "/page/views/loop.js", "/charts.js")


def ask(
    viewer: Viewer, path: str, method: str = "GET", body: bytes = b"", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(urlsplit(viewer.address).netloc, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body or None, named)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response, answer


def told(viewer: Viewer, path: str) -> Any:
    response, answer = ask(viewer, path)
    assert response.status == 200, answer
    return json.loads(answer)


@pytest.mark.parametrize("path", PAGES)
def test_the_page_is_served_with_a_strict_policy(viewer: Viewer, path: str) -> None:
    """Scripts and styles from this server only, no frame around it, no guessing of types."""
    response, body = ask(viewer, path)
    assert response.status == 200
    assert body
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_refers_to_nothing_elsewhere(viewer: Viewer) -> None:
    """No network access beyond its own port."""
    _, page = ask(viewer, "/")
    assert b"://" not in page


@pytest.mark.parametrize("path", ["/page/../viewer.py", "/page/%2e%2e/viewer.py", "/page/nothing"])
def test_nothing_but_the_page_s_files_is_served(viewer: Viewer, path: str) -> None:
    """No path leads out of its folder."""
    assert ask(viewer, path)[0].status == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:4318", 200),
        ("127.0.0.1", 200),
        ("[::1]:4318", 200),
        ("evil.example:4318", 421),
        ("10.0.0.1", 421),
        ("", 421),
        ("localhost.evil.example", 421),
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/state", "/v1/traces"])
def test_a_foreign_host_is_refused(viewer: Viewer, path: str, host: str, status: int) -> None:
    """A page elsewhere whose name resolves to this machine cannot read or write."""
    method = "POST" if path == "/v1/traces" else "GET"
    response, _ = ask(viewer, path, method, Host=host, Content_Type="application/x-protobuf")
    assert response.status == status


def test_a_name_that_was_allowed_is_answered(store: Store) -> None:
    """Such as a machine's own name, when the viewer listens for others."""
    with Viewer(store, port=0, hosts=["Monitor.example"]) as viewer:
        assert ask(viewer, "/api/state", Host="monitor.example:80")[0].status == 200


@pytest.mark.parametrize(("origin", "status"), [("http://evil.example", 403), ("null", 403)])
def test_a_page_of_another_origin_is_refused(viewer: Viewer, origin: str, status: int) -> None:
    """It can send, although it cannot read."""
    assert ask(viewer, "/api/state", Origin=origin)[0].status == status
    assert ask(viewer, "/api/state", Origin=viewer.address)[0].status == 200


def test_an_empty_store_has_answers(viewer: Viewer) -> None:
    """The page of a viewer that was just started."""
    assert told(viewer, "/api/state")["servers"] == []
    assert told(viewer, "/api/findings")["sentences"] == []
    assert told(viewer, "/api/overview")["connections"] == 0
    assert len(told(viewer, "/api/learn")["phases"]) == len(names.PHASES)


def test_the_loop_shows_who_was_blocked_by_whom(viewer: Viewer, shop: Server) -> None:
    """Rows with their bars, the loop's times, the queue's depth."""
    blocked(shop)
    picture = told(viewer, "/api/loop?server=0&begin=99&end=103")
    holder, victim = picture["rows"]
    assert (holder[5], victim[5]) == ("client A", "client B")
    assert victim[12] == holder[0]
    assert victim[13][:3] == [0, 1.1, 2.0]
    assert picture["holds"][0][2:] == ["inline", holder[0]]
    assert [1.1, 1] in picture["waiting"]
    assert (picture["total"], picture["room"]) == (2, 16)


def test_a_window_with_more_rows_than_asked_for_has_the_longest(
    viewer: Viewer, shop: Server
) -> None:
    """And says how many there are."""
    for number in range(1, 21):
        shop.connection(number, {names.APP: number / 10})
    picture = told(viewer, "/api/loop?server=0&begin=99&end=103&most=3")
    assert picture["total"] == 20
    assert sorted(int(row[0], 16) for row in picture["rows"]) == [18, 19, 20]


def test_a_connection_is_told_with_its_blocker_and_the_blocker_with_its_victims(
    viewer: Viewer, shop: Server
) -> None:
    """From either, the other is one click away."""
    blocked(shop)
    victim = told(viewer, f"/api/connection/{2:016x}")
    assert victim["blocker"]["id"] == f"{1:016x}"
    assert victim["blocker"]["who"].startswith("client A at ")
    holder = told(viewer, f"/api/connection/{1:016x}")
    assert [one["id"] for one in holder["victims"]] == [f"{2:016x}"]


def test_a_phase_without_a_span_is_where_it_always_is_in_its_server(
    viewer: Viewer, shop: Server
) -> None:
    """It was too short to be told when; the same phase of another connection knows the place."""
    shop.connection(1, {names.DISPATCH: 0.0001, names.APP: 2.0})
    shop.phase(1, names.APP, 2.0, "App.wsgi_app")
    shop.connection(2, {names.DISPATCH: 0.1})
    shop.phase(2, names.DISPATCH, 0.1, "Server.process_request")
    Server(viewer.store, "elsewhere").connection(3, {names.DISPATCH: 0.0001})

    one = told(viewer, f"/api/connection/{1:016x}")
    assert [(bar["phase"], bar["code"]["function"]) for bar in one["bars"]] == [
        (names.APP, "App.wsgi_app")
    ]
    (short,) = one["short"]
    assert (short["phase"], short["seconds"]) == (names.DISPATCH, 0.0001)
    assert short["code"] == {"function": "Server.process_request", "file": "serving.py", "line": 7}
    (bar,) = told(viewer, f"/api/connection/{3:016x}")["bars"]
    assert bar["code"] is None


def test_learn_s_lines_of_code_are_those_of_the_server_that_is_looked_at(
    viewer: Viewer, shop: Server
) -> None:
    """A server with one thread dispatches elsewhere than one with many."""
    shop.connection(1, {names.DISPATCH: 0.1})
    shop.phase(1, names.DISPATCH, 0.1, "BaseServer.process_request")
    other = Server(viewer.store, "elsewhere")
    other.connection(2, {names.DISPATCH: 0.1})
    other.phase(2, names.DISPATCH, 0.1, "ThreadingMixIn.process_request")

    def dispatch(query: str) -> str:
        lessons = {one["phase"]: one for one in told(viewer, f"/api/learn{query}")["phases"]}
        return str(lessons[names.DISPATCH]["code"]["function"])

    assert dispatch("?server=0") == "BaseServer.process_request"
    assert dispatch("?server=1") == "ThreadingMixIn.process_request"
    assert dispatch("") == "ThreadingMixIn.process_request"


def test_the_client_that_read_slowly_is_told_in_words(viewer: Viewer, shop: Server) -> None:
    """What the kernel counted, for someone who does not know rwnd."""
    shop.connection(1, {names.RESPOND: 2.4}, tcp__busy=2.4, tcp__rwnd_limited=2.1)
    assert (
        "The client read slowly: 2.10 s of the 2.40 s that there was something to send, its "
        "receive window was closed." in told(viewer, f"/api/connection/{1:016x}")["facts"]
    )


@pytest.mark.parametrize("name", ["0", "zzz", "f" * 40, "-1", "%2e%2e"])
def test_a_connection_that_is_not_there_is_404(viewer: Viewer, name: str) -> None:
    """Whatever stands in its place."""
    response, body = ask(viewer, f"/api/connection/{name}")
    assert response.status == 404
    assert "had to leave for newer ones" in json.loads(body)["message"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "server=0",
        "server=x&begin=1&end=2",
        "server=0&begin=2&end=1",
        "server=0&begin=nan&end=2",
        "server=0&begin=-1e300&end=1e300",
        "server=1e400&begin=1&end=2",
    ],
)
def test_a_window_that_is_none_is_400(viewer: Viewer, query: str) -> None:
    """Not a traceback, not an endless query."""
    assert ask(viewer, f"/api/loop?{query}")[0].status == 400


def test_filters_choose_connections(viewer: Viewer, shop: Server) -> None:
    """By route, outcome, shortest wait, peer and time; text is never part of a statement."""
    blocked(shop)
    shop.connection(3, {names.APP: 0.1}, outcome=names.HANDLER_ERROR, start=50.0)

    def found(**filters: str) -> int:
        query = "&".join(f"{name}={quote(value)}" for name, value in filters.items())
        many = told(viewer, f"/api/overview?{query}")["connections"]
        assert isinstance(many, int)
        return many

    assert found() == 3
    assert found(route="/slow") == 1
    assert found(outcome=names.HANDLER_ERROR) == 1
    assert found(least="0.5") == 1
    assert found(peer="127.0.0.1:40002") == 1
    assert found(peer="127.0.0.1") == 3
    assert found(begin="140") == 1
    assert found(end="140") == 2
    assert found(route="' OR 1=1 --") == 0
    assert found(server="7") == 0


def test_the_export_is_the_recording(viewer: Viewer, store: Store, shop: Server) -> None:
    """The page's download and the command's are the same lines."""
    blocked(shop)
    response, body = ask(viewer, "/api/export")
    assert response.headers["Content-Disposition"].endswith("tcpwatch.jsonl")
    assert body == b"".join(write_lines(store))


def test_a_store_that_cannot_write_answers_503_and_says_it_on_the_page(
    viewer: Viewer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender tries again later; who looks at the page learns why nothing comes."""

    def full(_: object) -> None:
        raise StoreError("cannot write to the store: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(store._database, "write", full)
        request = ExportTraceServiceRequest()
        request.resource_spans.add().scope_spans.add().spans.add(
            trace_id=b"1" * 16, span_id=b"1" * 8
        )
        body = request.SerializeToString()
        response, answer = ask(
            viewer, "/v1/traces", "POST", body, Content_Type="application/x-protobuf"
        )
        assert response.status == 503
        assert response.headers["Retry-After"]
        assert "No space left" in Status.FromString(answer).message
        assert "No space left" in told(viewer, "/api/state")["trouble"]
    response, _ = ask(viewer, "/v1/traces", "POST", body, Content_Type="application/x-protobuf")
    assert response.status == 200
    assert told(viewer, "/api/state")["trouble"] == ""
