// One window of a server's connections, as the viewer answered it, ready to be drawn.

import { ask } from "../core/api.js";

export const PHASES = [
  "accept_queue", "tls_handshake", "dispatch", "idle", "read_head",
  "app", "respond", "drain", "close", "handle",
];
const FIELDS = ["id", "start", "end", "wait", "peer", "agent", "asked", "requests", "status", "outcome", "dispatch", "cause", "blocker", "bars"];

export class Model {
  constructor() {
    Object.assign(this, { rows: [], byId: new Map(), holds: [], shares: [], waiting: [], depths: [], measured: [], total: 0, room: null });
    this.begin = this.end = 0;
  }

  // Ask for the window from `begin` to `end` and keep it; times become seconds since the epoch.
  static async of(parameters) {
    const answer = await ask("loop", parameters);
    const model = new Model();
    const { base } = answer;
    const moved = (list) => list.map(([at, value]) => [at + base, value]);
    model.begin = parameters.begin;
    model.end = parameters.end;
    model.rows = answer.rows.map((values) => {
      const row = Object.fromEntries(FIELDS.map((field, at) => [field, values[at]]));
      row.start += base;
      row.end += base;
      for (let at = 0; at < row.bars.length; at += 3) {
        row.bars[at + 1] += base;
        row.bars[at + 2] += base;
      }
      return row;
    });
    model.byId = new Map(model.rows.map((row) => [row.id, row]));
    model.holds = answer.holds.map(([start, end, state, id]) => ({ start: start + base, end: end + base, state, id }));
    model.shares = answer.shares.map(([since, until, states]) => ({ start: since + base, end: until + base, states }));
    model.waiting = moved(answer.waiting);
    model.depths = moved(answer.depths);
    model.measured = moved(answer.measured);
    model.total = answer.total;
    model.room = answer.room;
    return model;
  }

  // The rows that were there between two moments, by their start.
  between(begin, end) {
    return this.rows.filter((row) => row.end >= begin && row.start <= end);
  }

  blockerOf(row) {
    return row?.blocker ? this.byId.get(row.blocker) : undefined;
  }
}

// How a row is called: what the client called itself, or its address, and what it asked for.
export function title(row) {
  const agent = row.agent && row.agent.length <= 24 ? row.agent : row.peer;
  return row.asked ? `${agent} · ${row.asked}` : agent;
}
