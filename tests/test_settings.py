"""The settings table."""

from __future__ import annotations

import re

import pytest

from tcpwatch.settings import Settings, read


def test_an_empty_environment_gives_the_defaults() -> None:
    """And so does a variable that is set to nothing."""
    assert read({}) == Settings()
    assert read({"TCPWATCH_STALL": " "}) == Settings()


def test_each_variable_sets_its_field() -> None:
    """Switches, seconds, counts and lists."""
    found = read(
        {
            "TCPWATCH_PEER_ADDRESS": "off",
            "TCPWATCH_STALL": "0.5",
            "TCPWATCH_KEEP_PER_SECOND": "7",
            "TCPWATCH_EXCLUDE": "a.B, 9090,",
        }
    )

    assert found == Settings(
        peer_address=False, stall=0.5, keep_per_second=7, exclude=("a.B", "9090")
    )


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("TCPWATCH_PEER_ADDRESS", "maybe", "on or off"),
        ("TCPWATCH_STALL", "-1", "seconds, 0 or more"),
        ("TCPWATCH_KEEP_PER_SECOND", "-1", "a whole number, 0 or more"),
        ("TCPWATCH_EXCLUDED_URLS", "/a,[", "regular expressions; '[' is none"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_right(variable: str, text: str, expected: str) -> None:
    """What we saw, where, and what we expected."""
    with pytest.raises(ValueError, match=re.escape(f"{variable}={text!r}: expected {expected}")):
        read({variable: text})
