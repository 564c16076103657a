"""Hard case 24: platforms that lack something; what they cannot tell is absent, never 0."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcpwatch.view.receiver import Receiver
from tests.hard.apps_b_start import prepared
from tests.live.seen import Seen
from tests.live.wire import read_response, request_bytes

FROM_THE_KERNEL = (
    "tcpwatch.accept_queue.wait_time",
    "tcpwatch.accept_queue.length",
    "tcpwatch.accept_queue.depth",
    "tcpwatch.accept_queue.limit",
    "tcpwatch.accept_queue.drops",
    "tcpwatch.accept_loop.blocked_time",
    "tcpwatch.connection.rtt",
    "tcpwatch.connection.retransmits",
)
ALWAYS = (
    "tcpwatch.connection.accepted",
    "tcpwatch.connection.duration",
    "tcpwatch.connection.phase.duration",
    "http.server.request.duration",
)
N = 5


def names(seen: Seen) -> set[str]:
    """Return the names of all metrics that have arrived."""
    return {point.name for point in seen.recording.points()}


@pytest.mark.parametrize("dispatch", ["inline", "thread", "process"])
@pytest.mark.parametrize("missing", ["kernelless", "kernelless,procless", "procless"])
def test_what_the_platform_does_not_tell_is_absent(
    receiver: Receiver, seen: Seen, tmp_path: Path, missing: str, dispatch: str
) -> None:
    """Without TCP_INFO or /proc everything else is told, nothing is 0, and there is no error."""
    with prepared(missing, receiver.endpoint, tmp_path) as start:
        server = start("--dispatch", dispatch)
        for _ in range(N):
            assert server.get("/").status == 200
        spans = seen.wait_connections(N)
        seen.wait_requests(N)
        seen.wait_total("tcpwatch.connection.duration", N)
        assert not server.connections()
    assert set(ALWAYS) <= names(seen)
    assert {span.attributes["tcpwatch.connection.outcome"] for span in spans} == {"completed"}
    if "procless" in missing and dispatch != "process":  # the helper is a process of its own
        assert not {name for name in names(seen) if name.startswith("process.")}
    if "kernelless" in missing:
        assert not set(FROM_THE_KERNEL) & names(seen)
        for span in seen.recording.spans:
            unknown = ("tcpwatch.tcp.", "tcpwatch.phase.accept_queue", "tcpwatch.accept_queue")
            assert not [key for key in span.attributes if key.startswith(unknown)]
            assert span.name != "accept_queue"


def test_a_platform_that_cannot_fork(receiver: Receiver, seen: Seen, tmp_path: Path) -> None:
    """Without fork, fcntl and Unix sockets, a threaded server is watched as anywhere."""
    with prepared("forkless,kernelless", receiver.endpoint, tmp_path) as start:
        server = start("--server", "plain")
        with server.connect() as client:
            for _ in range(N):
                client.sendall(request_bytes("/", {"Connection": "keep-alive"}))
                assert read_response(client).status == 200
        assert len(seen.wait_requests(N)) == N
        (connection,) = seen.wait_connections(1)
    assert connection.attributes["tcpwatch.connection.outcome"] == "completed"
