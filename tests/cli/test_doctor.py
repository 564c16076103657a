"""`tcpwatch doctor`: what can be wrong is found, with its cure, and the exit code says so."""

from __future__ import annotations

import http.server
import importlib
import importlib.util
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import pytest

from tcpwatch.cli.checks import configured, installed, kernel, telemetry, watching
from tcpwatch.cli.checks.finding import Finding, Grade
from tcpwatch.core.marks import Closing
from tcpwatch.kernel.tcp_info import AtAccept
from tcpwatch.testing import FakeKernel
from tcpwatch.view.receiver import Receiver
from tests.cli.programs import environment
from tests.live.wire import LIMIT

NOBODY = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
"""Where no collector listens; at the default address another test may have one."""


def doctor(env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tcpwatch", "doctor"],
        env=environment({"COLUMNS": "80", **NOBODY, **env}),
        capture_output=True,
        text=True,
        timeout=LIMIT * 3,
        check=False,
    )


def graded(findings: Iterator[Finding]) -> dict[str, Finding]:
    """Return findings by what they are about."""
    return {finding.about: finding for finding in findings}


# -- the command ---------------------------------------------------------------------------------


def test_where_everything_works_nothing_is_wrong(receiver: Receiver) -> None:
    """Exit code 0, on 80 columns, without colours in a pipe."""
    told = doctor({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_SERVICE_NAME": "shop"})
    assert told.returncode == 0, told.stdout
    assert told.stderr == ""
    assert told.stdout.splitlines()[-1].startswith("Nothing is wrong")
    assert max(map(len, told.stdout.splitlines())) <= 80
    assert "\x1b" not in told.stdout
    # An empty export leaves nothing behind.
    assert receiver.recording.spans == []
    assert receiver.recording.points() == []


def test_what_is_wrong_is_in_the_exit_code_and_in_the_last_line() -> None:
    """Also when it is the whole environment that is."""
    told = doctor({"TCPWATCH_STALL": "soon\x1b[31m", "OTEL_SDK_DISABLED": "true"})
    assert told.returncode == 1
    assert told.stdout.splitlines()[-1].startswith("4 wrong: TCPWATCH_STALL, watching, traces")
    assert "\x1b" not in told.stdout


# -- packages ------------------------------------------------------------------------------------


def test_every_package_that_is_needed_is_named_with_its_version() -> None:
    """As the metadata of tcpwatch itself ask for them."""
    found = graded(installed.check())
    assert found["opentelemetry-sdk"].words == metadata.version("opentelemetry-sdk")
    assert found["tcpwatch"].words == metadata.version("tcpwatch")
    assert not [one for one in found.values() if one.grade is Grade.WRONG]


def test_a_package_that_is_too_old_or_missing_is_wrong_with_a_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of an extra it is only absent."""
    real = metadata.version

    def version(name: str) -> str:
        if name == "waitress":
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name == "psutil" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    found = graded(installed.check())
    assert found["psutil"].grade is Grade.WRONG
    assert re.match(r"psutil 0\.1 is installed, >=\S+ is needed", found["psutil"].words)
    assert found["psutil"].cure.endswith("-m pip install --upgrade 'psutil'")
    assert found["[view]"].grade is Grade.ABSENT
    assert found["[view]"].cure.endswith("-m pip install 'tcpwatch[view]'")


def test_parts_of_opentelemetry_that_do_not_fit_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """They pin each other, and pip lets one of them be upgraded alone."""
    real = metadata.version

    def version(name: str) -> str:
        return "1.0.0" if name == "opentelemetry-proto" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    wrong = [one for one in installed.check() if one.grade is Grade.WRONG]
    assert {one.about for one in wrong} == {"opentelemetry-exporter-otlp-proto-http"}
    assert wrong[0].words.startswith("opentelemetry-proto 1.0.0 is installed, ==")


# -- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "about", "cure"),
    [
        ({"TCPWATCH_STALL": "soon"}, "TCPWATCH_STALL", "unset it for 1.0"),
        ({"TCPWATCH_EXCLUDED_URLS": "/a,("}, "TCPWATCH_EXCLUDED_URLS", "unset it for none"),
        ({"TCPWATCH_STAL": "1"}, "TCPWATCH_STAL", "did you mean TCPWATCH_STALL?"),
        ({"TCPWATCH_XYZ": "1"}, "TCPWATCH_XYZ", "unset it"),
        ({"OTEL_SDK_DISABLED": "True"}, "watching", "unset OTEL_SDK_DISABLED"),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "a, *"}, "instrument", "tcpwatch run"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "1s"}, "OTEL_METRIC_EXPORT_INTERVAL", "correct it"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "OTEL_BSP_MAX_QUEUE_SIZE", "correct it"),
        ({"OTEL_TRACES_SAMPLER": "often"}, "OTEL_TRACES_SAMPLER", "correct it"),
        ({"OTEL_TRACES_EXPORTER": "jaeger"}, "OTEL_TRACES_EXPORTER", "correct it"),
        ({"OTEL_PROPAGATORS": "b3"}, "OTEL_PROPAGATORS", "correct it"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a"}, "OTEL_RESOURCE_ATTRIBUTES", "correct it"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http"}, "OTEL_EXPORTER_OTLP_PROTOCOL", "correct it"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector"}, "OTEL_EXPORTER_OTLP_ENDPOINT", "correct"),
        ({"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "1s"}, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "corr"),
        ({"OTEL_EXPORTER_OTLP_CERTIFICATE": "/no/file"}, "OTEL_EXPORTER_OTLP_CERTIFICATE", "corr"),
        ({"OTEL_EXPORTER_OTLP_ENDPONT": "x"}, "OTEL_EXPORTER_OTLP_ENDPONT", "_ENDPOINT?"),
    ],
)
def test_a_wrong_setting_has_a_cure(env: dict[str, str], about: str, cure: str) -> None:
    """Each in words of its own."""
    (wrong,) = [one for one in configured.check(env) if one.grade is Grade.WRONG]
    assert (wrong.about, cure in wrong.cure) == (about, True), wrong


SOUND = {
    "TCPWATCH_STALL": "0.5",
    "TCPWATCH_INCLUDE": "5000",
    "OTEL_SERVICE_NAME": "shop",
    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0.1",
    "OTEL_TRACES_EXPORTER": "otlp, console",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "2.5",
    "OTEL_BSP_SCHEDULE_DELAY": "500",
    "OTEL_PYTHON_EXCLUDED_URLS": "healthz,metrics$",
    "OTEL_PYTHON_LOG_CORRELATION": "true",
}


def test_every_setting_is_told_with_its_value() -> None:
    """Also those that are sound, so that a person sees what is in force."""
    found = graded(configured.check(SOUND))
    assert {name: found[name].grade for name in SOUND} == dict.fromkeys(SOUND, Grade.OK)
    assert all(value in found[name].words for name, value in SOUND.items())
    assert "warn" in found["TCPWATCH_STALL"].words


def test_a_variable_that_nobody_reads_is_no_error() -> None:
    """It may be of something that is not known here."""
    found = graded(configured.check({"OTEL_JAVA_AGENT": "1"}))
    assert found["OTEL_JAVA_AGENT"].grade is Grade.ABSENT


def test_secrets_are_not_told() -> None:
    """The output is there to be sent to others."""
    found = graded(
        configured.check(
            {
                "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic abc,x-team=web",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "https://me:secret@collector/",
            }
        )
    )
    assert found["OTEL_EXPORTER_OTLP_HEADERS"].words == "authorization=…, x-team=…"
    assert found["OTEL_EXPORTER_OTLP_ENDPOINT"].words == "https://…@collector/"


def test_an_empty_environment_is_healthy() -> None:
    """All defaults; only the service has no name."""
    found = graded(configured.check({}))
    assert [one.about for one in found.values() if one.grade is not Grade.OK] == ["service"]


# -- the kernel ----------------------------------------------------------------------------------


def test_a_kernel_that_tells_nothing_costs_names_not_errors() -> None:
    """Every question has an answer: what is absent then."""
    found = [one for one in kernel.check(FakeKernel()) if one.about[0] != "n"]
    assert {one.grade for one in found[1:]} == {Grade.ABSENT}
    words = " ".join(one.words for one in found)
    for name in ("accept_queue", "tcpwatch.accept_queue.depth", "tcpwatch.accept_queue.drops"):
        assert name in words
    for name in ("tcpwatch.connection.id", "tcpwatch.tcp.bytes_sent", "tcpwatch.tcp.busy"):
        assert name in words


def test_a_kernel_that_tells_nonsense_is_not_believed() -> None:
    """A sandbox may answer with zeros: a connection waited, and it says it did not."""
    sandbox = FakeKernel()
    sandbox.depth_and_limit = (0, 0)
    sandbox.at_accept = AtAccept(1, 0, None, 0)
    sandbox.at_close = Closing(bytes_acked=0, min_rtt_us=0, busy_us=0)
    found = graded(kernel.check(sandbox))
    assert "not reliable" in found["accept queue"].words
    assert "not reliable" in found["time in queue"].words
    assert "Linux 4.19 on" in found["TCP_INFO"].words


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is read on Linux only")
def test_this_kernel_tells_how_long_a_connection_waited() -> None:
    """The doctor makes one wait, and compares."""
    found = graded(kernel.check())
    assert found["time in queue"].grade is Grade.OK
    assert found["accept queue"].grade is Grade.OK


# -- watching ------------------------------------------------------------------------------------


def test_the_self_test_watches_a_real_server() -> None:
    """Whatever the environment would exclude or switch off."""
    found = graded(watching.check())
    assert "werkzeug.serving.ThreadedWSGIServer" in found["self-test"].words
    for phase in ("dispatch", "idle", "read_head", "app", "close"):
        assert phase in found["self-test"].words


def test_a_watched_server_that_fails_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the last line that it said."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    (found,) = watching.check()
    assert found.grade is Grade.WRONG
    assert "failed and said: nothing" in found.words


# -- telemetry -----------------------------------------------------------------------------------


@contextmanager
def receiver_that_says(status: int) -> Iterator[str]:
    """Serve something that answers every export with this status."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(LIMIT)
        server.server_close()


def tried(monkeypatch: pytest.MonkeyPatch, **env: str) -> Finding:
    """Return what is found of the spans' way."""
    for name, value in env.items():
        monkeypatch.setenv(f"OTEL_{name}", value)
    return graded(telemetry.check())["traces"]


def test_an_export_that_arrives_is_ok(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an empty one, as OTLP allows."""
    found = tried(monkeypatch, EXPORTER_OTLP_ENDPOINT=receiver.endpoint)
    assert found.grade is Grade.OK, found


def test_the_way_of_warnings_is_tried_if_there_is_one(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are exported only where the environment says so."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    found = graded(telemetry.check())["logs"]
    assert (found.grade, "OTEL_LOGS_EXPORTER=otlp" in found.cure) == (Grade.ABSENT, True)
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "console, otlp")
    found = graded(telemetry.check())["logs"]
    assert found.grade is Grade.OK, found
    assert "arrive at" in found.words


@pytest.mark.parametrize(
    ("status", "cure"), [(401, "OTEL_EXPORTER_OTLP_HEADERS"), (404, "OTEL_EXPORTER_OTLP_PROTOCOL")]
)
def test_a_receiver_that_refuses_is_wrong(
    status: int, cure: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With what it said, and nothing of the exporter's own noise."""
    with receiver_that_says(status) as endpoint:
        found = tried(monkeypatch, EXPORTER_OTLP_ENDPOINT=endpoint)
    assert found.grade is Grade.WRONG
    assert str(status) in found.words
    assert cure in found.cure
    assert capfd.readouterr().err == ""


def test_where_nobody_listens_the_cure_is_to_start_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    found = tried(monkeypatch, EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert "nobody listens there" in found.words
    assert "tcpwatch view" in found.cure


def test_a_receiver_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bounded time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = tried(monkeypatch, EXPORTER_OTLP_ENDPOINT=endpoint, METRICS_EXPORTER="none")
    assert found.grade is Grade.WRONG
    assert "do not arrive" in found.words


def test_an_exporter_that_is_off_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody wanted it so."""
    assert tried(monkeypatch, TRACES_EXPORTER="none").grade is Grade.ABSENT


def test_a_protocol_that_does_not_exist_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would fall silent."""
    found = tried(monkeypatch, EXPORTER_OTLP_PROTOCOL="http/json5")
    assert (found.grade, "there is no such protocol" in found.words) == (Grade.WRONG, True)


TRACE = "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
GRPC = importlib.util.find_spec("grpc") is not None


@pytest.mark.skipif(GRPC, reason="the extra grpc is installed")
def test_without_the_extra_grpc_has_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install."""
    found = tried(monkeypatch, EXPORTER_OTLP_PROTOCOL="grpc")
    assert found.cure == "install tcpwatch[grpc]"


@pytest.mark.skipif(not GRPC, reason="the extra grpc is not installed")
def test_an_export_over_grpc_is_tried_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that arrives, and one where the port speaks something else."""
    grpc: Any = importlib.import_module("grpc")
    service: Any = importlib.import_module(f"{TRACE}_grpc")
    answers: Any = importlib.import_module(TRACE)

    class Taker(service.TraceServiceServicer):  # type: ignore[misc]  # untyped there
        def Export(self, request: object, context: object) -> object:
            return answers.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(1))
    service.add_TraceServiceServicer_to_server(Taker(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        found = graded_over_grpc(monkeypatch, port)
    finally:
        server.stop(None)
    assert found["traces"].grade is Grade.OK, found
    assert found["metrics"].grade is Grade.WRONG, found


def graded_over_grpc(monkeypatch: pytest.MonkeyPatch, port: int) -> dict[str, Finding]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    return graded(telemetry.check())
