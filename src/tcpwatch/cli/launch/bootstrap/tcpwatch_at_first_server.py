"""Installs tcpwatch when this process makes its first server, and not before.

By then the application has set its OpenTelemetry providers, has called `tcpwatch.install()` itself
or has been patched by gevent, if it ever will be; and a process that makes no server pays nothing.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as in `typing`, whose import would double the start of a small program
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class _Finder:
    """Finds `socketserver` as the other finders do, once, to be there when it has been loaded."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "socketserver":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                _follow(spec.loader)
                return spec
        return None


def wait() -> None:
    """Install tcpwatch as soon as this process makes an object of a `socketserver` class."""
    loaded = sys.modules.get("socketserver")
    if loaded is None:
        sys.meta_path.insert(0, _Finder())
    else:
        _watch(loaded)


def _follow(loader: Any) -> None:
    load = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        del loader.exec_module
        load(module)
        _watch(module)

    loader.exec_module = exec_module


def _watch(socketserver: ModuleType) -> None:
    from functools import wraps

    base = socketserver.BaseServer
    original = base.__init__
    met = False

    @wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        nonlocal met
        if not met:
            met = True
            if base.__init__ is __init__:
                base.__init__ = original
            _install()
        original(self, *args, **kwargs)

    base.__init__ = __init__


def _install() -> None:
    try:
        import tcpwatch

        tcpwatch.install()
    except Exception as error:
        why, cure = f"{type(error).__name__}: {error}", ""
        if isinstance(error, ModuleNotFoundError) and error.name == "tcpwatch":
            why, cure = "it is not installed there", f": {sys.executable} -m pip install tcpwatch"
        print(
            f"tcpwatch: the server in process {_pid()} is not watched, because"
            f" {sys.executable} cannot load tcpwatch: {why}{cure}",
            file=sys.stderr,
        )


def _pid() -> int:
    import os

    return os.getpid()
