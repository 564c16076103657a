"""The stack for the scenarios; where it is not built they are skipped, and say so."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from stack import programs
from stack.running import Stack


@pytest.fixture(scope="session")
def locust_there() -> None:
    """Skip where Locust is missing. It is not imported: it would patch the sockets of the tests."""
    if importlib.util.find_spec("locust") is None:
        pytest.skip("Locust is not installed (make stack-test installs it)")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Jaeger, Prometheus with our rules, the Collector, and all three sample servers."""
    if missing := programs.missing():
        pytest.skip(f"not built: {', '.join(missing)} (make stack-test builds them; it needs Go)")
    names = ("jaeger", "prometheus", "collector", "app", "app-inline", "app-tls")
    with Stack(tmp_path_factory.mktemp("stack"), *names) as running:
        yield running
