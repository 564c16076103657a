"""Settings that are wrong: what cannot be made is said in a sentence, and the server serves."""

from __future__ import annotations

import pytest

from tests.live.conftest import Start
from tests.live.seen import Seen

CURE = "correct the OTEL_* variable and start again"


@pytest.mark.parametrize(
    ("variable", "text", "lost"),
    [
        ("OTEL_BSP_SCHEDULE_DELAY", "-1", "traces"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "traces"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "metrics"),
    ],
)
def test_a_setting_that_opentelemetry_refuses_costs_its_own_signal_only(
    start: Start, seen: Seen, variable: str, text: str, lost: str
) -> None:
    """One line says which and why; the other signal is sent."""
    server = start("--server", "flask", env={variable: text})

    assert [server.get("/").status for _ in range(3)] == [200] * 3

    if lost == "traces":
        seen.wait_total("tcpwatch.connection.accepted", 3)
    else:
        seen.wait_connections(3)
    assert server.stderr.count(f"{lost} are not sent: OpenTelemetry does not take a setting") == 1
    assert CURE in server.stderr
    assert "Traceback" not in server.stderr


def test_a_pattern_of_opentelemetrys_that_is_none_excludes_nothing(
    start: Start, seen: Seen
) -> None:
    """The others of the list hold."""
    env = {"OTEL_PYTHON_EXCLUDED_URLS": "((,/private"}
    server = start("--server", "flask", env=env)

    server.get("/private")
    server.get("/")

    assert [span.attributes["url.path"] for span in seen.wait_requests(1)] == ["/"]
    assert "OTEL_PYTHON_EXCLUDED_URLS: '((' is no regular expression" in server.stderr
    assert "Traceback" not in server.stderr
