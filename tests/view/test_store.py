"""The store: bounded, durable, honest about what it refuses; a foreign file is not hurt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tcpwatch import names
from tcpwatch.view.findings import find
from tcpwatch.view.queries.connection import load
from tcpwatch.view.queries.now import depths, standing
from tcpwatch.view.store import Store, StoreError, dictionary
from tcpwatch.view.store import store as module
from tcpwatch.view.store.files import NotARecordingError, read_lines, write_lines
from tests.view.telemetry import Server, blocked, pairs

WRITES_UNTIL_KILLED = """
import sys
from pathlib import Path
from tcpwatch.view.store import Store
from tests.view.telemetry import Server
shop = Server(Store(Path(sys.argv[1])))
for number in range(1, 100_000):
    shop.connection(number, {"app": 1.0})
    print(number, flush=True)
"""
WRITES_INTO_LITTLE_ROOM = """
import resource, sys
from pathlib import Path
from tcpwatch.view.store import Store, StoreError
from tests.view.telemetry import Server
store = Store(Path(sys.argv[1]))
shop = Server(store)
shop.connection(1, {"app": 1.0})
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, most))
try:
    for number in range(2, 100_000):
        shop.connection(number, {"app": 1.0}, filler="x" * 500)
except StoreError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
shop.connection(200_000, {"app": 1.0})
print("again")
"""


def count(store: Store, table: str = "connections") -> int:
    ((many,),) = store.read(f"SELECT count(*) FROM {table}")
    assert isinstance(many, int)
    return many


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": "."},
    )


def test_a_file_keeps_everything_from_one_time_to_the_next(tmp_path: Path) -> None:
    """Connections, blockers, metrics and the numbers that were given to servers and series."""
    with Store(tmp_path / "kept.db") as store:
        shop = Server(store)
        blocked(shop)
        shop.total(names.M_LOOP_TIME, 3, tcpwatch__loop__state="inline")
        before = find(store)
    with Store(tmp_path / "kept.db") as again:
        assert find(again) == before
        Server(again).connection(3, {names.APP: 1.0})
        Server(again).total(names.M_LOOP_TIME, 4, tcpwatch__loop__state="inline")
        assert count(again) == 3
        assert count(again, "servers") == count(again, "series") == 1
        assert find(again).loop == {"inline": 4}


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """Each number on standard output is a connection that add_traces has returned for."""
    path = tmp_path / "killed.db"
    process = python(WRITES_UNTIL_KILLED, path)
    with process:
        assert process.stdout is not None
        told = 0
        for line in process.stdout:
            told = int(line)
            if told >= 40:
                break
        process.send_signal(signal.SIGKILL)
        told += sum(1 for _ in process.stdout)
    with Store(path) as store:
        assert count(store) >= told
        assert count(store) <= told + 1


def test_a_full_disk_is_a_sentence_and_harms_nothing(tmp_path: Path) -> None:
    """The limit on the size of files fails a write like a full disk does."""
    path = tmp_path / "full.db"
    process = python(WRITES_INTO_LITTLE_ROOM, path)
    said, errors = process.communicate(timeout=50)
    assert process.returncode == 0, errors
    assert said.startswith(f"cannot write to the store ({path}): ")
    assert "Free space on the disk" in said
    assert said.endswith("again\n")
    with Store(path) as store:
        spans = [span for (span,) in store.read("SELECT span FROM connections ORDER BY span")]
        assert spans == [*range(1, len(spans)), 200_000]
        assert len(spans) > 2


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough" * 300, b"\x00" * 20_000]
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    """Whoever mistypes a name does not lose a file."""
    path = tmp_path / "letters.txt"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"cannot use .*letters.txt: .*left as it is"):
        Store(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("damaged", [slice(4096, 3 * 4096), slice(3 * 4096, 4 * 4096)])
def test_a_corrupt_database_is_refused_and_left_alone(tmp_path: Path, damaged: slice) -> None:
    """A damaged header or block is found on opening, and called by its name."""
    path = tmp_path / "damaged.db"
    Store(path).close()
    content = bytearray(path.read_bytes())
    content[damaged] = b"\xff" * (damaged.stop - damaged.start)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="it is corrupt"):
        Store(path)
    assert path.read_bytes() == content


def test_a_database_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """No table of ours is put into it."""
    path = tmp_path / "sales.db"
    with duckdb.connect(str(path)) as other:
        other.execute("CREATE TABLE sales (amount INTEGER)")
    with pytest.raises(StoreError, match="not one of tcpwatch"):
        Store(path)
    with duckdb.connect(str(path)) as other:
        assert other.execute("SHOW TABLES").fetchall() == [("sales",)]


def test_a_database_of_another_format_is_refused(tmp_path: Path) -> None:
    """Its columns may mean something else."""
    path = tmp_path / "later.db"
    Store(path).close()
    with duckdb.connect(str(path)) as other:
        other.execute("UPDATE tcpwatch_store SET version = 99")
    with pytest.raises(StoreError, match="format 99"):
        Store(path)


def test_a_database_in_use_is_refused(tmp_path: Path) -> None:
    """Two viewers would write over each other."""
    path = tmp_path / "used.db"
    process = python(WRITES_UNTIL_KILLED, path)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            with pytest.raises(StoreError, match="another process has it open"):
                Store(path)
        finally:
            process.kill()


@pytest.mark.parametrize("in_file", [False, True], ids=["memory", "file"])
def test_the_oldest_leave_first_and_are_counted(tmp_path: Path, in_file: bool) -> None:
    """The store stays near its cap, whatever comes; what is left is the newest."""
    cap = 200_000
    path = tmp_path / "bounded.db" if in_file else None
    with Store(path, cap=cap) as store:
        shop = Server(store)
        for number in range(1, 1001):
            shop.connection(number, {names.APP: 1.0})
            assert store.size <= cap
        kept = [span for (span,) in store.read("SELECT span FROM connections ORDER BY span")]
        assert kept == list(range(1001 - len(kept), 1001))
        assert store.evicted == 1000 - len(kept) > 0
        assert count(store, "spans") == len(kept)
        evicted = store.evicted
    if path:
        with Store(path) as again:
            assert again.evicted == evicted


def test_resources_and_series_are_bounded_and_the_refused_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sender with endless names cannot fill the memory by them."""
    monkeypatch.setattr(dictionary, "MAX_ORIGINS", 3)
    monkeypatch.setattr(dictionary, "MAX_SERIES", 4)
    with Store() as store:
        refused = 0
        for number in range(10):
            request = ExportMetricsServiceRequest()
            point = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
            point.gauge.data_points.add(as_int=1).attributes.extend(pairs({"k": number}))
            refused += store.add_metrics(request)
        assert (refused, count(store, "series")) == (6, 4)
        for number in range(10):
            Server(store, service=str(number)).connection(number + 1, {})
        assert count(store, "origins") == 3
        assert count(store) == 2


def test_hostile_numbers_and_times_are_kept_out_of_the_columns() -> None:
    """What fits no column is absent there, and nothing else of the request is lost."""
    with Store() as store:
        Server(store).connection(
            1,
            {names.APP: float("nan"), names.CLOSE: -1.0, names.IDLE: float("inf")},
            accept_queue__depth=2**62,
            accept_queue__limit=-(2**62),
        )
        request = ExportTraceServiceRequest()
        scope = request.resource_spans.add().scope_spans.add()
        for number, start in enumerate((0, 2**64 - 1, 10**18), 1):
            scope.spans.add(
                trace_id=bytes([number] * 16), span_id=bytes([number] * 8), name="s"
            ).start_time_unix_nano = start
        assert store.add_traces(request) == 1
        assert store.read(
            "SELECT phase_app, phase_close, phase_idle, depth, depth_limit FROM connections"
        ) == [(None, None, None, None, None)]
        assert count(store, "spans") == 3


def test_an_export_read_again_is_the_same_recording() -> None:
    """Spans, links, metrics and their order; the second export is the first, byte for byte."""
    with Store() as store, Store() as copy:
        shop = Server(store)
        blocked(shop)
        Server(store, "other").connection(3, {names.ACCEPT_QUEUE: 0.1}, link=1)
        shop.total(names.M_LOOP_TIME, 3, tcpwatch__loop__state="inline")
        shop.total(names.M_LOOP_TIME, 4, tcpwatch__loop__state="idle")
        lines = list(write_lines(store))
        assert read_lines(copy, lines, "lines") == 0
        assert list(write_lines(copy)) == lines
        assert find(copy) == find(store)
        assert load(copy, [2])[2].blocker == load(store, [2])[2].blocker


def test_what_is_sent_again_is_counted_once() -> None:
    """A sender repeats what was not acknowledged in time; another trace may have the same ids."""
    sent: list[ExportTraceServiceRequest] = []

    class Wire(Store):
        def add_traces(
            self, request: ExportTraceServiceRequest, *, everywhere: bool = False
        ) -> int:
            sent.append(request)
            return super().add_traces(request, everywhere=everywhere)

    with Wire() as store:
        blocked(Server(store))
        spans = count(store, "spans")
        for request in sent[:]:
            assert store.add_traces(request) == 0
        assert (count(store), count(store, "spans")) == (2, spans)
        other = ExportTraceServiceRequest.FromString(sent[0].SerializeToString())
        other.resource_spans[0].scope_spans[0].spans[0].trace_id = b"another's trace."
        store.add_traces(other)
        assert count(store, "spans") == spans + 1


def test_a_recording_that_is_opened_twice_is_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tcpwatch view export --db FILE`, and the next day again, however much came between."""
    monkeypatch.setattr(module, "_LATEST", 1)
    with Store() as store:
        blocked(Server(store))
        Server(store).standing(100.0, depth=3)
        Server(store).stall(100.0, "it is stuck")
        points = count(store, "points")
        lines = list(write_lines(store))
    for day in range(2):
        with Store(tmp_path / "kept.db") as kept:
            assert read_lines(kept, iter(lines), "kept") == 0
            assert (count(kept), count(kept, "requests")) == (2, 2)
            assert (count(kept, "points"), count(kept, "logs")) == (points, 1 + day)
            Server(kept, "between").log(1.0, "a day")


def test_an_export_that_is_sent_again_changes_nothing(store: Store, shop: Server) -> None:
    """A depth is not counted twice, and the rates are still of the last two exports."""
    moment = time.time()
    shop.standing(moment - 1, depth=2, accepted=10)
    shop.standing(moment, depth=3, accepted=15)
    bodies = count(store, "points")
    for _ in range(2):
        shop.standing(moment, depth=3, accepted=15)
        shop.stall(moment, "it is stuck")
    assert (count(store, "points"), count(store, "logs")) == (bodies, 1)
    assert [depth for _, depth in depths(store, 0, moment - 2, moment + 1)] == [2, 3]
    (one,) = standing(store)
    assert one.rate == pytest.approx(5.0)
    shop.standing(moment, depth=4, accepted=15)
    assert count(store, "points") == bodies + 1


def test_the_collectors_files_are_read() -> None:
    """One line an export, ids in hex, times as text, logs among them."""
    export = (
        b'{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{"name":"tcpwatch"},"spans":['
        b'{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174",'
        b'"name":"tcp.connection","kind":1,"startTimeUnixNano":"1544712660000000000",'
        b'"endTimeUnixNano":"1544712661000000000"}]}]}]}\n'
    )
    lines = [export, b"\n", b'{"resourceLogs":[]}\n']
    with Store() as store:
        assert read_lines(store, lines, "collector.json") == 0
        assert count(store) == 1


@pytest.mark.parametrize("line", [b"{", b"[]", b"{}", b"\xff", b'{"resourceSpans": 7}'])
def test_a_line_that_is_no_otlp_is_named(line: bytes) -> None:
    """With the file and the line's number."""
    with Store() as store, pytest.raises(NotARecordingError, match=r"some\.jsonl, line 2: "):
        read_lines(store, [b'{"resourceLogs":[]}', line], "some.jsonl")


@pytest.mark.parametrize(
    ("service", "address", "name", "short"),
    [
        ("shop", "127.0.0.1", "shop on 127.0.0.1:5000", "shop"),
        ("unknown_service:python", "127.0.0.1", "127.0.0.1:5000", "127.0.0.1:5000"),
        ("unknown_service:python", "::1", "[::1]:5000", "[::1]:5000"),
    ],
)
def test_a_server_that_nobody_named_is_called_by_its_place(
    service: str, address: str, name: str, short: str
) -> None:
    """OpenTelemetry's own name for a service tells nobody anything."""
    server = dictionary.Server(1, service, address, 5000)
    assert (server.name, server.short) == (name, short)
