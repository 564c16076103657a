"""A gevent-patched process that serves a Flask application to itself, and tells how it went.

python -m tests.hard.apps_b_gevent before|after werkzeug|pywsgi
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

CLIENTS = 10
NAP = 0.2


def patch() -> None:
    """Let gevent replace what blocks in the standard library."""
    monkey: Any = importlib.import_module("gevent.monkey")
    monkey.patch_all()


def application() -> Any:
    """Make the application: a request naps, so that the others run meanwhile."""
    import flask

    app = flask.Flask("gevent")

    @app.get("/<int:number>")
    def nap(number: int) -> str:
        time.sleep(NAP)
        return str(number)

    return app


def serve(kind: str) -> int:
    """Serve in a greenlet and return the port."""
    gevent: Any = importlib.import_module("gevent")

    if kind == "pywsgi":
        pywsgi: Any = importlib.import_module("gevent.pywsgi")
        theirs = pywsgi.WSGIServer(("127.0.0.1", 0), application(), log=None)
        theirs.start()
        return int(theirs.server_port)
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, application(), threaded=True)
    gevent.spawn(server.serve_forever)
    return int(server.port)


def ask(port: int, number: int) -> tuple[str, int]:
    """Do one request; return the answer and the client's port."""
    import http.client

    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    client.connect()
    own = client.sock.getsockname()[1]
    client.request("GET", f"/{number}")
    answer = client.getresponse().read().decode()
    client.close()
    return answer, own


def main(when: str, kind: str) -> None:
    """Patch and install in this order, serve, ask, tell."""
    if when == "before":
        patch()
    import tcpwatch

    tcpwatch.install()
    if when == "after":
        patch()
    gevent: Any = importlib.import_module("gevent")

    port = serve(kind)
    began = time.monotonic()
    jobs = [gevent.spawn(ask, port, number) for number in range(CLIENTS)]
    gevent.joinall(jobs, timeout=10)
    took = time.monotonic() - began
    answers = [job.value for job in jobs]
    flushed = tcpwatch.flush(5)
    tcpwatch.uninstall()
    after, _ = ask(port, CLIENTS)
    json.dump({"answers": answers, "took": took, "flushed": flushed, "after": after}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
