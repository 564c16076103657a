"""A viewer in a process of its own, as `tcpwatch view` runs it, and a door that keeps nothing.

    python -m bench_viewer.server [null]

prints its address and serves until its standard input ends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tcpwatch.view.store import Store
from tcpwatch.view.viewer import Viewer
from tcpwatch.view.web.otlp import MAX_BODY
from tcpwatch.view.web.serving import Serving

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def nothing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Read a request and forget it: what waitress and the network cost."""
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]


def main() -> None:
    """Serve until standard input ends."""
    if sys.argv[1:] == ["null"]:
        with Serving(nothing, "127.0.0.1", 0, MAX_BODY) as serving:
            print(serving.endpoint, flush=True)
            sys.stdin.read()
        return
    with Store() as store, Viewer(store, port=0) as viewer:
        print(viewer.address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
