"""Chromium with the page open; without a browser everything else is measured all the same."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ROWS = 2_000
_PAN = """
async () => {
  const canvas = document.getElementById("gantt"), picture = canvas.picture;
  const box = canvas.getBoundingClientRect();
  let frames = 0, drawing = 0;
  const draw = picture.draw.bind(picture);
  picture.draw = () => {
    const began = performance.now();
    draw();
    drawing += performance.now() - began;
    frames += 1;
  };
  const began = performance.now();
  const until = began + 4000;
  await new Promise((done) => {
    const step = (at) => {
      canvas.dispatchEvent(new WheelEvent("wheel", {
        deltaX: Math.sin(at / 300) * 6, clientX: box.left + 600, clientY: box.top + 300,
        bubbles: true, cancelable: true }));
      if (performance.now() < until) requestAnimationFrame(step); else done();
    };
    requestAnimationFrame(step);
  });
  const seconds = (performance.now() - began) / 1000;
  return [frames / seconds, drawing / frames / 1000, picture.shown.length];
}
"""


@dataclass(frozen=True)
class Rate:
    """Frames a second, seconds that one takes to draw, and how many rows there were."""

    per_second: float
    drawing: float
    rows: int


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Give a Chromium, or None if there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        yield None
        return
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        yield None
        return
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextlib.contextmanager
def open_page(address: str) -> Iterator[str]:
    """Keep the loop view open; give a word on whether it is."""
    with browser() as chromium:
        if chromium is None:
            yield "not open (no browser)"
            return
        chromium.new_page(viewport={"width": 1280, "height": 720}).goto(f"{address}/#/loop")
        yield "open"


def frames(address: str) -> Rate | None:
    """Pan a view of `ROWS` rows for four seconds and count the frames; None without a browser."""
    with browser() as chromium:
        if chromium is None:
            return None
        page = chromium.new_page(viewport={"width": 1280, "height": 720})
        page.goto(f"{address}/#/loop")
        page.wait_for_selector("#gantt[data-rows]:not([data-rows='0'])")
        page.evaluate(
            """(rows) => {
                const { model } = document.getElementById("gantt").picture;
                const middle = Math.floor(model.rows.length / 2);
                const some = model.rows.slice(Math.max(0, middle - rows / 2), middle + rows / 2);
                location.hash = `#/loop?begin=${some[0].start}&end=${some.at(-1).end}`;
            }""",
            ROWS,
        )
        page.wait_for_timeout(3000)
        return Rate(*page.evaluate(_PAN))
