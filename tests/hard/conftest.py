"""Fixtures of the hard cases: those of the live tests, and a minute that begins before them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from tests.hard.apps_a_pair import Pair, Told, pair, talk
from tests.hard.apps_a_watch import Watch, watching
from tests.live.conftest import certificate, receiver, seen, socket_path, start
from tests.live.wire import request_bytes

__all__ = ["certificate", "receiver", "seen", "socket_path", "start"]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Watch this process."""
    with watching() as watch:
        yield watch


class Minute(NamedTuple):
    """Two servers that each send events for a minute, and what will be told of that."""

    both: Pair
    bare: Future[Told]
    watched: Future[Told]
    meanwhile: Future[list[dict[str, Any]]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the test that waits for the minute to be over behind those that need not wait."""
    items.sort(key=_waits)


@pytest.fixture(scope="session", autouse=True)
def _begin_early(request: pytest.FixtureRequest) -> None:
    """Begin the minute with the first test, if it is wanted at all."""
    if any(map(_waits, request.session.items)):
        request.getfixturevalue("minute")


def _waits(item: pytest.Item) -> bool:
    return "minute" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def minute(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minute]:
    """Return a minute that has begun."""

    def busy(found: list[Any]) -> bool:
        return [each["phase"] for each in found] == ["respond"]

    events = request_bytes("/events")
    folder = tmp_path_factory.mktemp("events")
    # No metrics: others measure this process's memory, where they would be received.
    env = {"OTEL_METRICS_EXPORTER": "none"}
    with (
        pair(folder, "--server", "corners", env=env) as both,
        ThreadPoolExecutor(3) as pool,
    ):
        yield Minute(
            both,
            pool.submit(talk, both.bare, events),
            pool.submit(talk, both.watched, events),
            pool.submit(both.watched.wait_connections, busy),
        )
