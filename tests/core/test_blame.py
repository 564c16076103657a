"""Who held up a connection: shares of its wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tcpwatch import names
from tcpwatch.core.blame import Activity, blame
from tcpwatch.core.record import Blame

SECOND = 1_000_000_000


def test_one_long_activity_is_the_culprit_and_has_a_name() -> None:
    """A view that sleeps in the loop's thread is `inline` of its connection."""
    history = [
        Activity("inline", 0, 9 * SECOND, 7),
        Activity("service", 9 * SECOND, 10 * SECOND, None),
    ]

    assert blame(history, 0, 10 * SECOND) == Blame("inline", 9.0, 1, 7)


def test_many_short_activities_are_a_convoy() -> None:
    """No connection covers half of the wait: nobody is to blame alone."""
    history = [Activity("inline", n * SECOND, (n + 1) * SECOND, n) for n in range(10)]

    assert blame(history, 0, 10 * SECOND) == Blame("convoy", 10.0, 10, None)


def test_kinds_without_a_connection_add_up() -> None:
    """Ten waits for a child to end are one fork limit."""
    history = [Activity("fork_limit", n * SECOND, (n + 1) * SECOND, None) for n in range(10)]

    assert blame(history, 0, 10 * SECOND) == Blame("fork_limit", 10.0, 10, None)


def test_a_loop_that_slept_was_not_scheduled() -> None:
    """`select` had something to return: the GIL or the CPU was elsewhere."""
    history = [Activity("idle", 0, SECOND, None)]

    assert blame(history, SECOND // 2, SECOND) == Blame("scheduler", 0.5, 1, None)


def test_only_the_wait_counts() -> None:
    """What the loop did before the connection came, or after its accept, is left out."""
    history = [Activity("inline", 0, 100 * SECOND, 1)]

    assert blame(history, 10 * SECOND, 12 * SECOND) == Blame("inline", 2.0, 1, 1)


def test_what_the_history_does_not_explain_is_not_guessed() -> None:
    """Less than half known: no culprit at all."""
    assert blame([Activity("inline", 0, SECOND, 1)], 0, 3 * SECOND) is None
    assert blame([], 0, SECOND) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*names.LOOP_STATES, "fork_limit"]),
            st.integers(0, 50),
            st.integers(0, 5),
        )
    ),
    st.integers(0, 200),
    st.integers(1, 200),
)
def test_blame_never_exceeds_the_wait(
    steps: list[tuple[str, int, int]], start: int, length: int
) -> None:
    """Whatever the history, the seconds blamed are at least half of the wait and at most all."""
    now, history = 0, []
    for name, took, connection in steps:
        history.append(Activity(name, now, now + took, connection))
        now += took

    found = blame(history, start, start + length)

    if found is not None:
        assert length / 2 <= round(found.seconds * 1e9, 3) <= length
