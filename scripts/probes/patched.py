"""What is patched, and when."""

from __future__ import annotations

import threading
from collections import defaultdict
from wsgiref import simple_server

import tcpwatch
from probes.sample import LIMIT, app, asks, served
from tcpwatch.patches.wrap import patches


def patched() -> dict[str, dict[str, list[str]]]:
    """Return what install() patches at once, and what when werkzeug's and wsgiref's servers run."""
    tcpwatch.install()
    at_once = _owners()
    for options in ({"threaded": True}, {"processes": 2}):
        with served(**options) as port:
            asks(port)
    with simple_server.make_server("127.0.0.1", 0, app) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        asks(server.server_port)
        thread.join(LIMIT)
    return {"at once": _grouped(at_once), "later": _grouped(_owners() - at_once)}


def _owners() -> set[tuple[str, str]]:
    return {
        (f"{patch.owner.__module__}.{patch.owner.__qualname__}", patch.hook.name)
        for patch in patches._patches.values()
        if patch.on and isinstance(patch.owner, type)
    }


def _grouped(found: set[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = defaultdict(list)
    for owner, method in sorted(found):
        grouped[owner].append(method)
    return grouped
