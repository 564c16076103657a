// What stands beside the pointer: the connection under it, in a few lines.

import { el, show } from "../core/dom.js";
import { duration } from "../core/format.js";
import { words } from "../core/state.js";
import { PHASES, title } from "./model.js";

export function tip(bubble, { row, hold }, model, x, y, canvas) {
  bubble.hidden = !row;
  if (!row) return;
  const phases = [];
  for (let at = 0; at < row.bars.length; at += 3) {
    phases.push([PHASES[row.bars[at]], row.bars[at + 2] - row.bars[at + 1]]);
  }
  const long = phases.filter(([, seconds]) => seconds >= 0.0005).slice(0, 9);
  const blocker = model.blockerOf(row);
  show(bubble,
    el("b", {}, title(row)),
    el("div", { class: "soft" }, `${row.peer} · ${duration(row.end - row.start)}${row.status ? ` · ${row.status}` : ""} · ${row.outcome}`),
    hold && el("div", {}, `held the loop for ${duration(hold.end - hold.start)}: ${words.states[hold.state] ?? hold.state}`),
    long.map(([phase, seconds]) => el("div", { class: "pair" },
      el("i", { style: { background: `var(--${phase})` } }), el("span", {}, phase.replace("_", " ")), el("span", { class: "right" }, duration(seconds)))),
    row.cause && el("div", { class: "why" }, blocker ? `Waited for ${title(blocker)}` : `Waited: ${words.activities[row.cause] ?? row.cause}`));
  const wide = canvas.clientWidth, high = canvas.clientHeight;
  bubble.style.left = `${Math.max(4, Math.min(x + 14, wide - bubble.offsetWidth - 6))}px`;
  bubble.style.top = `${Math.max(4, y + 16 + bubble.offsetHeight > high ? y - bubble.offsetHeight - 12 : y + 16)}px`;
}
