"""Whatever is said of patches is true of both kinds of hooks: those in C and those in Python."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tcpwatch.patches import ordinary, twins


@pytest.fixture(params=["C", "Python"])
def hooks_in(request: pytest.FixtureRequest) -> Iterator[str]:
    """Have the hooks in C or in Python, and say which."""
    if request.param == "Python":
        ordinary.disconnect()
    elif not ordinary.built():
        pytest.skip("the hooks are not built in C here; tcpwatch doctor says why")
    else:
        twins.connect()
    yield request.param
    ordinary.disconnect()
