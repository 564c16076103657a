"""Weak collections to which other threads add meanwhile."""

from __future__ import annotations

import sys
import threading
from weakref import WeakValueDictionary

from tcpwatch.weak import alive

ROUNDS = 2_000


class Member:
    """Something that can be referenced weakly."""


def test_who_is_alive_is_told_in_order_of_coming() -> None:
    """Those that have died are not told."""
    members = [Member() for _ in range(3)]
    collection = WeakValueDictionary(enumerate(members))
    assert alive(collection) == members
    del members[1]
    assert alive(collection) == members


def test_others_may_add_to_it_all_the_while() -> None:
    """Telling who is alive never fails because a thread has added somebody."""
    members: list[Member] = []
    collection: WeakValueDictionary[int, Member] = WeakValueDictionary()
    enough = threading.Event()

    def add() -> None:
        while not enough.is_set():
            members.append(Member())
            collection[len(members) % 100] = members[-1]
            if len(members) > ROUNDS:
                del members[:]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    other = threading.Thread(target=add)
    other.start()
    try:
        for _ in range(ROUNDS):
            alive(collection)
    finally:
        enough.set()
        other.join()
        sys.setswitchinterval(before)
