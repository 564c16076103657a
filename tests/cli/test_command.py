"""The command line itself: help, and what it says when it cannot run."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from tcpwatch import cli
from tcpwatch.cli.commands import tcpwatch


def test_the_help_names_every_command() -> None:
    """A person who types only the name learns what there is."""
    shown = CliRunner().invoke(tcpwatch, ["--help"])
    assert shown.exit_code == 0
    assert "demo" in shown.output


@pytest.mark.parametrize("seconds", ["0", "1000", "soon"])
def test_a_length_that_makes_no_sense_is_refused(seconds: str) -> None:
    """The demo is bounded."""
    refused = CliRunner().invoke(tcpwatch, ["demo", "--seconds", seconds])
    assert refused.exit_code == 2
    assert "--seconds" in refused.output


def test_without_the_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The library needs no click; the command does, and a traceback would help nobody."""
    monkeypatch.delitem(sys.modules, "tcpwatch.cli.commands")
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "pip install 'tcpwatch[view]'" in capsys.readouterr().err
