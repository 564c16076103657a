"""Where in the code something was, as its spans say it."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.trace.v1 import trace_pb2

from tcpwatch import names
from tcpwatch.view import decode
from tcpwatch.view.connections import number, text
from tcpwatch.view.signals import Attributes
from tcpwatch.view.store import Store

Place = dict[str, Any]


def code(attributes: Attributes) -> Place | None:
    """Return where in the code a span says that it was, None if it does not."""
    function = text(attributes, names.CODE_FUNCTION_NAME)
    if not function:
        return None
    return {
        "function": function,
        "file": text(attributes, names.CODE_FILE_PATH),
        "line": number(attributes, names.CODE_LINE_NUMBER),
    }


def places(store: Store, server: int | None = None) -> dict[str, Place | None]:
    """Return where each phase is in a server, in any without one, by the last span that was sent.

    A phase that was too short for a span of its own is where it always is in its server.
    """
    return {
        phase: code(decode.attributes(trace_pb2.Span.FromString(body).attributes))
        for phase, body in store.read(
            """SELECT p.phase, any_value(s.body) FROM (
                SELECT p.phase, max(p.seq) AS seq
                FROM phases p JOIN connections c ON c.span = p.owner
                WHERE $1 IS NULL OR c.server = $1
                GROUP BY p.phase
            ) p JOIN spans s ON s.seq = p.seq GROUP BY p.phase""",
            [server],
        )
    }
