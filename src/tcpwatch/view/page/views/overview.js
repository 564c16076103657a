// All connections together: spreads, waits, outcomes, and the worst ones, under filters that are
// kept in the address.

import { go, to } from "../core/address.js";
import { ask } from "../core/api.js";
import { bars, OUTCOMES, spreads, stacked } from "../core/charts.js";
import { el, show, table } from "../core/dom.js";
import { duration, many } from "../core/format.js";
import { onTheme } from "../core/theme.js";
import { kept } from "../core/waiting.js";
import { title } from "../loop/model.js";

const FILTERS = ["route", "outcome", "peer", "least", "begin", "end", "last"];

export function overview({ main, server, parameters }) {
  if (!server) {
    show(main, el("p", { class: "sheet" }, "No connection has been recorded yet."));
    return undefined;
  }
  const asked = { server: server.id, ...Object.fromEntries(FILTERS.map((name) => [name, parameters[name]])) };
  if (asked.last) asked.begin = server.last - Number(asked.last);
  delete asked.last;
  let answer = null;
  const place = { charts: null };
  const leave = kept(main, () => ask("overview", asked), (found) => {
    answer = found;
    place.charts = [el("div"), el("div"), el("div")];
    show(main, sheet(server, parameters, found, place.charts));
    draw();
  });
  const draw = () => {
    if (!answer || !place.charts) return;
    const [phases, waits, outcomes] = place.charts;
    spreads(phases, answer.phases);
    bars(waits, [...answer.bounds.map((bound) => `≤ ${duration(bound)}`), `> ${duration(answer.bounds.at(-1))}`], answer.waits);
    stacked(outcomes, answer.outcomes);
  };
  const forget = onTheme(draw);
  return () => { leave(); forget(); };
}

function sheet(server, parameters, found, [phases, waits, outcomes]) {
  const chart = (name, place, meaning, legend) => el("figure", { class: "chart" },
    el("figcaption", {}, el("h2", {}, name), el("span", { class: "soft" }, meaning)), place, legend);
  const link = (row) => el("a", { href: to("connection", { server: server.id }, row.id) }, title(row));
  return el("section", { class: "sheet wide", "data-ready": "overview" },
    filters(server, parameters, found),
    el("p", { class: "lead" }, `${many(found.connections, "connection")}${found.waited === null ? "" : `, ${found.waited} waited 50 ms or more`}.`),
    el("div", { class: "grid" },
      chart("Where the time goes", phases, "each phase: half, 95 and 99 of 100 were shorter; the end is the longest"),
      chart("Waits in the accept queue", waits, "how many connections waited how long"),
      chart("How connections ended", outcomes, "over time", el("ul", { class: "legend" }, Object.keys(found.outcomes.counts).map((outcome) =>
        el("li", {}, el("i", { style: { background: `var(--${OUTCOMES[outcome] ?? "handle"})` } }), outcome.replaceAll("_", " ")))))),
    el("div", { class: "grid" },
      listing("Most blocking", ["", { text: "waited", right: true }, { text: "together", right: true }], found.blocking.map((one) => [
        el("span", {}, one.id ? el("a", { href: to("connection", { server: server.id }, one.id) }, one.who) : one.activity.replace("_", " "), el("small", { class: "soft" }, ` ${one.did}`)),
        one.count, duration(one.seconds)])),
      listing("Longest waits", ["", { text: "waited", right: true }], found.longest.map((row) => [link(row), duration(row.wait)])),
      listing("Slowest", ["", { text: "lasted", right: true }], found.slowest.map((row) => [link(row), duration(row.end - row.start)])),
      listing("Routes", ["", { text: "requests", right: true }, { text: "half", right: true }, { text: "95 %", right: true }, { text: "5xx", right: true }], found.routes.map((one) => [
        el("a", { href: to("overview", { ...parameters, server: server.id, route: one.route }) }, one.name), one.count, duration(one.p50), duration(one.p95), one.failed])),
      listing("Errors", ["", { text: "times", right: true }], found.troubles.map((one) => [
        el("a", { href: to("connection", { server: server.id }, one.example) }, one.what), one.count]))));
}

function listing(name, head, rows) {
  return el("div", {}, el("h2", {}, name), rows.length
    ? table(head, rows, name)
    : el("p", { class: "soft" }, "None."));
}

function filters(server, parameters, found) {
  const change = (name) => (event) => go("overview", { ...parameters, server: server.id, [name]: event.target.value });
  const known = Object.keys(found.outcomes.counts);
  const outcomes = [...new Set([...known, ...(parameters.outcome ? [parameters.outcome] : [])])];
  const field = (name, text, control) => el("label", {}, el("span", { class: "soft" }, text), control);
  const choose = (name, values) => el("select", { id: `filter-${name}`, onchange: change(name) },
    el("option", { value: "" }, "all"), values.map(([value, text]) => el("option", { value, selected: parameters[name] === value }, text)));
  const write = (name, hint, type = "text") => el("input", { id: `filter-${name}`, type, placeholder: hint, value: parameters[name] ?? "", onchange: change(name), size: 12 });
  const routes = [...new Set([...found.routes.map((one) => one.route), ...(parameters.route ? [parameters.route] : [])])];
  const span = Number(parameters.begin) ? `${new Date(parameters.begin * 1e3).toLocaleTimeString()} – ${new Date(parameters.end * 1e3).toLocaleTimeString()}` : "";
  return el("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
    field("route", "route", choose("route", routes.map((route) => [route, route]))),
    field("outcome", "outcome", choose("outcome", outcomes.map((one) => [one, one.replaceAll("_", " ")]))),
    field("least", "waited at least", choose("least", [["0.05", "50 ms"], ["0.25", "250 ms"], ["1", "1 s"], ["5", "5 s"]])),
    field("peer", "client", write("peer", "127.0.0.1")),
    field("last", "time", choose("last", [["10", "last 10 s"], ["60", "last minute"], ["600", "last 10 minutes"], ["3600", "last hour"]])),
    span && el("span", { class: "soft" }, span),
    FILTERS.some((name) => parameters[name]) && el("a", { href: to("overview", { server: server.id }) }, "clear"));
}
