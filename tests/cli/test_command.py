"""The command line itself: help, and what it says when it cannot run."""

from __future__ import annotations

import re
import subprocess
import sys
import types

import pytest
from click.testing import CliRunner

from tcpwatch import cli
from tcpwatch.cli.commands import tcpwatch
from tests.cli.programs import environment
from tests.live.wire import LIMIT


def test_the_help_names_every_command() -> None:
    """A person who types only the name learns what there is."""
    shown = CliRunner().invoke(tcpwatch, ["--help"])
    assert shown.exit_code == 0
    assert all(f"\n  {name} " in shown.output for name in tcpwatch.commands)
    assert not re.search(r"\w\.\.\.$", shown.output, re.MULTILINE)  # nothing is cut off
    assert "tcpwatch run --view -- flask" in shown.output
    assert max(map(len, shown.output.splitlines())) <= 80


@pytest.mark.parametrize("seconds", ["0", "1000", "soon"])
def test_a_length_that_makes_no_sense_is_refused(seconds: str) -> None:
    """The demo is bounded."""
    refused = CliRunner().invoke(tcpwatch, ["demo", "--seconds", seconds])
    assert refused.exit_code == 2
    assert "--seconds" in refused.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("view", "--port", "70000"),
        ("view", "--grpc-port", "-1"),
        ("top", "--port", "web"),
        ("run", "--view-port", "0", "true"),
    ],
    ids=" ".join,
)
def test_a_port_that_is_none_is_refused(arguments: tuple[str, ...]) -> None:
    """With the numbers that are, instead of a traceback."""
    refused = CliRunner().invoke(tcpwatch, arguments)
    assert refused.exit_code == 2
    assert arguments[1] in refused.output


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


def test_ctrl_c_while_the_command_is_loaded_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has the exit code that it has later."""

    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    loading = types.SimpleNamespace(tcpwatch=interrupted)
    monkeypatch.setitem(sys.modules, "tcpwatch.cli.commands", loading)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130


@pytest.mark.parametrize("name", sorted(tcpwatch.commands))
def test_every_command_documents_itself_to_the_end(name: str) -> None:
    """What it does, an example, and what its exit codes mean, on 80 columns."""
    shown = CliRunner().invoke(tcpwatch, [name, "--help"], prog_name="tcpwatch", terminal_width=80)
    assert shown.exit_code == 0
    assert "\nExamples:\n" in shown.output
    assert re.search(r"\nExit codes:\n  \S+ +\S", shown.output)
    assert max(map(len, shown.output.splitlines())) <= 80


def test_a_shell_completes_commands_options_and_files() -> None:
    """In a real bash, by the two lines that the docs give."""
    script = """
        eval "$(_TCPWATCH_COMPLETE=bash_source tcpwatch)"
        complete -p tcpwatch
        COMP_WORDS=(tcpwatch d); COMP_CWORD=1; _tcpwatch_completion tcpwatch; echo "${COMPREPLY[@]}"
        COMPREPLY=(); COMP_WORDS=(tcpwatch report --h); COMP_CWORD=2; _tcpwatch_completion tcpwatch
        echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert "_tcpwatch_completion" in lines[0], done.stderr
    assert lines[1:] == ["demo doctor", "--html --help"]
