// What is open now, below the rows of what is over. Servers tell of open connections in numbers: who
// holds the loop has a row, who waits has one from the first export that counted it, the others have
// one for each phase, as long as the oldest is there.

import { now } from "../core/state.js";
import { away, holders, opened, queue } from "../core/present.js";
import { duration } from "../core/format.js";
import { arrow } from "./arrow.js";

const ROW = 18;
const HEAD = 22;
const MOST_WAITING = 6;
const ABOUT = "Open now, in numbers: a connection gets its own row when it ends.";

export class Present {
  constructor() {
    this.set(undefined);
  }

  set(server) {
    this.away = away(server);
    this.queue = queue(server);
    this.holders = holders(server).map((one) => ({ ...one, text: `${one.who}: holds the loop`, holds: true }));
    const named = new Map();
    this.holders.forEach(({ phase }) => named.set(phase, (named.get(phase) ?? 0) + 1));
    this.phases = opened(server).map((row) => ({ ...row, count: row.count - (named.get(row.phase) ?? 0) }))
      .filter((row) => row.count > 0)
      .map((row) => ({ ...row, text: `${row.count} in ${row.phase.replaceAll("_", " ")}` }));
    this.rows = [...this.holders, ...this.phases];
  }

  // Those in the queue, by the exports that counted so many: `measured` is [when, how many] each.
  wait(measured) {
    const { depth = 0, heard } = this.queue ?? {};
    const waiting = Array.from({ length: Math.min(depth, MOST_WAITING) }, (_, at) => {
      let since = heard;
      for (let i = measured.length - 1; i >= 0 && measured[i][1] > at; i -= 1) since = Math.min(since, measured[i][0]);
      const more = depth > MOST_WAITING && at === MOST_WAITING - 1 ? depth - at : 1;
      return { phase: "accept_queue", since, heard, waits: true, text: more > 1 ? `${more} more wait` : "waits" };
    });
    this.rows = [...this.holders, ...waiting, ...this.phases];
  }

  // How much room it takes in a picture: none if the picture shows an earlier time.
  height(view) {
    this.inView = this.rows.length > 0 && view.end >= Math.max(...this.rows.map((row) => row.heard)) - 1;
    return this.inView ? this.rows.length * ROW + HEAD : 0;
  }

  drawRows(picture, top) {
    if (!this.inView) return;
    const { context: c } = picture;
    c.fillStyle = picture.colours.line;
    c.fillRect(0, top + 1, picture.width, 1);
    c.fillStyle = picture.colours.soft;
    c.textAlign = "left";
    c.fillText(ABOUT, 8, top + HEAD / 2 + 1);
    this.rows.forEach((row, at) => {
      const y = top + HEAD + at * ROW;
      const since = row.since ?? row.heard;
      picture.clip(picture.left, y, picture.width, y + ROW, () => this.bar(picture, row.phase, since, row.heard, y + 2, ROW - 5));
      this.label(picture, row, y + ROW / 2);
      if (row.waits && this.rows[0].holds) this.point(picture, row, y + ROW / 2, top + HEAD + ROW - 4);
    });
  }

  // As in the rows above, from where it was first counted.
  point(picture, row, from, until) {
    const { context: c } = picture;
    const x = picture.scale.x(Math.max(row.since, this.rows[0].since));
    if (x < picture.left || x > picture.width) return;
    c.fillStyle = c.strokeStyle = picture.colours.soft;
    c.lineWidth = 1;
    arrow(c, x, from, until);
  }

  // Solid as far as it was told, pale until now.
  bar(picture, phase, start, heard, y, high) {
    const { context: c, scale } = picture;
    const x = scale.x(start), told = scale.x(heard);
    c.fillStyle = picture.colours[phase] ?? picture.colours.service;
    c.fillRect(x, y, Math.max(told - x, 2), high);
    c.globalAlpha = 0.4;
    c.fillRect(Math.max(told, x + 2), y, Math.max(scale.x(now()) - told, 0), high);
    c.globalAlpha = 1;
  }

  label(picture, row, y) {
    const { context: c } = picture;
    const age = row.since !== null && row.heard > row.since ? `, ${row.waits ? "at least " : ""}${duration(row.heard - row.since)}` : "";
    const text = `${row.text}${age}`;
    c.textAlign = "left";
    c.fillStyle = picture.colours.ink;
    if (picture.left) c.fillText(picture.fitted(text, picture.left - 12), 8, y);
    else {
      c.fillStyle = picture.colours.ground;
      c.globalAlpha = 0.8;
      c.fillRect(4, y - 8, c.measureText(text).width + 8, 15);
      c.globalAlpha = 1;
      c.fillStyle = picture.colours.ink;
      c.fillText(text, 8, y);
    }
  }

  drawAway(picture, top, high) {
    const { context: c, scale } = picture;
    for (const { start, end } of this.away) {
      this.bar(picture, "inline", start, end, top, high);
      const text = `busy for ${duration(end - start)} now`;
      const from = Math.max(scale.x(start), picture.left) + 4;
      const until = Math.min(scale.x(now()), picture.width);
      if (until - from < c.measureText(text).width + 8) continue;
      c.fillStyle = picture.colours.ground;
      c.textAlign = "left";
      c.fillText(text, from, top + high / 2);
    }
  }
}
