"""A server that is seen for the first time, by a thread of its own, while others come and go."""

from __future__ import annotations

import sys
import threading
from http.server import ThreadingHTTPServer
from typing import Any

from tcpwatch import patches
from tcpwatch.patches.socketserver import loop_of
from tcpwatch.testing import recording
from tests.apps.handlers import Plain
from tests.live.wire import LIMIT


def test_in_the_middle_of_uninstalling_it_is_none_of_ours() -> None:
    """Once everything is given back no server is taken on, although open ones are yet to end."""
    with recording(), ThreadingHTTPServer(("127.0.0.1", 0), Plain) as server:
        patches.uninstall()
        assert loop_of(server) is None
        patches.install()
        assert loop_of(server) is not None


def test_two_threads_see_one_loop() -> None:
    """Whoever of its threads sees a server first, all count on the same loop."""
    together = threading.Barrier(4)
    found: list[Any] = []

    def see(server: ThreadingHTTPServer) -> None:
        together.wait(LIMIT)
        found.append(loop_of(server))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with recording():
            for _ in range(50):
                with ThreadingHTTPServer(("127.0.0.1", 0), Plain) as server:
                    threads = [threading.Thread(target=see, args=(server,)) for _ in range(4)]
                    for thread in threads:
                        thread.start()
                    for thread in threads:
                        thread.join(LIMIT)
                assert len(found) == 4
                assert found[0] is not None
                assert all(loop is found[0] for loop in found)
                found.clear()
    finally:
        sys.setswitchinterval(before)
