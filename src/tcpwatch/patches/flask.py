"""Into Flask: the matched route and its view, and, by its own signal, the exception of a view.

The WSGI environ knows none of them afterwards. The route has no signal to itself: `request_started`
comes a moment later and costs four times as much as a wrapper.
"""

from __future__ import annotations

import sys
from threading import get_ident
from typing import Any

from tcpwatch.core.marks import View
from tcpwatch.guard import guard
from tcpwatch.hub import hub
from tcpwatch.patches.code import place
from tcpwatch.patches.wrap import Hook, ours, patches

ours(__file__)

_MOST_VIEWS = 1024

_serving = hub.serving.by_thread

_connected: list[tuple[Any, Any]] = []
_known: dict[tuple[int, str], tuple[Any, View | None]] = {}
"""Where views are, by identity and method; each is held, so that no other gets its identity."""


def adopt() -> None:
    """Listen to Flask's signals, once, if somebody has imported Flask.

    While another thread is importing it, its modules are in `sys.modules` before what they define.
    """
    if _connected or getattr(sys.modules.get("flask"), "Flask", None) is None:
        return
    signals, ctx = sys.modules.get("flask.signals"), sys.modules.get("flask.ctx")
    if signals is None or ctx is None:
        return
    contexts = vars(ctx)  # a deprecated name would warn whoever asks for it
    with hub.lock:  # another thread may adopt it, or uninstall
        if _connected or patches.undone:
            return
        for matcher in (contexts.get("RequestContext"), contexts.get("AppContext")):
            if isinstance(matcher, type) and hasattr(matcher, "match_request"):
                patches.wrap_definition(matcher, Hook("match_request", None, _matched))
        signals.got_request_exception.connect(_raised)
        _connected.append((signals.got_request_exception, _raised))


def release() -> None:
    """Listen no longer."""
    _known.clear()
    while _connected:
        signal, receiver = _connected.pop()
        signal.disconnect(receiver)


def _matched(context: Any, result: Any, error: BaseException | None) -> None:
    connection = _serving.get(get_ident())
    exchange = connection.exchange if connection is not None else None
    rule = context.request.url_rule
    # An application may push contexts of its own while it handles a request.
    if exchange is None or rule is None or exchange.route is not None:
        return
    exchange.route = rule.rule
    if exchange.span_facts is None:  # metrics do not say where a view is
        return
    view = context.app.view_functions.get(rule.endpoint)
    if view is not None:
        exchange.view = view_of(view, context.request.method)
    output = hub.output
    if output is not None and exchange.span is not None:
        output.requests.route(exchange, rule.rule)


def view_of(view: Any, method: str) -> View | None:
    """Return where a view is, None if it is no Python code; of a class, where its `method` is."""
    key = id(view), method
    found = _known.get(key)
    if found is None:
        if len(_known) >= _MOST_VIEWS:
            _known.clear()
        of_class = getattr(view, "view_class", None)
        function = getattr(of_class, method.lower(), None)
        function = function or getattr(of_class, "dispatch_request", view)
        found = _known[key] = view, place(function)
    return found[1]


def _raised(application: Any, exception: BaseException, **extra: Any) -> None:
    try:
        connection = hub.serving.connection
        exchange = connection.exchange if connection is not None else None
        if exchange is not None:
            exchange.raised(type(exception))
    except Exception as error:  # no wrapper is round it: Flask calls it
        guard.caught("flask.got_request_exception", error)
