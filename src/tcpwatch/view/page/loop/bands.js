// What stands above and below the rows, on their axis of time: the loop's band and the queue's depth.

import { now } from "../core/state.js";
import { title } from "./model.js";

const MEASURED = 14;

export function drawBand(picture, top, high) {
  const { context: c, scale } = picture;
  const half = high - MEASURED;
  c.fillStyle = picture.colours.sunken;
  c.fillRect(picture.left, top, picture.width - picture.left, high);
  picture.clip(picture.left, top, picture.width, top + high, () => {
    for (const hold of picture.model.holds) {
      const x = scale.x(hold.start), right = scale.x(hold.end);
      if (right < picture.left || x > picture.width) continue;
      c.fillStyle = picture.colours[hold.state] ?? picture.colours.service;
      c.fillRect(x, top, Math.max(right - x - 0.5, 1), half);
      if (picture.isMarked(hold.id)) {
        c.fillStyle = picture.colours.accent;
        c.fillRect(x, top + half - 3, Math.max(right - x - 0.5, 2), 3);
      }
      nameHold(picture, hold, x, right, top + half / 2);
    }
    picture.present.drawAway(picture, top, half);
    for (const share of picture.model.shares) drawShare(picture, share, top + half + 1, high - half - 1);
  });
  picture.heading("the loop", top + half / 2);
  if (picture.model.shares.length) picture.heading("busy, as measured", top + half + 8);
}

function nameHold(picture, hold, x, right, y) {
  const row = picture.model.byId.get(hold.id);
  const from = Math.max(x, picture.left) + 4;
  if (!row || Math.min(right, picture.width) - from < 60) return;
  const { context: c } = picture;
  c.fillStyle = picture.colours.ground;
  c.textAlign = "left";
  c.fillText(picture.fitted(title(row), Math.min(right, picture.width) - from), from, y);
}

function drawShare(picture, { start, end, states }, y, high) {
  const { context: c, scale } = picture;
  const total = Object.values(states).reduce((sum, seconds) => sum + seconds, 0);
  const x = scale.x(start);
  const wide = scale.x(end) - x;
  if (!(total > 0)) return;
  let foot = y + high;
  for (const [state, seconds] of Object.entries(states)) {
    if (state === "idle") continue;
    const tall = (seconds / total) * high;
    c.fillStyle = picture.colours[state] ?? picture.colours.service;
    c.fillRect(x, foot - tall, Math.max(wide - 1, 1), tall);
    foot -= tall;
  }
}

// How many stood in line: an area from the recorded connections, dots from the kernel.
export function drawQueue(picture, top, bottom) {
  const { context: c, scale } = picture;
  const { waiting, depths, measured } = picture.model;
  const told = picture.present.queue;
  const room = picture.model.room ?? told?.limit ?? null;
  const inView = ([at]) => at >= picture.view.begin && at <= picture.view.end;
  const most = [...waiting, ...depths, ...measured].filter(inView).reduce((deepest, [, n]) => Math.max(deepest, n), 0);
  const limited = room !== null && room <= Math.max(most, 2) * 3;
  const high = Math.max(most, 2, limited ? room : 0);
  const y = (n) => bottom - (n / (high * 1.1)) * (bottom - top);
  c.fillStyle = picture.colours.line;
  c.fillRect(picture.left, bottom, picture.width - picture.left, 1);
  picture.clip(picture.left, top - 12, picture.width, bottom, () => {
    c.fillStyle = picture.colours.accept_queue;
    c.globalAlpha = 0.35;
    waiting.forEach(([at, n], i) => {
      const x = scale.x(at), right = scale.x(waiting[i + 1]?.[0] ?? at);
      if (n && right >= picture.left && x <= picture.width) c.fillRect(x, y(n), Math.max(right - x, 1), bottom - y(n));
    });
    c.globalAlpha = 1;
    for (const [at, n] of depths) {
      if (n) c.fillRect(scale.x(at) - 1, y(n) - 1, 3, 3);
    }
    measured.forEach(([at, n], i) => {
      const until = measured[i + 1]?.[0] ?? (told && told.heard - at < 0.01 ? now() : at);
      if (n) c.fillRect(scale.x(at), y(n) - 0.5, Math.max(scale.x(until) - scale.x(at), 2), 1.5);
    });
    if (limited) {
      c.fillStyle = picture.colours.limit;
      for (let x = picture.left; x < picture.width; x += 8) c.fillRect(x, y(room), 5, 1);
    }
  });
  const depth = room === null ? "" : `of ${room}, at most ${most} here`;
  if (picture.left) {
    picture.heading("in the accept queue", (top + bottom) / 2 - 7);
    picture.heading(depth, (top + bottom) / 2 + 7);
  } else {
    c.fillStyle = picture.colours.soft;
    c.fillText(`in the accept queue ${depth}`, 6, top - 4);
  }
  if (limited) {
    c.fillStyle = picture.colours.limit;
    c.textAlign = "right";
    c.fillText(`limit ${room}`, picture.width - 6, y(room) - 7);
    c.textAlign = "left";
  }
}
