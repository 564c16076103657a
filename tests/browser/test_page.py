"""The page as a person meets it: the sentence first, then the picture, then the connection."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.request
from typing import Any

import pytest

from tcpwatch import names
from tcpwatch.cli.servers import SampleServer
from tcpwatch.view.store import Store
from tcpwatch.view.viewer import Viewer
from tests.browser.conftest import SHOTS, Open, Serve
from tests.view.telemetry import Server, blocked

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}\u202e\x1b[2J'
VIEWS = ("findings", "loop", "overview", "learn")
READY = {view: f'[data-ready="{view}"]' for view in VIEWS} | {
    "loop": "#gantt[data-rows]:not([data-rows='0'])"
}


def rows(page: Any) -> list[dict[str, Any]]:
    """What the picture shows, with the place of each row in the window."""
    found: list[dict[str, Any]] = page.evaluate(
        """() => {
            const canvas = document.getElementById("gantt"), picture = canvas.picture;
            const box = canvas.getBoundingClientRect();
            return picture.shown.map((row, at) => ({ ...row,
                x: box.left + (Math.max(picture.scale.x(row.start), picture.left)
                    + Math.min(picture.scale.x(row.end), picture.width)) / 2,
                y: box.top + picture.y(at) + picture.rowHeight / 2 }));
        }"""
    )
    return found


def row(page: Any, agent: str) -> dict[str, Any]:
    """The row of the client that calls itself so."""
    return next(one for one in rows(page) if one["agent"] == agent)


def test_the_page_opens_with_the_sentence(recorded: Viewer, open_page: Open) -> None:
    """Someone who never saw tcpwatch reads that client B waited for client A, and sees it."""
    page = open_page(recorded.address)
    card = page.locator(".card", has_text="Client B")
    card.wait_for()
    assert re.search(
        r"Client B at \S+ \(GET /fast\) waited \S+ m?s before anybody answered its connection: the "
        r"server has one thread, and it was busy with client A at \S+ \(GET /slow\)",
        card.inner_text(),
    )
    assert card.locator("svg rect").count() >= 2
    assert card.locator("svg line.points").count() >= 1


def test_a_sentence_leads_to_its_place_in_the_loop(recorded: Viewer, open_page: Open) -> None:
    """The window is the finding's, and the one that waited is marked."""
    page = open_page(recorded.address)
    page.locator(".card", has_text="Client B").get_by_text("See it in the loop").click()
    page.wait_for_selector(READY["loop"])
    shown = [one["agent"] for one in rows(page)]
    assert "client A" in shown
    assert "client B" in shown
    assert len(shown) < 15


def test_pointing_at_a_row_tells_it_and_a_click_opens_it(recorded: Viewer, open_page: Open) -> None:
    """The hover names the phases and the blocker; the click is the connection's own page."""
    page = open_page(f"{recorded.address}/#/loop")
    page.wait_for_selector(READY["loop"])
    victim = row(page, "client B")
    page.mouse.move(victim["x"], victim["y"])
    told = page.locator("#tip:visible")
    told.wait_for()
    assert "Waited for client A" in told.inner_text()
    assert "accept queue" in told.inner_text()
    page.mouse.click(victim["x"], victim["y"])
    page.wait_for_selector('[data-ready="connection"]')
    assert "client B" in page.locator("h1").inner_text()


def test_from_the_blocked_to_the_blocker_and_back(recorded: Viewer, open_page: Open) -> None:
    """One click each way."""
    page = open_page(recorded.address)
    page.locator(".card", has_text="Client B").get_by_role("link", name="Client B at").click()
    page.locator("#why a", has_text="client A").click()
    page.locator("h1", has_text="client A").wait_for()
    page.locator(".facts a", has_text="client B").click()
    page.locator("h1", has_text="client B").wait_for()
    page.keyboard.press("b")
    page.locator("h1", has_text="client A").wait_for()
    page.go_back()
    page.locator("h1", has_text="client B").wait_for()
    steps = page.locator(".step").all_inner_texts()
    assert any("accept queue" in step and "TCPServer.get_request" in step for step in steps)
    assert any("read head" in step and "parse_request" in step for step in steps)  # without a span
    assert any("GET /fast" in step and "sample.py:" in step for step in steps)  # its view


def test_the_loop_is_worked_by_keyboard_alone(recorded: Viewer, open_page: Open) -> None:
    """Choose, go to the blocker, zoom, open."""
    page = open_page(f"{recorded.address}/#/loop")
    page.wait_for_selector(READY["loop"])
    order = [one["id"] for one in rows(page)]
    victim, holder = row(page, "client B")["id"], row(page, "client A")["id"]
    canvas = page.locator("#gantt")
    for _ in range(order.index(victim) + 1):
        page.keyboard.press("ArrowDown")
    assert canvas.get_attribute("data-selected") == victim
    page.keyboard.press("b")
    assert canvas.get_attribute("data-selected") == holder
    before = len(rows(page))
    for _ in range(4):
        page.keyboard.press("+")
    page.wait_for_selector(f"#gantt:not([data-rows='{before}'])")
    page.keyboard.press("f")
    page.wait_for_selector(f"#gantt[data-rows='{before}']")
    page.keyboard.press("Enter")
    page.locator("h1", has_text="client A").wait_for()
    page.keyboard.press("3")
    page.wait_for_selector(READY["overview"])


def test_the_focus_stays_where_the_keyboard_put_it(recorded: Viewer, open_page: Open) -> None:
    """What the page draws again each second does not throw out who is in it with the tab key."""
    page = open_page(recorded.address)
    page.wait_for_selector(READY["findings"])
    link = page.locator("#views a", has_text="Overview")
    link.focus()
    for _ in range(2):
        with page.expect_response("**/api/state*"):
            pass
    assert link.evaluate("link => link === document.activeElement")
    page.keyboard.press("Enter")
    page.wait_for_selector(READY["overview"])
    current = page.locator("#views a[aria-current=page]")
    assert current.inner_text() == "Overview"
    assert current.evaluate("link => link === document.activeElement")


def test_the_wheel_and_the_mouse_zoom_and_pan(recorded: Viewer, open_page: Open) -> None:
    """The moment under the pointer stays there; what is on screen is in the address."""
    page = open_page(f"{recorded.address}/#/loop")
    page.wait_for_selector(READY["loop"])
    page.locator("#fit").click()  # a recording of just now is followed live until then
    view = "() => document.getElementById('gantt').picture.view"
    before = page.evaluate(view)
    page.mouse.move(700, 350)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    zoomed = page.evaluate(view)
    assert zoomed["end"] - zoomed["begin"] < (before["end"] - before["begin"]) * 0.6
    page.mouse.down()
    page.mouse.move(600, 350, steps=4)
    page.mouse.up()
    panned = page.evaluate(view)
    assert panned["begin"] > zoomed["begin"]
    kept = dict(part.split("=") for part in page.url.partition("?")[2].split("&"))
    assert float(kept["begin"]) == pytest.approx(panned["begin"], abs=0.01)


def test_the_overview_has_its_charts_and_keeps_its_filters(
    recorded: Viewer, open_page: Open
) -> None:
    """A choice is in the address, and the address alone brings it back."""
    page = open_page(f"{recorded.address}/#/overview")
    page.wait_for_selector(".chart:nth-of-type(3) svg.main-svg")
    everyone = page.locator(".lead").inner_text()
    page.select_option("#filter-route", "/slow")
    page.locator(".lead", has_text="1 connection").wait_for()
    assert "route=%2Fslow" in page.url
    again = open_page(page.url)
    again.locator(".lead", has_text="1 connection").wait_for()
    again.get_by_text("clear", exact=True).click()
    again.locator(".lead", has_text=everyone).wait_for()


@pytest.mark.parametrize("size", [(1280, 720), (390, 844)])
def test_what_a_chart_says_at_its_axes_is_not_cut_off(
    serve: Serve, open_page: Open, size: tuple[int, int]
) -> None:
    """Each word is inside of its picture, though phases last from microseconds to seconds."""
    viewer = serve()
    shop = Server(viewer.store)
    shop.connection(1, {names.DISPATCH: 1e-6, names.APP: 2.0})
    page = open_page(f"{viewer.address}/#/overview", size)
    page.wait_for_selector(".chart:nth-of-type(3) svg.main-svg .xtick text")
    outside = page.evaluate(
        """() => [...document.querySelectorAll(".chart .xtick text, .chart .ytick text")]
            .filter((text) => {
                // Its middle line from end to end: the box round a slanted word is larger than it.
                const { x, y, width, height } = text.getBBox(), at = text.getScreenCTM();
                const room = text.closest("svg").getBoundingClientRect();
                return [x, x + width].some((end) => {
                    const point = new DOMPoint(end, y + height / 2).matrixTransform(at);
                    return point.x < room.left || point.x > room.right
                        || point.y < room.top || point.y > room.bottom - 3;
                });
            }).map((text) => text.textContent)"""
    )
    assert outside == []
    for chart in page.locator(".chart").all()[1:]:
        assert chart.locator(".ytick text").all_text_contents() == ["0", "1"]


def test_learn_has_this_recording_s_own_numbers(recorded: Viewer, open_page: Open) -> None:
    """Each phase in kernel and Python terms, and where it was in the code."""
    page = open_page(f"{recorded.address}/#/learn")
    lesson = page.locator("#accept_queue")
    lesson.wait_for()
    words = lesson.inner_text()
    assert re.search(r"\d+ connections had it", words)
    assert "accept queue" in words
    assert "socketserver.TCPServer.get_request" in words


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_each_view_follows_the_system_s_theme(
    recorded: Viewer, open_page: Open, view: str, theme: str
) -> None:
    """And the button turns it; the choice stays."""
    page = open_page(f"{recorded.address}/#/{view}", theme=theme)
    page.wait_for_selector(READY[view])
    if view == "overview":
        page.wait_for_selector(".chart:nth-of-type(3) svg.main-svg")
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    dark = sum(map(int, re.findall(r"\d+", before)[:3])) < 200
    assert dark == (theme == "dark")
    page.keyboard.press("t")
    assert page.evaluate(ground) != before
    page.reload()
    page.wait_for_selector(READY[view])
    assert page.evaluate(ground) != before
    page.locator("#theme").click()
    assert page.evaluate(ground) == before


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_fits_a_phone(recorded: Viewer, open_page: Open, view: str) -> None:
    """Nothing has to be scrolled sideways."""
    page = open_page(f"{recorded.address}/#/{view}", size=(390, 780))
    page.wait_for_selector(READY[view])
    wide, seen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= seen
    inner = page.evaluate("[main.scrollWidth, main.clientWidth]")
    assert inner[0] <= inner[1]


def test_a_phone_has_the_place_in_the_code_too(recorded: Viewer, open_page: Open) -> None:
    """Below the bar, where there is no room beside it."""
    page = open_page(recorded.address, size=(390, 780))
    page.locator(".card", has_text="Client B").get_by_role("link", name="Client B at").click()
    page.wait_for_selector('[data-ready="connection"]')
    assert page.locator(".step .code", has_text="TCPServer.get_request").first.is_visible()
    inner = page.evaluate("[main.scrollWidth, main.clientWidth]")
    assert inner[0] <= inner[1]


def test_a_window_without_connections_says_so(serve: Serve, open_page: Open) -> None:
    """A server that nobody asked lately, live, is not an empty page without a word."""
    viewer = serve()
    blocked(Server(viewer.store, began=time.time() - 60))
    page = open_page(f"{viewer.address}/#/loop")
    page.wait_for_selector(READY["loop"])
    assert page.locator("#nobody").is_hidden()
    page.click("#live")
    page.locator("#shown", has_text="0 connections").wait_for()
    said = page.locator("#nobody:visible", has_text="No connection that is over")
    said.get_by_role("button", name="Show all").click()
    page.wait_for_selector(READY["loop"])
    assert page.locator("#nobody").is_hidden()
    page.click("#live")
    said.wait_for()


def test_what_happens_now_appears_by_itself(serve: Serve, open_page: Open) -> None:
    """A page that was open before the first connection shows it, and the next, without a reload."""
    viewer = serve()
    page = open_page(f"{viewer.address}/#/findings")
    page.get_by_text("Nothing has arrived yet").wait_for()
    shop = Server(viewer.store, began=time.time() - 5)
    blocked(shop)
    page.locator(".card", has_text="Client B").wait_for()
    page.locator(".card a.look").focus()
    shop.connection(4, {names.APP: 0.5}, start=2.0)
    page.locator(".lead", has_text="of 3 connections").wait_for()
    assert page.evaluate("document.activeElement.className") == "look"
    page.get_by_role("link", name="Loop", exact=True).click()
    page.wait_for_selector("#gantt[data-rows='3']")
    assert page.locator("#live").get_attribute("aria-pressed") == "true"
    shop.connection(3, {names.APP: 0.5}, start=3.0)
    page.wait_for_selector("#gantt[data-rows='4']")


def test_what_clients_wrote_is_text_everywhere(serve: Serve, open_page: Open) -> None:
    """Names, paths, agents, outcomes, routes and servers are all a stranger's to choose."""
    viewer = serve()
    shop = Server(viewer.store, HOSTILE)
    shop.connection(1, {names.APP: 1.0}, outcome=HOSTILE, error__type=HOSTILE)
    shop.request(1, "/" + HOSTILE, parent=1, agent=HOSTILE[:20])
    shop.connection(
        2,
        {names.ACCEPT_QUEUE: 0.9},
        start=0.1,
        blocked_by__activity=HOSTILE,
        blocked_by__connection__id="1",
    )
    for view in (*VIEWS, f"connection/{1:016x}", f"connection/{2:016x}"):
        page = open_page(f"{viewer.address}/#/{view}")
        page.wait_for_selector(READY.get(view, '[data-ready="connection"]'))
        if view == "overview":
            page.wait_for_selector(".chart:nth-of-type(3) svg.main-svg")
        if view == "loop":
            first = rows(page)[0]
            page.mouse.move(first["x"], first["y"])
            page.locator("#tip:visible").wait_for()
        assert page.locator("img[src=x]").count() == 0
        assert page.locator("main script").count() == 0
        assert "alert(1)" in page.locator("body").inner_text() + page.title()


def test_the_page_says_that_older_spans_had_to_leave(serve: Serve, open_page: Open) -> None:
    """What is shown begins later than what happened."""
    viewer = serve(cap=60_000)
    shop = Server(viewer.store)
    for number in range(1, 200):
        shop.connection(number, {names.APP: 1.0})
    page = open_page(viewer.address)
    page.locator("#trouble", has_text="had to leave").wait_for()


def test_a_viewer_that_is_gone_is_told_and_what_was_shown_stays(chromium: Any) -> None:
    """The page outlives its server."""
    store = Store()
    viewer = Viewer(store, port=0)
    blocked(Server(store))
    page = chromium.new_page()
    page.goto(viewer.address)
    page.locator(".card", has_text="Client B").wait_for()
    viewer.close()
    store.close()
    page.locator("#trouble", has_text="does not answer any more").wait_for()
    assert page.locator(".card", has_text="Client B").count() == 1
    page.close()


def test_the_picture_is_complete_for_thousands_of_rows(serve: Serve, open_page: Open) -> None:
    """All of them are drawn, scrolled and found; a drawing takes no longer than a frame may."""
    viewer = serve()
    shop = Server(viewer.store)
    for number in range(1, 2101):
        shop.connection(number, {names.ACCEPT_QUEUE: 0.2, names.APP: 0.3}, start=number / 2000)
    page = open_page(f"{viewer.address}/#/loop")
    page.wait_for_selector("#gantt[data-rows='2100']")
    spent = page.evaluate(
        """() => {
            const { picture } = document.getElementById("gantt");
            const began = performance.now();
            for (let at = 0; at < 50; at += 1) { picture.scroll = at * 40; picture.draw(); }
            return (performance.now() - began) / 50;
        }"""
    )
    assert spent < 33
    with urllib.request.urlopen(f"{viewer.address}/api/state", timeout=30) as answer:
        assert json.load(answer)["servers"][0]["connections"] == 2100


def test_a_loop_that_is_stuck_is_shown_while_it_is(serve: Serve, open_page: Open) -> None:
    """With its very first client: what is open, who waits, and what the server warns of."""
    viewer = serve()
    page = open_page(viewer.address)
    with SampleServer("shop", viewer.address, ("--single",)) as server:
        address = ("127.0.0.1", server.port())
        clients = [socket.create_connection(address) for _ in range(3)]
        page.wait_for_selector("#present.stuck")
        page.locator("#present", has_text="The server warns").wait_for()
        said = page.inner_text("#present")
        assert re.search(r"The loop of shop on \S+ has not been back for \d", said)
        assert "2 connections in the accept queue" in said
        assert "1 in idle" in said
        assert f"serving 127.0.0.1:{clients[0].getsockname()[1]}, in phase idle" in said
        page.keyboard.press("2")
        holder = f"127.0.0.1:{clients[0].getsockname()[1]}"
        assert f"it is busy with {holder}, and nobody who connects is answered" in said
        page.wait_for_selector(
            f"#gantt[data-open='{holder}: holds the loop, waits, waits'][data-deepest='2']"
        )
        assert page.evaluate("document.getElementById('gantt').picture.present.away.length") == 1
        page.screenshot(path=SHOTS / "a-loop-that-is-stuck.png")
        for client in clients:
            client.close()
        page.wait_for_selector("#present:not(.stuck)", state="attached")
        page.wait_for_selector("#gantt[data-rows='3'][data-open='']")


def test_open_connections_without_a_name_have_a_row_for_each_phase(
    serve: Serve, open_page: Open
) -> None:
    """Metrics count them; how to learn who holds the loop is said, too."""
    viewer = serve()
    shop = Server(viewer.store)
    opened = {names.IDLE: (2, 9.0), names.APP: (1, 5.0)}
    for second in range(9):
        waiting = max(0, second - 1)
        shop.standing(time.time() - 8 + second, busy=5.0, depth=waiting, opened=opened)
    page = open_page(f"{viewer.address}/#/loop")
    rows = "waits, waits, waits, waits, waits, 2 more wait, 2 in idle, 1 in app"
    page.wait_for_selector(f"#gantt[data-open='{rows}'][data-deepest='7']")
    page.locator("#present", has_text="OTEL_LOGS_EXPORTER=otlp").wait_for()
    since = page.evaluate(
        "document.getElementById('gantt').picture.present.rows.map((row) => row.since)"
    )
    assert since[:6] == sorted(since[:6])
    assert since[0] < since[4] - 3


def test_what_a_stuck_server_tells_is_text_too(serve: Serve, open_page: Open) -> None:
    """Its name, its phases and its warning; a stack is long and keeps its end in sight."""
    viewer = serve()
    shop = Server(viewer.store, HOSTILE)
    shop.standing(time.time(), busy=5.0, depth=1, opened={HOSTILE: (1, 5.0)})
    shop.stall(time.time(), f"127.0.0.1:5000 {HOSTILE}\n" + f"  File {HOSTILE}\n" * 50 + "the end")
    page = open_page(f"{viewer.address}/#/loop")
    page.locator("#present", has_text="The server warns").wait_for()
    assert page.locator("img[src=x]").count() == 0
    assert page.inner_text("#present").count("alert(1)") > 50
    hidden = page.evaluate(
        """() => {
            const stack = document.querySelector("#present pre");
            return stack.scrollHeight - stack.clientHeight - stack.scrollTop;
        }"""
    )
    assert hidden < 2
