"""What a server under measurement answers is what it has used, with all it held exported."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from bench.ladder import beside
from bench.load import Load
from bench.processes import Subject
from bench.rungs import BARE, EVERYTHING, HTTP, KINDS, METRICS, PEER, THREADED, Rung
from bench.server import STRETCH

REQUESTS = 8


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_server_answers_and_accounts_for_it(kind: str) -> None:
    with beside(Subject()) as bench, bench.server(kind, BARE) as server:
        before = server.usage()
        _, latencies = bench.put(Load(server.port, REQUESTS, keep_alive=kind == HTTP))
        after = server.usage()
        assert len(latencies) == REQUESTS
        assert after.whole > before.whole
        assert after.whole - before.whole >= after.serving - before.serving > 0
        assert server.peak() > 1
        server.end()


@pytest.mark.parametrize(("rung", "spans"), [(EVERYTHING, 2), (PEER, 1), (METRICS, 0), (BARE, 0)])
def test_a_flush_exports_all_that_is_held(rung: Rung, spans: int) -> None:
    with beside(Subject()) as bench, bench.server(THREADED, rung) as server:
        bench.put(Load(server.port, REQUESTS))
        server.flush()
        received = bench.spans()
        assert (received >= spans * REQUESTS) if spans else (received == 0)
        server.end()


def test_the_helper_of_a_forking_server_counts() -> None:
    with beside(Subject()) as bench, bench.server("forking", METRICS) as server:
        assert server.helpers() == []
        bench.put(Load(server.port, REQUESTS))
        server.settle()
        assert len(server.helpers()) == 1
        assert server.usage().whole > server.ask("usage")["own"]
        server.end()


def test_a_slowed_server_still_ends_at_once() -> None:
    with Subject().server(THREADED, BARE, "", extra={STRETCH: "50"}) as server:
        assert server.port
        server.end()


def test_a_server_that_fails_says_why() -> None:
    with (
        Subject().server("unknown", BARE, "") as server,
        pytest.raises(RuntimeError, match="KeyError: 'unknown'"),
    ):
        server.ready()


def test_an_order_for_the_load_is_plain() -> None:
    assert Load(**json.loads(json.dumps(asdict(Load(80, 3, rate=10))))) == Load(80, 3, rate=10)
