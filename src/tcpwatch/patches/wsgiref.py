"""Into `wsgiref`: it calls neither `handle_one_request` nor `send_response`.

Covers what builds on it too, such as Django's development server.
"""

from __future__ import annotations

import sys
from typing import Any

from tcpwatch.hub import hub
from tcpwatch.hub.connection import Exchange
from tcpwatch.patches.wrap import Hook, ours, patches

ours(__file__)


def adopt() -> None:
    """Patch the classes of `wsgiref.handlers` if somebody has imported it.

    A module that another thread is just importing is in `sys.modules` without them; who serves with
    it has imported all of it.
    """
    module = sys.modules.get("wsgiref.handlers")
    base, simple = getattr(module, "BaseHandler", None), getattr(module, "SimpleHandler", None)
    if base is None or simple is None:
        return
    patches.wrap(base, Hook("run", _run))
    patches.wrap(base, Hook("log_exception", _logged))
    for cls in (base, simple):
        if "close" in vars(cls):
            patches.wrap(cls, Hook("close", _closing))


def _exchange() -> Exchange | None:
    connection = hub.serving.connection
    return connection.exchange if connection is not None else None


def _run(handler: Any) -> None:
    exchange = _exchange()
    if exchange is not None:
        exchange.final = True


def _closing(handler: Any) -> None:
    exchange, status = _exchange(), getattr(handler, "status", None)
    if exchange is not None and status:
        code = str(status)[:3]
        exchange.status = int(code) if code.isdecimal() else None


def _logged(handler: Any, exc_info: Any) -> None:
    exchange = _exchange()
    if exchange is not None and exc_info[0] is not None:
        exchange.raised(exc_info[0])
