// What each phase is, in kernel and Python terms, with this recording's own numbers beside it.

import { to } from "../core/address.js";
import { ask } from "../core/api.js";
import { el, show, table } from "../core/dom.js";
import { duration, percent } from "../core/format.js";
import { kept } from "../core/waiting.js";

export function learn({ main, server }) {
  return kept(main, () => ask("learn", { server: server?.id }), (found) => show(main, sheet(server, found)));
}

function sheet(server, found) {
  return el("section", { class: "sheet", "data-ready": "learn" },
    el("h1", {}, "The life of a connection"),
    el("p", { class: "lead" }, "One loop in the server takes new connections out of a queue in the kernel. Here is what happens to each of them, in order",
      server ? `, with the numbers of ${server.name}.` : "."),
    el("ol", { class: "lessons" }, found.phases.map((one) => lesson(server, one))),
    el("h2", {}, "What the loop does"),
    table(["state", { text: "share", right: true }, "meaning"], Object.entries(found.states).map(([state, meaning]) => [el("code", {}, state), share(found.loop, state), meaning]), "Loop states"),
    el("h2", {}, "Why somebody waited"),
    table(["", "meaning"], Object.entries(found.activities).map(([name, meaning]) => [el("code", {}, name), meaning]), "Causes"),
    el("h2", {}, "How a connection can end"),
    table(["outcome", "meaning"], Object.entries(found.outcomes).map(([name, meaning]) => [
      server ? el("a", { href: to("overview", { server: server.id, outcome: name }) }, el("code", {}, name)) : el("code", {}, name), meaning]), "Outcomes"));
}

function share(loop, state) {
  const total = Object.values(loop).reduce((sum, seconds) => sum + seconds, 0);
  return total ? percent((loop[state] ?? 0) / total) : "–";
}

function lesson(server, { phase, meaning, kernel, python, long, spread, code }) {
  const term = (name, text) => [el("dt", {}, name), el("dd", {}, text)];
  return el("li", { id: phase },
    el("h2", {}, el("i", { class: "swatch", style: { background: `var(--${phase})` } }), phase.replace("_", " "), el("small", { class: "soft" }, ` ${meaning}`)),
    el("div", { class: "lesson" },
      el("dl", {}, term("Kernel", kernel), term("Python", python), term("If it is long", long)),
      el("div", { class: "own" }, spread
        ? [el("b", {}, "Here"), el("div", {}, `${spread.count} connections had it`), el("div", {}, `half: ${duration(spread.p50)}`), el("div", {}, `95 of 100: ${duration(spread.p95)}`), el("div", {}, `longest: ${duration(spread.longest)}`)]
        : el("span", { class: "soft" }, "No connection here had it."),
      code && el("div", { class: "mono code", title: code.file }, code.function, el("span", { class: "soft" }, ` ${(code.file || "").split("/").slice(-2).join("/")}:${code.line ?? "?"}`)))));
}
