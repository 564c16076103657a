"""A real Chromium on a viewer with a real recording; each test leaves its picture in .shots."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tcpwatch.cli.acts import ACTS
from tcpwatch.cli.clients import Door
from tcpwatch.cli.servers import SampleServer
from tcpwatch.view.store import Store
from tcpwatch.view.viewer import Viewer

SHOTS = Path(__file__).parents[2] / ".shots"
PACE = 0.3
LIMIT = 15_000
CALLED = ("chromium", "chromium-browser", "google-chrome")
KNOWN = re.compile(r"Applying inline style violates .*style-src")
"""Plotly writes the style of a kind of map that is not used here; the page's policy forbids it."""

Open = Callable[..., Any]
Serve = Callable[..., Viewer]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Return a browser; skip, and say what is missing, where there is none."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="no playwright: pip install 'tcpwatch[browser]'"
    )
    path = next(filter(None, map(shutil.which, CALLED)), None)
    if path is None:
        pytest.skip("no Chromium on PATH: apt-get install chromium")
    with sync_api.sync_playwright() as play:
        # Without a sandbox of its own: tests also run as root in containers.
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def recorded() -> Iterator[Viewer]:
    """Return a viewer of what a real server with one thread told about real clients."""
    act = ACTS[0]
    with Store() as store, Viewer(store, port=0) as viewer:
        options = (*act.options, "--pace", str(PACE))
        with SampleServer(act.service, viewer.address, options) as server:
            door = Door(server.port(), timeout=10)
            for step in act.steps(PACE):
                step.play(door)
        yield viewer


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a viewer of an empty store, with the store's options."""
    with ExitStack() as running:

        def start(**options: Any) -> Viewer:
            store = running.enter_context(Store(**options))
            return running.enter_context(Viewer(store, port=0))

        yield start


@pytest.fixture
def open_page(chromium: Any, serve: Serve, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Return a function that opens an address; afterwards nothing may have gone wrong in it.

    It asks for `serve` so that its pages are gone before the viewers that they look at.
    """
    opened: list[tuple[Any, list[str]]] = []

    def open_(address: str, size: tuple[int, int] = (1280, 720), theme: str = "light") -> Any:
        page = chromium.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=theme
        ).new_page()
        page.set_default_timeout(LIMIT)
        trouble: list[str] = []
        origin = "/".join(address.split("/")[:3])

        def said(message: Any) -> None:
            if message.type == "error":
                trouble.append(message.text)

        def asked(sent: Any) -> None:
            if not sent.url.startswith((origin, "data:", "blob:")):
                trouble.append(f"asked elsewhere: {sent.url}")

        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", said)
        page.on("request", asked)
        page.on("dialog", lambda dialog: trouble.append(f"dialog: {dialog.message}"))
        page.goto(address)
        opened.append((page, trouble))
        return page

    yield open_
    SHOTS.mkdir(exist_ok=True)
    for number, (page, trouble) in enumerate(opened):
        name = re.sub(r"\W+", "-", request.node.name).strip("-")
        page.screenshot(path=SHOTS / f"{name}{f'-{number}' if number else ''}.png")
        page.context.close()
        assert not [text for text in trouble if not KNOWN.match(text)]
