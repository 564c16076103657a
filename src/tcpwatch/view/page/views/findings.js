// What happened, in sentences, the most telling first, each with its picture.

import { to } from "../core/address.js";
import { ask } from "../core/api.js";
import { el, show } from "../core/dom.js";
import { duration, percent } from "../core/format.js";
import { mini } from "../core/mini.js";
import { stuck } from "../core/present.js";
import { server as serverOf, state, words } from "../core/state.js";
import { kept } from "../core/waiting.js";

export function findings({ main, server }) {
  if (!server) {
    show(main, welcome());
    return undefined;
  }
  return kept(main, () => ask("findings", { server: server.id }), (found) => show(main, sheet(serverOf(server.id) ?? server, found)));
}

function welcome() {
  return el("section", { class: "sheet narrow" },
    el("h1", {}, "Nothing has arrived yet"),
    el("p", {}, "This page shows the connections of a Python server as soon as it sends its telemetry here."),
    el("pre", {}, `import tcpwatch\ntcpwatch.install()      # before app.run()\n\nOTEL_EXPORTER_OTLP_ENDPOINT=${location.origin} python app.py`),
    el("p", { class: "soft" }, "Or watch real clients wait for real servers: ", el("code", {}, "tcpwatch demo")));
}

function sheet(server, found) {
  const others = state.servers.filter((one) => one.id !== server.id);
  return el("section", { class: "sheet", "data-ready": "findings" },
    el("h1", {}, `What happened: ${server.name}`),
    el("p", { class: "lead" }, found.summary || "No connection of this server has been recorded yet."),
    stuck(server) && el("p", { class: "soft" }, "These are connections that are over. Who waits now counts when answered."),
    share(found),
    el("ol", { class: "cards" }, found.sentences.map((sentence) => card(server, sentence))),
    found.left_out > 0 && el("p", { class: "soft" }, `… and ${found.left_out} more of the kind, in the `, el("a", { href: to("overview", { server: server.id }) }, "overview"), "."),
    others.length > 0 && el("p", { class: "others soft" }, "Also here: ", others.map((one, at) => [at ? ", " : "",
      el("a", { href: to("findings", { server: one.id }) }, one.name), one.waited === null ? ` (${one.connections})` : ` (${one.waited} of ${one.connections} waited)`])));
}

// How the loop spent its time, as one line.
function share({ loop }) {
  const total = Object.values(loop).reduce((sum, seconds) => sum + seconds, 0);
  if (!total) return null;
  const parts = Object.entries(loop).filter(([, seconds]) => seconds / total >= 0.005);
  return el("figure", { class: "share" },
    el("div", { class: "line", role: "img", "aria-label": "How the loop spent its time" },
      parts.map(([state_, seconds]) => el("i", { class: state_ === "idle" ? "ready" : undefined, style: { "flex-grow": seconds, background: state_ === "idle" ? undefined : `var(--${state_})` } }))),
    el("figcaption", {}, parts.map(([state_, seconds]) => el("span", {},
      el("b", {}, `${percent(seconds / total)} ${state_ === "idle" ? "ready" : state_.replace("_", " ")}`), ` ${(words.states[state_] ?? "").replace(/^ready: /, "")}`))));
}

function card(server, sentence) {
  const rows = sentence.rows ?? [];
  const begin = Math.min(...rows.map((row) => row.start)), end = Math.max(...rows.map((row) => row.end));
  const margin = (end - begin) * 0.15;
  return el("li", { class: "card" },
    rows.length > 0 && el("p", { class: "foot soft" },
      el("a", { class: "look", href: to("loop", { server: server.id, begin: (begin - margin).toFixed(4), end: (end + margin).toFixed(4), mark: sentence.worst }) }, "See it in the loop →"),
      el("br"), `${sentence.count} waited ${duration(sentence.seconds)} together`),
    el("p", { class: "said" }, sentence.parts.map((part, at) => (typeof part === "string"
      ? (at ? part : part.charAt(0).toUpperCase() + part.slice(1))
      : el("a", { href: to("connection", { server: server.id }, part.id) }, at ? part.who : part.who.charAt(0).toUpperCase() + part.who.slice(1))))),
    rows.length > 0 && mini(rows, sentence.holder));
}
