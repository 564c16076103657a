// One connection: why it waited, where its time went, what the kernel counted, in which code.

import { to } from "../core/address.js";
import { ask } from "../core/api.js";
import { el, show, table } from "../core/dom.js";
import { clock, duration } from "../core/format.js";
import { mini } from "../core/mini.js";
import { kept } from "../core/waiting.js";

export function connection({ main, server, rest }) {
  return kept(main, () => ask(`connection/${encodeURIComponent(rest[0] ?? "")}`), (one) => show(main, sheet(server, one)), { live: false });
}

const link = (server, one) => el("a", { href: to("connection", { server: server?.id }, one.id) }, one.who);

function sheet(server, one) {
  const margin = Math.max(one.seconds * 0.3, 0.01);
  return el("section", { class: "sheet", "data-ready": "connection" },
    el("p", { class: "crumbs" }, el("a", { href: to("loop", { server: server?.id, begin: (one.start - margin).toFixed(4), end: (one.start + one.seconds + margin).toFixed(4), mark: one.id }) }, "← in the loop")),
    el("h1", {}, one.who),
    el("p", { class: "lead" },
      `${duration(one.seconds)} from ${clock(one.start, 0.001)}`, one.status ? ` · answered ${one.status}` : "",
      ` · ${one.outcome.replaceAll("_", " ")}${one.meaning ? `: ${one.meaning}` : ""}`, one.error ? ` (${one.error})` : ""),
    why(server, one),
    one.rows.length > 1 && mini(one.rows, one.blocker?.id),
    waterfall(one),
    el("div", { class: "columns" },
      el("div", {}, el("h2", {}, "On the wire"), one.facts.length
        ? el("ul", { class: "facts" }, one.facts.map((fact) => el("li", {}, fact)))
        : el("p", { class: "soft" }, "The kernel said nothing about this connection.")),
      one.victims.length > 0 && el("div", {}, el("h2", {}, `Who waited for it (${one.victims.length})`),
        el("ul", { class: "facts" }, one.victims.map((victim) => el("li", {}, link(server, victim), ` waited ${duration(victim.wait)}`))))),
    details(one));
}

function why(server, one) {
  if (!one.because && !one.blocker) return null;
  return el("p", { class: "card said", id: "why" },
    `It waited ${duration(one.wait)} before anybody answered it: `,
    one.blocker ? ["the server was busy with ", link(server, one.blocker), one.because ? `, ${one.because}.` : "."] : `${one.because}.`);
}

const place = (code) => code && el("span", { class: "mono code", title: `${code.function}, ${code.file}:${code.line ?? "?"}` },
  code.function.split(".").slice(-2).join("."), code.file ? el("span", { class: "soft" }, ` ${code.file.split("/").slice(-2).join("/")}:${code.line ?? "?"}`) : "");

// Phases, requests and the application's own spans on one axis, nested as they were.
function waterfall(one) {
  const end = Math.max(one.seconds, ...one.spans.map((span) => span.end), 1e-6);
  const line = (name, start, until, colour, depth, code, note) => el("li", { class: "step" },
    el("span", { class: "name", style: { "padding-left": `${depth * 14}px` }, title: note }, name),
    el("span", { class: "track" }, start !== null && el("i", { style: {
      left: `${Math.max(0, (start / end) * 100)}%`, width: `${Math.max(((until - start) / end) * 100, 0.2)}%`, background: colour } })),
    el("span", { class: "right" }, duration(until - (start ?? 0))),
    place(code) ?? el("span"));
  const depth = new Map();
  const steps = [
    ...one.bars.map((bar) => ({ at: bar.start, made: () => line(bar.phase.replace("_", " "), bar.start, bar.end, `var(--${bar.phase})`, 0, bar.code) })),
    ...one.spans.map((span) => {
      depth.set(span.id, (depth.get(span.parent) ?? 0) + 1);
      const colour = span.status === "ERROR" ? "var(--danger)" : span.ours ? "var(--ink)" : "var(--accent)";
      return { at: span.start, made: () => line(span.name, span.start, span.end, colour, depth.get(span.id), span.code, `${span.kind} span of ${span.scope}`) };
    }),
  ].sort((a, b) => a.at - b.at);
  return el("div", { class: "waterfall" }, el("h2", {}, "Where its time went"),
    el("ol", { class: "steps" },
      el("li", { class: "step soft", "aria-hidden": "true" }, el("span"), el("span", { class: "track ruler" }, el("span", {}, "0"), el("span", {}, duration(end))), el("span"), el("span", {}, "in the code")),
      steps.map((step) => step.made()),
      one.short.length > 0 && el("li", { class: "soft untold" }, "Too short to be told when:"),
      one.short.map(({ phase, seconds, code }) => line(phase.replace("_", " "), null, seconds, "", 0, code))));
}

function details(one) {
  const pairs = (attributes) => table(["", ""], Object.entries(attributes).map(([name, value]) => [el("code", {}, name), value]), "attributes");
  const fold = (title, attributes) => el("details", {}, el("summary", {}, title), pairs(attributes));
  return el("div", { class: "details" },
    el("p", { class: "soft" }, "Trace ", el("code", {}, one.trace), ` · ${one.server_class || "unknown server"}${one.dispatch ? `, ${one.dispatch}` : ""}`),
    fold("The connection's attributes", one.attributes),
    one.spans.map((span) => fold(`${span.name} – ${span.scope}`, span.attributes)),
    fold("The process", one.resource));
}
