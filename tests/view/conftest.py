"""A store and a viewer of it, for each test its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tcpwatch.view.store import Store
from tcpwatch.view.viewer import Viewer
from tests.view.telemetry import Server


@pytest.fixture
def store() -> Iterator[Store]:
    """Return an empty store in memory."""
    with Store() as empty:
        yield empty


@pytest.fixture
def shop(store: Store) -> Server:
    """Return a server that sends to the store."""
    return Server(store)


@pytest.fixture
def viewer(store: Store) -> Iterator[Viewer]:
    """Return a viewer of the store on a port of its own."""
    with Viewer(store, port=0) as serving:
        yield serving
