"""The demo, short: real servers, real clients, real telemetry, and the sentences at the end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

import psutil
import pytest

from tests.cli.terminal import Terminal
from tests.live.wire import LIMIT

SECONDS = 3
COMMAND = [sys.executable, "-m", "tcpwatch", "demo", "--seconds", str(SECONDS)]
ENVIRONMENT = os.environ | {"COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}


@pytest.fixture(scope="module")
def told() -> str:
    """What the demo prints into a pipe of 80 columns, as one line of words."""
    finished = subprocess.run(
        COMMAND, env=ENVIRONMENT, capture_output=True, text=True, timeout=50, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stderr == ""
    assert max(map(len, finished.stdout.splitlines())) <= 80
    assert "\x1b" not in finished.stdout
    return " ".join(finished.stdout.split())


def test_the_demo_says_that_client_b_waited_for_client_a(told: str) -> None:
    """The sentence this project exists for, read from the telemetry only."""
    assert re.search(
        r"[Cc]lient B at 127\.0\.0\.1:\d+ \(GET /fast\) waited \S+ m?s before anybody answered "
        r"its connection: the server has one thread, and it was busy with client A at "
        r"127\.0\.0\.1:\d+ \(GET /slow\)",
        told,
    )


def test_the_demo_says_that_a_silent_connection_held_the_only_thread(told: str) -> None:
    """A browser's preconnect asks for nothing and still blocks everybody."""
    assert re.search(r"client C at \S+ \(GET /fast\) waited \S+ m?s", told, re.IGNORECASE)
    assert re.search(r"busy with 127\.0\.0\.1:\d+, which had connected and sent nothing", told)


def test_the_demo_says_that_threads_do_not_help_against_a_silent_tls_client(told: str) -> None:
    """The handshake is in the loop that answers, whatever serves afterwards."""
    if "Act 3" not in told:
        pytest.skip("this machine's OpenSSL has no anonymous ciphers")
    assert re.search(r"client G at \S+ \(GET /fast\) waited \S+ m?s", told, re.IGNORECASE)
    assert "still in the encryption handshake of" in told


def test_the_demo_compares_one_thread_with_many(told: str) -> None:
    """The same clients, so the difference is the server's."""
    assert re.search(r"The same clients, the longest wait: \S+ m?s with one thread", told)


def test_in_a_terminal_it_ends_with_the_sentence_and_the_page_that_begins_with_it() -> None:
    """Whoever has never seen tcpwatch is led there: by the last screen, and by the page's first."""
    terminal = Terminal(*COMMAND)
    try:
        terminal.wait(r"act 1 of \d")
        address = terminal.wait(r"With pictures: (http://127\.0\.0\.1:\d+)")[1]
        screen = " ".join(terminal.screen.split())
        said = re.search(r"Client B at .* busy with client A at \S+ \(GET /slow\)", screen)
        assert said, screen
        with urllib.request.urlopen(f"{address}/api/state", timeout=LIMIT) as answer:
            server = next(one for one in json.load(answer)["servers"] if "one" in one["service"])
        with urllib.request.urlopen(
            f"{address}/api/findings?server={server['id']}", timeout=LIMIT
        ) as answer:
            assert json.load(answer)["sentences"][0]["text"].startswith(said[0])
        terminal.child.sendintr()
        assert terminal.end() == (0, None)
    finally:
        terminal.child.close(force=True)


def test_an_interrupted_demo_leaves_no_process_behind() -> None:
    """Ctrl-C stops the servers too."""
    process = subprocess.Popen(
        COMMAND, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Five clients" in line:  # the server is up by then
                break
        servers = psutil.Process(process.pid).children(recursive=True)
        assert servers
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert not psutil.wait_procs(servers, timeout=30)[1]
