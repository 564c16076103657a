"""Into programs: one file per server library, and the mechanism that wraps and gives back.

To add a library, write its file and name it in `LIBRARIES`.
"""

from __future__ import annotations

from typing import Final

from tcpwatch.hub import hub
from tcpwatch.patches import flask, http_server, sockets, socketserver, twins
from tcpwatch.patches.socketserver import running
from tcpwatch.patches.wrap import patches

__all__ = ["install", "running", "uninstall"]

LIBRARIES: Final = (socketserver, sockets, http_server)
"""What is patched at once; werkzeug, wsgiref and Flask are adopted when a server uses them."""


def install() -> None:
    """Patch every library; a second call changes nothing."""
    patches.begin()
    twins.connect()
    for library in LIBRARIES:
        library.install()


def uninstall() -> None:
    """Give back everything that is still ours."""
    with hub.lock:
        patches.undo()
        socketserver.release()
        flask.release()
