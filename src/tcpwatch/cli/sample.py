"""The demo's server: a real Flask application on werkzeug, in a process of its own, watched.

It prints the port it listens on as one line and serves until its standard input ends, so it never
outlives whoever started it.
"""

from __future__ import annotations

import argparse
import logging
import ssl
import sys
import threading
import time

from flask import Flask, Response
from werkzeug import serving

import tcpwatch
from tcpwatch.cli import anonymous_tls

LARGE = 12 * 1024 * 1024
"""Bytes of /large: more than the kernel buffers between the server and a client that is slow."""


def application(pace: float) -> Flask:
    """Return the application; its slow view takes 2 s at a `pace` of 1."""
    app = Flask("sample")

    @app.get("/fast")
    def fast() -> str:
        return "done at once\n"

    @app.get("/slow")
    def slow() -> str:
        time.sleep(2 * pace)
        return "done after a while\n"

    @app.get("/work")
    def work() -> str:
        time.sleep(0.02)
        return "done after 20 ms\n"

    @app.get("/large")
    def large() -> Response:
        return Response(bytes(LARGE), mimetype="application/octet-stream")

    return app


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--single", dest="threaded", action="store_false")
    parser.add_argument("--threaded", dest="threaded", action="store_true")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--backlog", type=int, default=128)
    parser.add_argument("--pace", type=float, default=1.0)
    chosen = parser.parse_args()

    tcpwatch.install()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # Flask offers no other way to the size of the accept queue.
    serving.BaseWSGIServer.request_queue_size = chosen.backlog
    server = serving.make_server(
        "127.0.0.1",
        chosen.port,
        application(chosen.pace),
        threaded=chosen.threaded,
        ssl_context=anonymous_tls.context(ssl.PROTOCOL_TLS_SERVER) if chosen.tls else None,
    )
    print(server.port, flush=True)

    def stop_with_input() -> None:
        sys.stdin.read()
        server.shutdown()

    threading.Thread(target=stop_with_input, daemon=True).start()
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
