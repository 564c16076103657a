"""Into `werkzeug.serving`: the exception that it logs and answers with a 500.

Everything else of werkzeug's is http.server's: its server and handler classes are adopted as they
are met. The module is never imported here; who serves with it has imported it.
"""

from __future__ import annotations

import sys
from typing import Any

from tcpwatch.hub import hub
from tcpwatch.patches.wrap import Hook, ours, patches

ours(__file__)


def handlers() -> tuple[type, ...]:
    """Return werkzeug's handler class, if somebody has imported it: its handle() calls super()."""
    serving = sys.modules.get("werkzeug.serving")
    handler = getattr(serving, "WSGIRequestHandler", None)
    return (handler,) if isinstance(handler, type) else ()


def adopt(server: Any) -> None:
    """Patch `BaseWSGIServer.log` where this server's class defines it, if it is werkzeug's."""
    serving = sys.modules.get("werkzeug.serving")
    base = getattr(serving, "BaseWSGIServer", None)
    if base is not None and isinstance(server, base):
        patches.wrap_definition(type(server), Hook("log", _logged))


def _logged(server: Any, kind: str) -> None:
    connection = hub.serving.connection
    exchange = connection.exchange if connection is not None else None
    error = sys.exc_info()[1]
    if exchange is not None and kind == "error" and error is not None:
        exchange.raised(type(error))
