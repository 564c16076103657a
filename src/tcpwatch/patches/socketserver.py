"""Into `socketserver`: the accept loop, and which servers have one that is watched.

A server class may override any of the methods, with or without super(), so each is wrapped where
the class that really runs defines it. What happens to one connection is in `connections`.
"""

from __future__ import annotations

import inspect
import socketserver
import sys
import weakref
from collections.abc import Iterator
from threading import get_ident
from time import monotonic_ns as clock
from types import FrameType
from typing import Any, Final

from tcpwatch import names
from tcpwatch.hub import hub
from tcpwatch.hub.loop import Loop
from tcpwatch.hub.serving import threads_are_native
from tcpwatch.patches import code, http_server, sockets
from tcpwatch.patches.connections import CLOSING_HOOK, CONNECTION_HOOKS
from tcpwatch.patches.selection import is_watched
from tcpwatch.patches.wrap import Hook, hide, ours, patches

ours(__file__)

_loops = hub.loops.by_server
_unwatched: set[int] = set()
_seen: dict[int, Any] = {}
"""What forgets each server, by its id(), when it is garbage."""


def loop_of(server: Any) -> Loop | None:
    """Return the watched loop of a server, taking note of a server seen for the first time."""
    identity = id(server)
    loop = _loops.get(identity)
    if loop is not None:
        return loop
    if identity in _unwatched or not hub.active:
        return None
    with hub.lock:  # two threads may see it first, and a third uninstall
        return None if patches.undone else _loops.get(identity) or _seen_first(server, identity)


def _seen_first(server: Any, identity: int) -> Loop | None:
    watched = threads_are_native() and is_watched(server, hub.settings)
    try:
        listener = code.listener_of(server) if watched else None
    except OSError:  # another thread has closed it
        return None
    end = _seen[identity] = weakref.finalize(server, _forget, identity)
    end.atexit = False
    if listener is None:
        _unwatched.add(identity)
        return None
    cls = type(server)
    for hook in SERVER_HOOKS:
        if hasattr(cls, hook.name):
            patches.wrap_definition(cls, hook, _IDLE_DEFINITIONS.get(hook.name, ()))
    if code.owner(cls, "process_request") not in _STANDARD:
        patches.wrap_definition(cls, CLOSING_HOOK)
    http_server.adopt(server)
    sockets.adopt(server)
    loop = hub.add_loop(identity, listener, server.socket)
    loop.services = code.owner(cls, "service_actions") is not socketserver.BaseServer
    return loop


def _forget(identity: int) -> None:
    _seen.pop(identity, None)
    _unwatched.discard(identity)
    hub.loops.retire(identity)


def release() -> None:
    """Forget every server: the next install may choose others."""
    for identity in list(_seen):
        end = _seen.pop(identity, None)
        if end is not None:  # else it has just become garbage
            end.detach()
    _unwatched.clear()


def _here(server: Any) -> Loop | None:
    """Return the loop of `server` and remember that this thread runs it."""
    loop = _loops.get(id(server)) or loop_of(server)
    if loop is not None and not (loop.running and loop.thread_id == get_ident()):
        hub.loop_began(loop)
    return loop


def _made(server: Any) -> None:
    """A server is being made, and does not listen yet."""
    hub.opening.prepare(hub, code.is_forking(server))


# -- the loop ------------------------------------------------------------------------------------


def _serve_began(server: Any) -> Loop | None:
    loop = _here(server)
    if loop is not None:
        loop.by_hand = False
        loop.enter_select(clock())
    return loop


def _by_hand_began(server: Any) -> Loop | None:
    loop = _serve_began(server)
    if loop is not None:
        loop.by_hand = True
    return loop


def _serve_ended(loop: Loop, result: Any, error: BaseException | None) -> None:
    loop.stop(clock())
    hub.report(loop)


def _by_hand_ended(loop: Loop, result: Any, error: BaseException | None) -> None:
    loop.turn(names.LOOP_SERVICE, clock())
    hub.report(loop)


def _woken(server: Any) -> Loop | None:
    loop = _loops.get(id(server))
    if loop is None or loop.spinning or loop.thread_id != get_ident() or not loop.running:
        if loop is not None and loop.spinning:
            return None
        loop = _here(server)
        if loop is None:
            return None
    loop.getting = False  # still True if a signal handler's exception has ended the last turn
    loop.leave_select(clock(), names.LOOP_ACCEPT)
    return loop


def _turned(loop: Loop, result: Any, error: BaseException | None) -> None:
    if loop.spinning:
        return
    if loop.services or loop.by_hand:
        loop.turn(names.LOOP_SERVICE, clock())
        return
    loop.enter_select(clock())
    if hub.post.remote:
        hub.report(loop)


def _service_began(server: Any) -> Loop | None:
    loop = _loops.get(id(server))
    if loop is not None and loop.spinning:
        return None
    loop = _here(server)
    if loop is not None and loop.state == names.LOOP_IDLE:
        loop.leave_select(clock(), names.LOOP_SERVICE)
    return loop


def _service_ended(loop: Loop, result: Any, error: BaseException | None) -> None:
    _selects(loop)


def _selects(loop: Loop) -> None:
    loop.enter_select(clock())
    if hub.post.remote:
        hub.report(loop)


def _collect_began(server: Any) -> tuple[Loop, set[int], Any] | None:
    loop = _loops.get(id(server))
    children = server.active_children
    if loop is None or not children:
        return None
    if len(children) >= server.max_children and loop.running:
        loop.turn(names.LOOP_SERVICE, clock())
        loop.label = names.BLAME_FORK_LIMIT
        hub.report(loop)
    return loop, set(children), server


def _collect_ended(
    token: tuple[Loop, set[int], Any], result: Any, error: BaseException | None
) -> None:
    loop, before, server = token
    if loop.label is not None:
        loop.turn(names.LOOP_SERVICE, clock())
    for pid in before - (server.active_children or set()):
        hub.post.send_of_child(("reaped", pid))


def _closed(server: Any) -> None:
    loop = _loops.get(id(server))
    if loop is not None:
        loop.stop(clock())
        hub.report(loop)


def _error_printed(server: Any) -> None:
    error = sys.exc_info()[1]
    if error is not None:
        hide(error)


_SERVE_FOREVER: Final = getattr(
    inspect.unwrap(socketserver.BaseServer.serve_forever), "__code__", None
)

_STANDARD: Final = (
    socketserver.BaseServer,
    socketserver.ThreadingMixIn,
    getattr(socketserver, "ForkingMixIn", None),
)
_IDLE_DEFINITIONS: Final = {
    "service_actions": (socketserver.BaseServer,),
    "verify_request": (socketserver.BaseServer,),
    "process_request": (socketserver.BaseServer, socketserver.ThreadingMixIn),
}
"""Definitions with nothing to see: of the standard library's, service_actions() does nothing,
verify_request() says yes, and process_request() goes on to finish_request(), here or in a thread;
only forking is news."""

SERVER_HOOKS: Final = (
    Hook("service_actions", _service_began, _service_ended),
    *CONNECTION_HOOKS,
    Hook("handle_error", _error_printed),
    Hook("server_close", _closed),
    Hook("collect_children", _collect_began, _collect_ended),
)
"""Wrapped where a server's class defines them, when it is first seen."""


def running() -> Iterator[bool]:
    """Say of each server that runs now, on any thread, whether it forks for each connection."""
    for frame in sys._current_frames().values():
        walked: FrameType | None = frame
        while walked is not None:
            if walked.f_code is _SERVE_FOREVER:
                yield code.is_forking(walked.f_locals["self"])
            walked = walked.f_back


def install() -> None:
    """Patch the classes that every server inherits from."""
    base = socketserver.BaseServer
    patches.wrap(base, Hook("__init__", _made))
    patches.wrap(base, Hook("serve_forever", _serve_began, _serve_ended))
    patches.wrap(base, Hook("handle_request", _by_hand_began, _by_hand_ended))
    patches.wrap(base, Hook("_handle_request_noblock", _woken, _turned))
    for hook in SERVER_HOOKS:
        for cls in (base, socketserver.TCPServer):
            if hook.name in vars(cls) and cls not in _IDLE_DEFINITIONS.get(hook.name, ()):
                patches.wrap(cls, hook)
    if hasattr(socketserver, "ForkingMixIn"):
        for name in ("process_request", "service_actions", "collect_children"):
            patches.wrap(socketserver.ForkingMixIn, _hook(name))


def _hook(name: str) -> Hook:
    return next(hook for hook in SERVER_HOOKS if hook.name == name)
