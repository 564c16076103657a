"""Fixtures of the command's tests: a receiver, and a folder with programs to be watched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tcpwatch.view.receiver import Receiver
from tcpwatch.view.recording import Recording
from tests.cli.programs import PROGRAMS


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return an OTLP receiver with an empty recording."""
    with Receiver(Recording()) as listening:
        yield listening


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the programs."""
    for name, text in PROGRAMS.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return tmp_path
