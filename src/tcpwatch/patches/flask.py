"""Into Flask, by its own signals: the matched route and the exception of a view.

The WSGI environ knows neither afterwards.
"""

from __future__ import annotations

import sys
from typing import Any

from tcpwatch.guard import guard
from tcpwatch.hub import hub

_connected: list[tuple[Any, Any]] = []


def adopt() -> None:
    """Listen to Flask's signals, once, if somebody has imported Flask."""
    if _connected:
        return
    signals = sys.modules.get("flask.signals")
    if signals is None or not hasattr(signals, "got_request_exception"):
        return
    for signal, receiver in (
        (signals.request_started, _matched),
        (signals.got_request_exception, _raised),
    ):
        signal.connect(receiver)
        _connected.append((signal, receiver))


def release() -> None:
    """Listen no longer."""
    while _connected:
        signal, receiver = _connected.pop()
        signal.disconnect(receiver)


def _matched(application: Any, **extra: Any) -> None:
    connection = hub.serving.connection
    exchange = connection.exchange if connection is not None else None
    if exchange is None:
        return
    try:
        # Through the proxy each attribute costs twenty times as much.
        rule = sys.modules["flask"].request._get_current_object().url_rule
        if rule is not None:
            exchange.route = rule.rule
            if hub.output is not None:
                hub.output.requests.route(exchange, rule.rule)
    except Exception as error:
        guard.caught("flask route", error)


def _raised(application: Any, exception: BaseException, **extra: Any) -> None:
    connection = hub.serving.connection
    exchange = connection.exchange if connection is not None else None
    if exchange is not None:
        exchange.raised(type(exception))
