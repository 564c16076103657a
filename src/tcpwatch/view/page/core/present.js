// How a server stands now, from its metrics: connections have spans only when they are over.

import { to } from "./address.js";
import { el, show } from "./dom.js";
import { duration, many } from "./format.js";
import { now, state, words } from "./state.js";

const SEEN_BUSY = 0.25;
const UNTOLD = 3;
const phaseName = (phase) => phase.replaceAll("_", " ");

export const stuck = (server) => server?.now?.find((one) => one.stuck);

// What is open in a server's processes together: phase, how many, and since when the oldest is.
export function opened(server) {
  const found = new Map();
  for (const one of server?.now ?? []) {
    for (const { phase, count, oldest } of one.open) {
      const known = found.get(phase) ?? { phase, count: 0, since: null, heard: one.heard };
      const since = oldest === null ? null : one.heard - oldest;
      known.since = known.since === null || (since !== null && since < known.since) ? since : known.since;
      known.count += count;
      known.heard = Math.max(known.heard, one.heard);
      found.set(phase, known);
    }
  }
  return [...found.values()];
}

// When its loops left their posts, as far as they are not back: from when to when that is known.
export const away = (server) => (server?.now ?? []).filter((one) => one.busy >= SEEN_BUSY)
  .map((one) => ({ start: one.heard - one.busy, end: one.heard }));

// Who holds a loop, as the server's warning names it: the only open connection that has a name.
export function holders(server) {
  return (server?.now ?? []).filter((one) => one.warned?.who).map((one) => {
    const only = one.open.length === 1 && one.open[0].count === 1 ? one.open[0].phase : one.warned.phase;
    return { who: one.warned.who, phase: only, since: one.warned.since, heard: one.heard };
  });
}

export function queue(server) {
  const told = (server?.now ?? []).filter((one) => one.depth !== null);
  return told.length ? {
    depth: told.reduce((sum, one) => sum + one.depth, 0),
    limit: told[0].limit,
    heard: Math.max(...told.map((one) => one.heard)),
  } : null;
}

function openInWords(server) {
  const list = opened(server);
  if (!list.length) return "no connection is open";
  const each = list.map(({ phase, count, since, heard }, at) => [at ? ", " : "",
    el("span", { title: words.phases[phase] }, el("i", { style: { background: `var(--${phase})` } }),
      `${count} in ${phaseName(phase)}${since === null ? "" : ` (${duration(heard - since)})`}`)]);
  return ["open: ", each];
}

function waitingInWords(server) {
  const line = queue(server);
  if (!line) return null;
  return line.depth ? `${many(line.depth, "connection")} in the accept queue` : "nobody in the accept queue";
}

const dot = (parts) => parts.filter(Boolean).map((part, at) => [at ? " · " : "", part]);

function warning(text) {
  const [first, ...stack] = text.split("\n");
  return [
    el("p", {}, `The server warns: ${first}`),
    stack.length > 0 && el("pre", { tabindex: 0, "aria-label": "Where the loop's thread is, the innermost call last" }, stack.join("\n")),
  ];
}

// Draw it below the header. What the server said stays as it is, with its selection and its scroll.
export function showPresent(place, server) {
  const unnamed = stuck(server)?.depth > 0 && stuck(server).busy > UNTOLD && !stuck(server).warned;
  const others = state.servers.filter((one) => one.id !== server?.id && stuck(one));
  place.hidden = !server?.now?.length && !others.length;
  const text = stuck(server)?.warned?.text ?? "";
  const shown = JSON.stringify([text, unnamed, others.map((other) => other.id)]);
  if (place.dataset.shown !== shown || !place.firstChild) {
    show(place, el("div", { class: "line" }), text && el("div", { class: "said-so" }, warning(text)),
      unnamed && el("p", {}, "With whom, and where in the code, stands in the server's log. ",
        el("code", {}, "OTEL_LOGS_EXPORTER=otlp"), " in its environment sends that here, too."),
      others.length > 0 && el("p", {}, "Stuck as well: ", others.map((other, at) => [at ? ", " : "",
        el("a", { href: to("loop", { server: other.id }) }, other.name)])));
    place.dataset.shown = shown;
    const stack = place.querySelector("pre");
    if (stack) stack.scrollTop = stack.scrollHeight;
  }
  place.classList.toggle("stuck", Boolean(stuck(server)));
  show(place.firstChild, server?.now?.length > 0 && el("p", {}, inWords(server)));
}

function inWords(server) {
  const one = stuck(server);
  const age = now() - Math.max(...server.now.map((process) => process.heard));
  const late = age > 2.5 ? ` (told ${duration(age)} ago)` : "";
  const rest = [waitingInWords(server), openInWords(server)];
  return one
    ? [el("b", {}, `The loop of ${server.name} has not been back for ${duration(one.busy)}`), `${late}: ${one.warned?.who ? `it is busy with ${one.warned.who}, and ` : ""}nobody who connects is answered. `, dot(rest)]
    : dot([[el("b", {}, "Now"), `${late}: the loop is ${away(server).length ? "busy" : "ready"}`], ...rest]);
}
