"""The viewer as one WSGI application: OTLP below /v1/, answers below /api/, and the page."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, Response, send_from_directory

from tcpwatch.view.store import Store
from tcpwatch.view.web.admission import Admission
from tcpwatch.view.web.api import api
from tcpwatch.view.web.otlp import Otlp

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PAGE = Path(__file__).parent.parent / "page"


def application(
    store: Store, hosts: Iterable[str] = (), *, others: bool = False
) -> WSGIApplication:
    """Return the viewer of a store.

    Args:
        store: what is shown, and where OTLP goes.
        hosts: names that clients may use for this server, beside localhost.
        others: whether others than this machine may ask.
    """
    otlp, page = Otlp(store), _page(store)

    def by_path(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answers = otlp if environ["PATH_INFO"].startswith("/v1/") else page
        return answers(environ, start_response)

    return Admission(by_path, hosts, others)


def _page(store: Store) -> Flask:
    app = Flask("tcpwatch.view", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.register_blueprint(api(store), url_prefix="/api")

    @app.get("/")
    def index() -> Response:
        return send_from_directory(PAGE, "index.html", max_age=0)

    @app.get("/page/<path:name>")
    def file(name: str) -> Response:
        return send_from_directory(PAGE, name, max_age=0)

    @app.get("/charts.js")
    def charts() -> Response:
        return send_from_directory(_charts(), "plotly.min.js", max_age=3600)

    return app


def _charts() -> Path:
    """Return the folder in which the package plotly keeps its script, without importing it."""
    found = importlib.util.find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("the charts need plotly: pip install 'tcpwatch[view]'")
    return Path(next(iter(found.submodule_search_locations))) / "package_data"
