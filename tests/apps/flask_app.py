"""A Flask application with one view for each thing that can happen to a request."""

from __future__ import annotations

import time
from collections.abc import Iterator

from flask import Flask, Response, request
from opentelemetry import trace

from tests.apps import gate

CHUNKS = 3
CHUNK_GAP = 0.1


def make_app() -> Flask:
    """Return the application."""
    app = Flask(__name__)

    @app.get("/")
    def hello() -> str:
        return "hello"

    @app.get("/slow")
    def slow() -> dict[str, float]:
        """Sleep, and tell on the monotonic clock when."""
        began = time.monotonic()
        time.sleep(float(request.args.get("s", "1")))
        return {"began": began, "ended": time.monotonic()}

    @app.get("/hold")
    def hold() -> str:
        """Answer when the test says `release`."""
        gate.hold()
        return "released"

    @app.get("/stream")
    def stream() -> Response:
        def chunks() -> Iterator[bytes]:
            for number in range(CHUNKS):
                if number:
                    time.sleep(CHUNK_GAP)
                yield b"%d\n" % number

        return Response(chunks(), mimetype="text/plain")

    @app.get("/stream/boom")
    def stream_boom() -> Response:
        def chunks() -> Iterator[bytes]:
            yield b"0\n"
            raise RuntimeError("in mid-stream")

        return Response(chunks(), mimetype="text/plain")

    @app.get("/big")
    def big() -> bytes:
        return b"x" * int(request.args["n"])

    @app.post("/upload")
    def upload() -> dict[str, int]:
        return {"read": len(request.get_data())}

    @app.get("/boom")
    def boom() -> str:
        raise RuntimeError("the view failed")

    @app.route("/status/<int:code>", methods=["GET", "POST"])
    def status(code: int) -> tuple[str, int]:
        return "", code

    @app.get("/item/<int:number>")
    def item(number: int) -> dict[str, int]:
        return {"number": number}

    @app.get("/child")
    def child() -> dict[str, str]:
        """Make a span of the application's own, and tell what was current around it."""
        outer = trace.get_current_span().get_span_context()
        with trace.get_tracer("app").start_as_current_span("own work"):
            pass
        return {"trace_id": f"{outer.trace_id:032x}", "span_id": f"{outer.span_id:016x}"}

    return app
