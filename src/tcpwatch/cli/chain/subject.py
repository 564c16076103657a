"""What is to be explained: an application with the server that it would get, or a server class."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pkgutil
import socket
import socketserver
import ssl
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from inspect import Parameter, isfunction, signature
from pathlib import Path
from typing import Any
from unittest import mock

from tcpwatch.kernel.reader import Kernel
from tcpwatch.patches.code import handler_class
from tcpwatch.patches.selection import class_name

_SOMAXCONN = Path("/proc/sys/net/core/somaxconn")


class UnknownError(Exception):
    """There is nothing of this name to explain; the message says what was looked for."""


@dataclass(frozen=True)
class Subject:
    """Who takes part: `actors` are classes, modules and functions by their part in the story.

    `title` says in a sentence what is explained. `backlog` is what the server asks of listen(2),
    `limit` what the kernel makes of it, None where it does not say.
    """

    title: str
    actors: Mapping[str, Any]
    backlog: int
    limit: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def server(self) -> type:
        """The server's class."""
        found: type = self.actors["server"]
        return found


@dataclass(frozen=True)
class Wishes:
    """What the person would say to `Flask.run`; None and False leave it to Flask."""

    threaded: bool | None = None
    processes: int | None = None
    tls: bool = False

    def options(self) -> dict[str, Any]:
        """Return them as arguments of `run_simple`."""
        said: dict[str, Any] = {}
        if self.threaded is not None:
            said["threaded"] = self.threaded
        if self.processes is not None:
            said |= {"processes": self.processes, "threaded": False}
        if self.tls:
            # Never used for a handshake, so it needs no certificate.
            said["ssl_context"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        return said


def resolve(name: str | None, wishes: Wishes, handler: str | None = None) -> Subject:
    """Find what is meant.

    Args:
        name: MODULE:APP, a module that holds a Flask application or makes one, or a server class;
            None is an application of Flask's without anything.
        wishes: how the application is to be served.
        handler: the handler class of a server class, if the class does not tell.

    Raises:
        UnknownError: it cannot be found or imported, or is neither an application nor a server.
    """
    found = _empty_flask() if name is None else _load(name)
    if isinstance(found, socketserver.BaseServer):
        found = type(found)
    if isinstance(found, type) and issubclass(found, socketserver.BaseServer):
        return _of_class(found, _load(handler) if handler else _usual_handler(found), wishes.tls)
    if not _is_wsgi(found):
        raise UnknownError(
            f"{name} is {type(found).__name__}; expected a WSGI application, which takes an environ"
            " and a start_response, or a class of servers"
        )
    return _of_application(name or "an application of Flask's", found, wishes)


# -- finding it ----------------------------------------------------------------------------------


def _empty_flask() -> Any:
    try:
        from flask import Flask
    except ModuleNotFoundError:
        raise UnknownError(
            "Flask is not installed here; name a server class: tcpwatch explain"
            " http.server:ThreadingHTTPServer"
        ) from None
    return Flask("tcpwatch.explained")


def _load(name: str) -> Any:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)  # where `flask run` and `python app.py` look, too
    module, _, attribute = name.partition(":")
    with _only_imported():
        try:
            if "(" in attribute or (not attribute and "." not in module):
                return _locate(module, attribute or None)
            found = pkgutil.resolve_name(name)
            makes_one = attribute and isfunction(found) and not _is_wsgi(found)
            return _locate(module, attribute) if makes_one else found
        except (ImportError, AttributeError, ValueError) as error:
            raise UnknownError(f"there is no {name} from here: {error}") from error
        except SystemExit as error:
            raise UnknownError(f"importing {name} ended with {error!r}") from error


def _locate(module: str, attribute: str | None) -> Any:
    """Find an application as `flask --app` does."""
    importlib.import_module(module)
    import click
    from flask.cli import locate_app

    try:
        return locate_app(module, attribute)
    except click.ClickException as error:
        raise UnknownError(error.message) from error


def _is_wsgi(found: Any) -> bool:
    """Say whether something can be called as PEP 3333 says, as far as it tells."""
    try:
        signature(found).bind({}, None)
    except TypeError:
        return False
    except ValueError:  # written in C, it may not tell
        return callable(found)
    return True


@contextlib.contextmanager
def _only_imported() -> Iterator[None]:
    """Have an application do nothing but come into being while it is imported.

    Flask then ignores an `app.run()` that no __main__ guards, as it does for its own command; no
    telemetry is set up; and what is printed does not get between our lines.
    """
    quiet = {
        "FLASK_RUN_FROM_CLI": "true",
        "OTEL_SDK_DISABLED": "true",
        "TCPWATCH_BANNER": "off",
    }
    with mock.patch.dict(os.environ, quiet), contextlib.redirect_stdout(sys.stderr):
        yield


# -- the server of an application ----------------------------------------------------------------


def _of_application(name: str, application: Any, wishes: Wishes) -> Subject:
    try:
        from werkzeug import serving
    except ModuleNotFoundError:
        raise UnknownError("werkzeug, which would serve it, is not installed here") from None
    options, notes = wishes.options(), []
    actors: dict[str, Any] = {"serving": serving, "app": application}
    flask_run = _flask_run(application)
    if flask_run is not None:
        options = _asked_for(application, flask_run, options)
        if flask_run is not getattr(type(application), "run", None):
            notes.append(
                f"{class_name(type(application))} has a `run` of its own, which was not called;"
                " what Flask's asks for is shown"
            )
    try:
        server = serving.make_server("127.0.0.1", 0, application, **options)
    except ValueError as error:
        raise UnknownError(f"werkzeug does not serve it like this: {error}") from error
    try:
        queue = Kernel().queue(server.socket)
    finally:
        server.server_close()
    actors |= _sides(type(server), handler_class(server), tls=wishes.tls)
    began = "Flask.run" if flask_run is not None else "run_simple"
    said = ", ".join(
        f"{key}={options[key]!r}" for key in ("threaded", "processes") if key in options
    )
    return Subject(
        f"{name}: {began}{f' ({said})' if said else ''} serves it by a {class_name(type(server))}"
        f"{' with TLS' if wishes.tls else ''}",
        actors,
        server.request_queue_size,
        queue[1] if queue else None,
        tuple(notes),
    )


def _flask_run(application: Any) -> Any:
    flask = sys.modules.get("flask")
    if flask is None or not isinstance(application, flask.Flask):
        return None
    return flask.Flask.run


def _asked_for(application: Any, run: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return what `Flask.run` itself asks of `make_server`, without serving."""
    asked: dict[str, Any] = {}

    def run_simple(host: str, port: int, app: Any, **chosen: Any) -> None:
        asked.update(chosen)

    with (
        mock.patch("werkzeug.serving.run_simple", run_simple),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        run(application, load_dotenv=False, **options)
    known = {"threaded", "processes", "request_handler", "passthrough_errors", "ssl_context"}
    return {name: value for name, value in asked.items() if name in known}


# -- a server class ------------------------------------------------------------------------------


def _of_class(server: Any, handler: Any, tls: bool) -> Subject:
    if issubclass(server, socketserver.UDPServer):
        raise UnknownError(f"{class_name(server)} serves datagrams: there is no connection")
    if not isinstance(handler, type):
        raise UnknownError(f"--handler: {handler!r} is not a class")
    backlog = getattr(server, "request_queue_size", 0)
    return Subject(
        f"{class_name(server)} with {class_name(handler)}{' and TLS' if tls else ''}",
        _sides(server, handler, tls=tls),
        backlog,
        _limit(backlog),
    )


def _limit(backlog: int) -> int | None:
    """Return the queue's room as listen(2) says: the backlog, cut to net.core.somaxconn."""
    try:
        return min(backlog, int(_SOMAXCONN.read_text()))
    except (OSError, ValueError):
        return None


def _usual_handler(server: type) -> type:
    """Return the handler class that a server's constructor takes by default, else its family's."""
    for cls in server.__mro__:
        if "__init__" not in vars(cls):
            continue
        for parameter in signature(vars(cls)["__init__"]).parameters.values():
            usual = parameter.default
            if isinstance(usual, type) and usual is not Parameter.empty:
                return usual
    families = (
        ("werkzeug.serving", "BaseWSGIServer", "WSGIRequestHandler"),
        ("wsgiref.simple_server", "WSGIServer", "WSGIRequestHandler"),
        ("http.server", "HTTPServer", "SimpleHTTPRequestHandler"),
    )
    for module, base, handler in families:
        loaded = sys.modules.get(module)
        if loaded is not None and issubclass(server, getattr(loaded, base)):
            found: type = getattr(loaded, handler)
            return found
    return socketserver.StreamRequestHandler


def _sides(server: type, handler: type | None, *, tls: bool) -> dict[str, Any]:
    handler = handler or socketserver.BaseRequestHandler
    found: dict[str, Any] = {"server": server, "handler": handler, "listener": socket.socket}
    if tls:
        found |= {"tls": ssl.SSLSocket, "context": ssl.SSLContext}
    if getattr(handler, "wbufsize", None) == 0:
        found["writer"] = socketserver._SocketWriter  # type: ignore[attr-defined]
    simple = sys.modules.get("wsgiref.simple_server")
    if simple is not None and issubclass(handler, simple.WSGIRequestHandler):
        found["wsgi"] = simple.ServerHandler
    return found
