// A few connections on one axis of time, the one that blocked on top, the ones that waited below.

import { here, to } from "./address.js";
import { el, svg } from "./dom.js";
import { duration } from "./format.js";
import { title } from "../loop/model.js";

const ROW = 24;
const BAR = 14;

export function mini(rows, holder) {
  const sorted = [...rows].sort((a, b) => (b.id === holder) - (a.id === holder) || a.start - b.start);
  const begin = Math.min(...sorted.map((row) => row.start));
  const end = Math.max(...sorted.map((row) => row.end));
  const wide = Math.max(end - begin, 1e-6);
  const x = (time) => `${((time - begin) / wide) * 100}%`;
  const y = (at) => at * ROW + (ROW - BAR) / 2;
  const bars = sorted.flatMap((row, at) => row.bars.map(([phase, start, until]) =>
    svg("rect", {
      x: x(start), y: y(at), height: BAR, width: `${Math.max(((until - start) / wide) * 100, 0.15)}%`,
      style: { fill: `var(--${phase})` },
    }, svg("title", {}, `${phase.replace("_", " ")} ${duration(until - start)}`))));
  const pointers = sorted.flatMap((row, at) => {
    const above = sorted.findIndex((one) => one.id === row.blocker);
    if (above < 0 || at === above) return [];
    const moment = x(Math.max(row.start, sorted[above].start + (sorted[above].wait ?? 0)));
    return [svg("line", { x1: moment, x2: moment, y1: y(above) + BAR, y2: y(at), class: "points" }),
      svg("circle", { cx: moment, cy: y(above) + BAR, r: 2.5, class: "points" })];
  });
  const parameters = { server: here().parameters.server };
  return el("div", { class: "mini" },
    el("ol", {}, sorted.map((row) => el("li", { class: row.id === holder ? "holder" : undefined },
      el("a", { href: to("connection", parameters, row.id) }, title(row))))),
    svg("svg", { height: sorted.length * ROW, width: "100%", role: "img", "aria-label": "The same connections in time" }, bars, pointers),
    el("ol", { class: "right" }, sorted.map((row) => el("li", { class: "soft" },
      row.id === holder ? duration(row.end - row.start) : `waited ${duration(row.wait)}`))));
}

// A small head for an axis that runs for `seconds`.
export const ruler = (seconds) => el("div", { class: "ruler soft" }, el("span", {}, "0"), el("span", {}, duration(seconds)));
