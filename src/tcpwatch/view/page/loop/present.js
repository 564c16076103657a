// What is open now, below the rows of what is over: one line for each phase, by its oldest.

import { now } from "../core/state.js";
import { away, opened, queue } from "../core/present.js";
import { duration } from "../core/format.js";

const ROW = 18;
const HEAD = 6;

export class Present {
  constructor() {
    this.set(undefined);
  }

  set(server) {
    this.rows = opened(server);
    this.away = away(server);
    this.queue = queue(server);
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
    this.rows.forEach((row, at) => {
      const y = top + HEAD + at * ROW;
      const since = row.since ?? row.heard;
      picture.clip(picture.left, y, picture.width, y + ROW, () => this.bar(picture, row.phase, since, row.heard, y + 2, ROW - 5));
      this.label(picture, row, y + ROW / 2);
    });
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
    const age = row.since === null ? "" : `, ${duration(row.heard - row.since)}`;
    const text = `open now: ${row.count} in ${row.phase.replaceAll("_", " ")}${age}`;
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
