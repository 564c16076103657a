"""No secret leaves by default; no port is opened, no file of others is read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tcpwatch.view.receiver import Receiver
from tests.hard.apps_b_start import prepared
from tests.live.conftest import Start
from tests.live.harness import ROOT
from tests.live.seen import Seen
from tests.live.wire import request_bytes

SECRET = "hunter2"
KEYS = (
    "password",
    "PASSWORD",
    "client_secret",
    "access_token",
    "api_key",
    "apikey",
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "X-Goog-Signature",
    "AWSAccessKeyId",
    "sig",
    "user[password]",
    "user%5Bpassword%5D",
    "pass%77ord",
    "%70assword",
    f"token={SECRET}&token",
    f"a=1;token={SECRET};token",
)


def told(seen: Seen) -> str:
    """Return everything that has arrived, as text."""
    return repr([seen.recording.spans, seen.recording.points()])


@pytest.mark.parametrize("key", KEYS)
def test_the_values_of_secret_keys_stay(start: Start, seen: Seen, key: str) -> None:
    """Whatever its spelling, and however often, a key that names a secret is told without value."""
    server = start("--server", "plain")
    server.get(f"/page?first=1&{key}={SECRET}&last=2")
    (request,) = seen.wait_requests(1)
    assert SECRET not in told(seen)
    query = str(request.attributes["url.query"])
    assert query.startswith("first=1&")
    assert query.endswith("&last=2")


@pytest.mark.parametrize("dispatch", ["thread", "process"])
def test_neither_headers_nor_bodies_leave(
    receiver: Receiver, seen: Seen, tmp_path: Path, dispatch: str
) -> None:
    """Cookies, credentials and other headers, both bodies, and what a view raises are not told."""
    headers = {
        "Authorization": f"Bearer {SECRET}",
        "Cookie": f"session={SECRET}",
        "X-Api-Key": SECRET,
        "Referer": f"https://example.test/?token={SECRET}",
        "baggage": f"user={SECRET}",
    }
    with prepared("views", receiver.endpoint, tmp_path) as start:
        server = start("--dispatch", dispatch)
        body = SECRET.encode()
        assert SECRET.encode() in server.exchange(
            request_bytes("/echo", headers, method="POST", body=body)
        )
        assert server.exchange(request_bytes("/boom", headers, method="GET", body=body))
        seen.wait_requests(2)
        seen.wait_connections(2)
        seen.wait_total("http.server.request.duration", 2)
    assert SECRET not in told(seen)


@pytest.mark.parametrize(
    "target",
    [
        f"http://user:{SECRET}@example.test/page?token={SECRET}",
        f"user:{SECRET}@example.test:443",
        f"/page;password={SECRET}/more",
        f"/page?next=http://user:{SECRET}@example.test",
        f"/page#access_token={SECRET}",
    ],
)
def test_credentials_in_the_target_stay(start: Start, seen: Seen, target: str) -> None:
    """A client that takes us for a proxy sends a whole URL; who it logs in as is not told.

    Nor is it elsewhere in a target, nor are parameters of a path, whose names are secret.
    """
    server = start("--server", "plain")
    server.exchange(request_bytes(target, {"Host": f"user:{SECRET}@example.test"}))
    seen.wait_requests(1)
    assert SECRET not in told(seen)


@pytest.mark.parametrize("dispatch", ["thread", "process"])
def test_the_longest_request_is_told_and_holds_nobody_up(
    receiver: Receiver, seen: Seen, tmp_path: Path, dispatch: str
) -> None:
    """A client fills each line it may send: others are answered, and what is told has an end."""
    with prepared("views", receiver.endpoint, tmp_path) as start:
        server = start("--dispatch", dispatch)
        full = "a" * 65_000
        headers = dict.fromkeys(("User-Agent", "X-Forwarded-For", "X-Forwarded-Host"), full)
        assert server.exchange(request_bytes("/echo?" + full, headers, method="POST"))
        assert server.get("/echo?a=1").status == 405
        first, _ = seen.wait_requests(2)
        seen.wait_connections(2)
    lengths = {name: len(str(value)) for name, value in first.attributes.items()}
    assert lengths["url.query"] == lengths["user_agent.original"] == 2048
    assert max(lengths.values()) == 2048


@pytest.mark.parametrize("dispatch", ["inline", "thread", "process"])
def test_no_port_is_opened_and_no_file_stays_open(
    receiver: Receiver, seen: Seen, tmp_path: Path, dispatch: str
) -> None:
    """The process listens where its server does, and has the files open that it has without us."""
    with prepared("look", receiver.endpoint, tmp_path) as start:
        server = start("--dispatch", dispatch)
        bare = start("--dispatch", dispatch, "--install", "never")
        for each in (server, bare):
            assert each.get("/").status == 200
        seen.wait_connections(1)
        server.flush()
        assert server.tell("listening") == [list(server.address)]
        ours, theirs = (set(each.tell("files")) for each in (server, bare))
        assert ours - {str(server.log)} == theirs - {str(bare.log)}


@pytest.mark.parametrize("dispatch", ["inline", "thread", "process"])
def test_no_file_of_others_is_read(
    receiver: Receiver, seen: Seen, tmp_path: Path, dispatch: str
) -> None:
    """Beside what it opens without us, the process opens code, and what the kernel says of it."""
    with prepared("audit", receiver.endpoint, tmp_path) as start:
        server = start("--dispatch", dispatch)
        bare = start("--dispatch", dispatch, "--install", "never")
        for each in (server, bare):
            assert each.get("/").status == 200
        seen.wait_connections(1)
        server.flush()
        ours, theirs = (set(each.tell("opened")) for each in (server, bare))
    kernel = (f"/proc/{server.process.pid}/", "/proc/self/", "/proc/net/")
    code = (f"{sys.prefix}/", f"{sys.base_prefix}/", f"{ROOT}/")
    others = {path for path in ours - theirs if not path.startswith((*kernel, *code))}
    assert others <= {"/proc/stat", os.devnull}  # the boot time; the helper's input
