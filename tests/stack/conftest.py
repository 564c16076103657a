"""The stack, started for each file of tests; where it is not built they are skipped, and say so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stack import programs
from stack.running import Stack

FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> list[str]:
    """What was measured, in sentences, printed when all is over."""
    return pytestconfig.stash.setdefault(FIGURES, [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what was measured."""
    for said in config.stash.get(FIGURES, []):
        terminalreporter.write_line(said)


@pytest.fixture(scope="session")
def built() -> None:
    """Skip, and say so, where the programs are missing."""
    if missing := programs.missing():
        pytest.skip(f"not built: {', '.join(missing)} (make stack-test builds them; it needs Go)")


@pytest.fixture(scope="module")
def stack(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Jaeger, Prometheus, the Collector, and the sample server with threads and without."""
    names = ("jaeger", "prometheus", "collector", "app", "app-inline")
    with Stack(tmp_path_factory.mktemp("stack"), *names) as running:
        yield running
