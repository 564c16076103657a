// The picture: the loop's band, a row for each connection, the queue's depth, on one axis of time.
// It only draws and says what is where; it asks nobody and listens to nothing.

import { clock } from "../core/format.js";
import { colour } from "../core/theme.js";
import { arrow } from "./arrow.js";
import { drawBand, drawQueue } from "./bands.js";
import { Model, PHASES, title } from "./model.js";
import { Present } from "./present.js";
import { Scale } from "./scale.js";

const AXIS = 20;
const BAND = 38;
const QUEUE = 74;
const GAP = 6;
const LABELLED = 13;
const MOST_POINTERS = 60;
const COLOURS = [
  ...PHASES, "ground", "raised", "sunken", "line", "faint", "ink", "soft", "accent", "mark",
  "inline", "accept", "service", "limit",
];

const weight = (row) => (row.wait ?? 0) * 2 + row.end - row.start;

const BROKEN = new Set([
  "client_gone_in_queue", "rejected", "tls_failed", "handler_error", "client_disconnected",
  "timeout", "bad_request", "child_died",
]);

export class Gantt {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.model = new Model();
    this.present = new Present();
    this.view = { begin: 0, end: 1 };
    this.scroll = 0;
    this.hovered = this.selected = this.marked = "";
    this.colours = {};
    this.shown = [];
    this.readColours();
  }

  readColours() {
    this.colours = Object.fromEntries(COLOURS.map((name) => [name, colour(name)]));
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = devicePixelRatio || 1;
    const wide = Math.round(width * ratio), high = Math.round(height * ratio);
    if (this.canvas.width !== wide || this.canvas.height !== high) {
      this.canvas.width = wide;
      this.canvas.height = high;
    }
    Object.assign(this, { width, height, ratio });
  }

  // Where everything is; rows shrink until they fit, down to three pixels.
  layout() {
    this.left = this.width < 700 ? 0 : Math.min(250, this.width * 0.24);
    this.scale = new Scale(this.view.begin, this.view.end, this.left, this.width);
    this.top = AXIS + BAND + GAP;
    const below = QUEUE + GAP + this.present.height(this.view);
    this.bottom = Math.max(this.top + 30, this.height - below);
    this.shown = this.model.between(this.view.begin, this.view.end);
    const room = this.bottom - this.top;
    const least = this.width < 700 ? 20 : 3;
    this.rowHeight = Math.min(this.width < 700 ? 26 : 20, Math.max(least, Math.floor(room / Math.max(1, this.shown.length))));
    this.maxScroll = Math.max(0, this.shown.length * this.rowHeight - room);
    this.scroll = Math.max(0, Math.min(this.scroll, this.maxScroll));
    this.place = new Map(this.shown.map((row, at) => [row.id, at]));
  }

  draw() {
    if (!this.width || !(this.view.end > this.view.begin)) return;
    const { context: c } = this;
    this.layout();
    c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    c.fillStyle = this.colours.ground;
    c.fillRect(0, 0, this.width, this.height);
    c.font = "11px system-ui, 'Liberation Sans', sans-serif";
    c.textBaseline = "middle";
    this.drawGrid();
    this.clip(this.left, this.top, this.width, this.bottom, () => { this.drawBars(); this.drawPointers(); });
    this.clip(0, this.top, this.width, this.bottom, () => this.drawLabels());
    this.present.drawRows(this, this.bottom);
    drawBand(this, AXIS, BAND);
    drawQueue(this, this.height - QUEUE + 14, this.height - 2);
    this.drawScrollbar();
  }

  clip(left, top, right, bottom, paint) {
    const { context: c } = this;
    c.save();
    c.beginPath();
    c.rect(left, top, right - left, bottom - top);
    c.clip();
    paint();
    c.restore();
  }

  drawGrid() {
    const { context: c, scale } = this;
    const { step, ticks } = scale.ticks(90);
    c.textAlign = "left";
    for (const tick of ticks) {
      const x = Math.round(scale.x(tick)) + 0.5;
      c.fillStyle = this.colours.faint;
      c.fillRect(x, AXIS, 1, this.height - AXIS);
      c.fillStyle = this.colours.soft;
      c.fillText(clock(tick, step), x + 3, AXIS / 2 + 1);
    }
  }

  // Which rows are on screen: their indices from first to last.
  visible() {
    const first = Math.max(0, Math.floor(this.scroll / this.rowHeight));
    const last = Math.min(this.shown.length, first + Math.ceil((this.bottom - this.top) / this.rowHeight) + 1);
    return [first, last];
  }

  y(at) {
    return this.top + at * this.rowHeight - this.scroll;
  }

  drawBars() {
    const { context: c, scale, rowHeight } = this;
    const [first, last] = this.visible();
    const thick = rowHeight > 5 ? rowHeight - 3 : Math.max(1.5, rowHeight - 1);
    const strokes = PHASES.map(() => []);
    for (let at = first; at < last; at += 1) {
      const { bars } = this.shown[at];
      const y = this.y(at) + (rowHeight - thick) / 2;
      for (let i = 0; i < bars.length; i += 3) {
        const x = Math.max(scale.x(bars[i + 1]), this.left - 1);
        const right = Math.min(scale.x(bars[i + 2]), this.width + 1);
        if (right >= this.left && x <= this.width) strokes[bars[i]].push(x, y, Math.max(right - x, 1));
      }
      if (this.isMarked(this.shown[at].id)) {
        c.fillStyle = this.colours.mark;
        c.fillRect(0, this.y(at), this.width, rowHeight);
      }
    }
    for (let at = first; at < last; at += 1) this.drawEnd(this.shown[at], this.y(at), thick);
    strokes.forEach((list, phase) => {
      if (!list.length) return;
      c.fillStyle = this.colours[PHASES[phase]];
      for (let i = 0; i < list.length; i += 3) c.fillRect(list[i], list[i + 1], list[i + 2], thick);
    });
  }

  // A connection that ended badly has a mark at its end.
  drawEnd(row, y, thick) {
    if (!BROKEN.has(row.outcome) && !(row.status >= 500)) return;
    const { context: c } = this;
    const x = this.scale.x(row.end);
    c.fillStyle = this.colours.limit;
    c.fillRect(x + 1, y + (this.rowHeight - thick) / 2 - 1, 3, thick + 2);
  }

  isMarked(id) {
    const focus = this.hovered || this.selected || this.marked;
    return id === this.hovered || id === this.selected || id === this.marked
      || (Boolean(focus) && this.model.byId.get(focus)?.blocker === id);
  }

  // Each blocked connection points, from where it began to wait, at the one that held the loop.
  drawPointers() {
    const [first, last] = this.visible();
    const blocked = [];
    for (let at = first; at < last; at += 1) {
      if (this.place.has(this.shown[at].blocker)) blocked.push(at);
    }
    const focus = [this.hovered, this.selected, this.marked].map((id) => this.place.get(id)).filter((at) => at !== undefined);
    if (blocked.length <= MOST_POINTERS) blocked.forEach((at) => this.drawPointer(at, false));
    focus.forEach((at) => this.drawPointer(at, true));
  }

  drawPointer(at, strong) {
    const { context: c, scale } = this;
    const row = this.shown[at];
    const holder = this.place.get(row.blocker);
    if (holder === undefined) return;
    const blocker = this.shown[holder];
    const accepted = blocker.start + (blocker.wait ?? 0);
    const x = scale.x(Math.min(Math.max(row.start, accepted), row.start + (row.wait ?? 0)));
    const from = this.y(at) + this.rowHeight / 2;
    const edge = holder < at ? this.rowHeight - 1 : 1;
    const until = Math.min(Math.max(this.y(holder) + edge, this.top - 4), this.bottom + 4);
    c.strokeStyle = c.fillStyle = strong ? this.colours.ink : this.colours.soft;
    c.globalAlpha = strong ? 1 : 0.55;
    c.lineWidth = strong ? 1.5 : 1;
    arrow(c, x, from, until);
    c.globalAlpha = 1;
  }

  // Where rows are too thin for a name each, the ones that waited or lasted longest have theirs.
  drawLabels() {
    const { context: c } = this;
    const [first, last] = this.visible();
    const crowded = this.rowHeight < LABELLED;
    const named = this.shown.slice(first, last).map((row, i) => [row, first + i]);
    if (crowded) named.sort(([a], [b]) => weight(b) - weight(a));
    const taken = [];
    c.textAlign = "left";
    for (const [row, at] of named) {
      const middle = this.y(at) + this.rowHeight / 2;
      const y = crowded ? Math.max(middle, this.top + LABELLED / 2) : middle;
      if (crowded && (taken.length > 80 || taken.some((other) => Math.abs(other - y) < LABELLED))) continue;
      taken.push(y);
      c.fillStyle = row.cause || this.isMarked(row.id) ? this.colours.ink : this.colours.soft;
      this.drawLabel(row, y + 0.5);
    }
  }

  // In the margin; on a narrow screen there is none, and it goes where the bar leaves room.
  drawLabel(row, y) {
    const { context: c, scale } = this;
    if (this.left) {
      c.fillText(this.fitted(title(row), this.left - 12), 8, y);
      return;
    }
    const text = this.fitted(title(row), 170);
    const wide = c.measureText(text).width;
    const before = Math.max(0, scale.x(row.start)), after = Math.min(this.width, scale.x(row.end));
    if (after + wide + 16 < this.width) c.fillText(text, after + 6, y);
    else if (before - wide - 10 > 0) c.fillText(text, before - wide - 6, y);
    else {
      c.fillStyle = this.colours.raised;
      c.fillText(text, Math.max(before, 0) + 6, y);
    }
  }

  fitted(text, width) {
    const most = Math.floor(width / 6.1);
    return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
  }

  heading(text, y) {
    const { context: c } = this;
    if (!this.left) return;
    c.fillStyle = this.colours.soft;
    c.textAlign = "right";
    c.fillText(text, this.left - 8, y + 0.5);
    c.textAlign = "left";
  }

  drawScrollbar() {
    if (!this.maxScroll) return;
    const { context: c } = this;
    const room = this.bottom - this.top;
    const high = Math.max(24, (room * room) / (room + this.maxScroll));
    c.fillStyle = this.colours.line;
    c.fillRect(this.width - 7, this.top + (this.scroll / this.maxScroll) * (room - high), 5, high);
  }

  // What is at a point of the canvas: {row} or {hold} or nothing.
  at(x, y) {
    if (y >= this.top && y < this.bottom) {
      return { row: this.shown[Math.floor((y - this.top + this.scroll) / this.rowHeight)] };
    }
    if (y >= AXIS && y < AXIS + BAND) {
      const time = this.scale.time(x), slack = 2 / this.scale.perSecond;
      const hold = this.model.holds.find((one) => one.start - slack <= time && time <= one.end + slack);
      return { hold, row: hold && this.model.byId.get(hold.id) };
    }
    return {};
  }

  // Scroll so that a row is on screen.
  reveal(id) {
    const at = this.place?.get(id);
    if (at === undefined) return;
    const y = at * this.rowHeight, room = this.bottom - this.top;
    if (y < this.scroll) this.scroll = y;
    else if (y + this.rowHeight > this.scroll + room) this.scroll = y + this.rowHeight - room;
  }
}
