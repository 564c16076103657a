// What the viewer holds, asked for every second while somebody looks.

import { ask } from "./api.js";

const EVERY = 1000;
const listeners = new Set();
export let state = { version: -1, servers: [], now: Date.now() / 1e3 };
export let words = { phases: {}, states: {}, outcomes: {}, activities: {} };
let ahead = 0;

// The viewer's clock, so that a browser elsewhere agrees with the data.
export const now = () => Date.now() / 1e3 + ahead;
export const onState = (listener) => { listeners.add(listener); return () => listeners.delete(listener); };
export const server = (id) => state.servers.find((one) => String(one.id) === String(id));
export const isLive = (one) => Boolean(one) && (one.now.length > 0 || now() - one.last < 10);

// The one that hangs now, else the one that most was waited for, so that a newcomer sees something.
export function mostTelling() {
  const hangs = (one) => Math.max(0, ...one.now.filter((process) => process.stuck).map((process) => process.busy));
  return [...state.servers].sort((a, b) => hangs(b) - hangs(a) || b.seconds - a.seconds || b.connections - a.connections)[0];
}

async function poll() {
  if (!document.hidden) {
    let lost = "";
    try {
      const fresh = await ask("state");
      ahead = fresh.now - Date.now() / 1e3;
      const changed = fresh.version !== state.version || state.lost;
      state = { ...fresh, lost };
      listeners.forEach((listener) => listener(changed));
    } catch (error) {
      state = { ...state, lost: `The viewer does not answer any more (${error.message}). What is shown is what was there.` };
      listeners.forEach((listener) => listener(false));
    }
  }
  setTimeout(poll, EVERY);
}

export async function startState() {
  words = await ask("words");
  await poll();
  document.addEventListener("visibilitychange", () => { if (!document.hidden) listeners.forEach((l) => l(true)); });
}
