"""How servers stand now: told by their metrics and warnings, as old as their last export."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

import pytest

from tcpwatch import names
from tcpwatch.view import now
from tcpwatch.view.queries.now import depths, standing, warned
from tcpwatch.view.signals import Point
from tcpwatch.view.store import Store
from tcpwatch.view.store.files import read_lines, write_lines
from tcpwatch.view.viewer import Viewer
from tests.view.telemetry import Server

STALL = "accept loop of S on 127.0.0.1:5000 has not accepted for 1.2 s: it is serving 127.0.0.1:4"


def answer(viewer: Viewer, path: str) -> Any:
    """Ask a viewer's interface."""
    with urllib.request.urlopen(f"{viewer.address}/api/{path}", timeout=10) as response:
        return json.load(response)


def test_the_store_and_a_stream_of_points_tell_the_same(store: Store, shop: Server) -> None:
    """The last two exports count, whatever came before."""
    moment = time.time()
    for second in range(5):
        opened = {names.APP: (2, 3.0 + second), names.IDLE: (0, 0.0)}
        shop.standing(moment + second, busy=second, depth=second, opened=opened, accepted=second**2)
    (one,) = standing(store)
    assert one.name == "shop 127.0.0.1:5000"
    assert one.every == pytest.approx(1.0)
    assert (one.busy, one.stuck, one.depth, one.limit) == (4.0, True, 4, 128)
    assert one.open == (now.Open(names.APP, 2, 7.0),)
    assert one.accepted == 16
    assert one.rate == pytest.approx(7.0)
    assert [depth for _, depth in depths(store, 0, moment, moment + 9)] == [0, 1, 2, 3, 4]


def test_a_phase_that_is_not_in_the_last_export_is_over(store: Store, shop: Server) -> None:
    """A sender may leave out what is zero."""
    moment = time.time()
    shop.standing(moment, opened={names.APP: (2, 3.0)})
    shop.standing(moment + 1, opened={names.IDLE: (1, 4.0)})
    (one,) = standing(store)
    assert one.open == (now.Open(names.IDLE, 1, 4.0),)


def test_the_loop_spends_no_more_than_all_of_its_time() -> None:
    """A counter is read a moment after its export was given its time: 1.04 s of 1 s are all."""

    def spent(state: str, second: int, seconds: float) -> Point:
        return Point(
            name=names.M_LOOP_TIME,
            unit="s",
            kind="sum",
            temporality="CUMULATIVE",
            attributes={names.SERVER_ADDRESS: "127.0.0.1", names.LOOP_STATE: state},
            value=seconds,
            time_ns=second * 1_000_000_000,
        )

    (one,) = now.servers(
        [
            spent(names.LOOP_INLINE, 1, 1.0),
            spent(names.LOOP_IDLE, 1, 1.0),
            spent(names.LOOP_INLINE, 2, 1.78),
            spent(names.LOOP_IDLE, 2, 1.26),
        ]
    )
    assert one.loop == pytest.approx({names.LOOP_INLINE: 0.75, names.LOOP_IDLE: 0.25})


def test_processes_of_one_listener_stand_for_themselves(store: Store, shop: Server) -> None:
    """A reloader's new process is not the old one."""
    moment = time.time()
    shop.standing(moment - 1, busy=9.0, instance="old")
    shop.standing(moment, busy=0.0, instance="new")
    assert [(one.instance, one.busy) for one in standing(store)] == [("new", 0.0), ("old", 9.0)]


def test_who_missed_three_exports_is_not_present(store: Store, shop: Server) -> None:
    """An old gauge must not look like a loop that is stuck now."""
    shop.standing(100.0)
    shop.standing(102.0)
    (one,) = standing(store, seconds=time.time())
    assert one.is_present(107.9)
    assert not one.is_present(108.1)


def test_a_server_is_listed_before_its_first_connection_is_over(
    viewer: Viewer, shop: Server
) -> None:
    """The first client may be the one that hangs."""
    moment = time.time()
    shop.standing(moment, busy=5.0, depth=3, opened={names.APP: (1, 5.0)})
    (told,) = answer(viewer, "state")["servers"]
    assert (told["name"], told["connections"]) == ("shop on 127.0.0.1:5000", 0)
    (process,) = told["now"]
    assert (process["busy"], process["stuck"], process["depth"]) == (5.0, True, 3)
    assert process["open"] == [{"phase": names.APP, "count": 1, "oldest": 5.0}]


def test_a_service_that_nobody_named_is_called_by_its_place(viewer: Viewer, store: Store) -> None:
    """OpenTelemetry's `unknown_service:python` tells nobody anything."""
    Server(store, "unknown_service:python").standing(time.time())
    (told,) = answer(viewer, "state")["servers"]
    assert told["name"] == "127.0.0.1:5000"


def test_a_server_that_fell_silent_is_listed_for_what_is_recorded_of_it(
    viewer: Viewer, shop: Server
) -> None:
    """And nothing is said about its present."""
    shop.standing(time.time() - 3600, busy=5.0)
    assert answer(viewer, "state")["servers"] == []
    shop.began = time.time()
    shop.connection(1, {names.APP: 1.0})
    (told,) = answer(viewer, "state")["servers"]
    assert told["now"] == []


def test_a_stall_comes_with_the_servers_own_warning(store: Store, shop: Server) -> None:
    """The last one since the loop left; none of another server, of before, or of another logger."""
    moment = time.time()
    shop.standing(moment, busy=5.0)
    (one,) = standing(store)
    shop.stall(moment - 60, STALL + "1")
    shop.log(moment - 3, STALL + "without attributes")
    Server(store, service="other").stall(moment - 3, STALL + "2")
    shop.stall(moment - 3, STALL + "3", server__port=5001)
    assert warned(store, one) is None
    shop.stall(moment - 4, STALL + "4")
    shop.stall(
        moment - 2,
        "in other words",
        seconds=3.0,
        network__peer__address="::1",
        network__peer__port=4000,
        tcpwatch__phase__name=names.APP,
    )
    said = warned(store, one)
    assert said is not None
    assert (said.text, said.is_over) == ("in other words", False)
    assert (said.who, said.phase) == ("[::1]:4000", names.APP)
    assert said.since == pytest.approx(moment - 5)


def test_a_stall_is_over_when_the_server_says_so(viewer: Viewer, shop: Server) -> None:
    """That record comes before the next export; one of before the last is of another stall."""
    moment = time.time()
    shop.standing(moment, busy=5.0)
    shop.stall(moment - 4, STALL)
    shop.stall(moment - 3.9, "it goes on", over=True)

    def process() -> Any:
        ((told,),) = (server["now"] for server in answer(viewer, "state")["servers"])
        return told

    assert (process()["stuck"], process()["warned"]["text"]) == (True, STALL)
    shop.stall(moment + 0.1, "it goes on", over=True)
    assert (process()["stuck"], process()["warned"]) == (False, None)


def test_logs_are_kept_and_exported_if_they_are_ours(store: Store, shop: Server) -> None:
    """What the application logs is none of the viewer's business."""
    shop.log(100.0, STALL)
    shop.log(100.0, "a secret of the application", logger="app")
    lines = b"".join(write_lines(store))
    assert b"a secret" not in lines
    with Store() as again:
        assert read_lines(again, lines.splitlines(), "copy") == 0
        assert b"".join(write_lines(again)) == lines
        assert STALL.encode() in lines


def test_a_record_from_the_future_is_refused(store: Store, shop: Server) -> None:
    """As spans and points are."""
    shop.log(time.time() + 10 * 86_400, STALL)
    assert store.read("SELECT count(*) FROM logs") == [(0,)]
