"""The doctor's nouns: a finding and its grade."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Grade(enum.Enum):
    """How bad it is: ABSENT is missing for a reason that is nobody's fault, WRONG needs a cure."""

    OK = "ok"
    ABSENT = "absent"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `about` in a word or two, `words` in a sentence.

    `cure` is what to do about it, "" if nothing can or need be done.
    """

    grade: Grade
    about: str
    words: str
    cure: str = ""


def ok(about: str, words: str) -> Finding:
    """Return a finding that is as it should be."""
    return Finding(Grade.OK, about, words)


def absent(about: str, words: str, cure: str = "") -> Finding:
    """Return a finding about something that this machine does not have."""
    return Finding(Grade.ABSENT, about, words, cure)


def wrong(about: str, words: str, cure: str) -> Finding:
    """Return a finding about something that keeps tcpwatch from its work."""
    return Finding(Grade.WRONG, about, words, cure)
