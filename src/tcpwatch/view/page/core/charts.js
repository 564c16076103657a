// Charts by plotly, from the installed Python package; loaded when the first chart is wanted.

import { clock, duration } from "./format.js";
import { colour } from "./theme.js";

let loading = null;

function library() {
  loading ??= new Promise((resolve, reject) => {
    // Plotly would write a style sheet into the page, which the page's policy forbids; this element
    // tells it that there is one already.
    const mark = document.createElement("meta");
    mark.id = "plotly.js-style-global";
    mark.className = "no-inline-styles";
    const script = document.createElement("script");
    script.src = "/charts.js";
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("The charts need the Python package plotly: pip install 'tcpwatch[view]'"));
    document.head.append(mark, script);
  });
  return loading;
}

// Plotly reads a little markup in texts; what came over the network must not be read so.
const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

async function draw(place, traces, layout) {
  let plotly;
  try {
    plotly = await library();
  } catch (error) {
    place.textContent = error.message;
    return;
  }
  const axis = { gridcolor: colour("faint"), linecolor: colour("line"), zerolinecolor: colour("line"), tickcolor: colour("line"), fixedrange: true };
  await plotly.react(place, traces, {
    height: 250, margin: { l: 48, r: 10, t: 8, b: 40 }, bargap: 0.15,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colour("soft") },
    hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("line"), font: { color: colour("ink"), size: 12 } },
    showlegend: false,
    ...layout, xaxis: { ...axis, ...layout.xaxis }, yaxis: { ...axis, ...layout.yaxis },
  }, { displayModeBar: false, responsive: true });
}

// Counts have whole steps; what is drawn between them would be called by the nearest.
const whole = (most) => ({ rangemode: "tozero", tickformat: "d", ...(most < 6 && { tick0: 0, dtick: 1 }) });

const decades = {
  "1 µs": 1e-6, "10 µs": 1e-5, "0.1 ms": 1e-4, "1 ms": 1e-3, "10 ms": 1e-2,
  "0.1 s": 1e-1, "1 s": 1, "10 s": 10, "100 s": 100, "1000 s": 1000,
};

// Each phase as a line from its median to its longest, on a scale of powers of ten.
export function spreads(place, phases) {
  const names = Object.keys(phases).reverse();
  const labels = names.map((name) => name.replace("_", " "));
  const least = 1e-6;
  const at = (value) => Math.max(value, least);
  const points = (key, symbol, size) => ({
    type: "scatter", mode: "markers", name: key, y: labels, x: names.map((name) => at(phases[name][key])),
    marker: { symbol, size, color: names.map((name) => colour(name)), line: { width: 1, color: colour("ink") } },
    text: names.map((name) => `${name.replace("_", " ")}: ${duration(phases[name][key])}`), hoverinfo: "text",
  });
  const lines = names.map((name, i) => ({
    type: "scatter", mode: "lines", x: [at(phases[name].p50), at(phases[name].longest)], y: [labels[i], labels[i]],
    line: { color: colour(name), width: 5 }, hoverinfo: "skip",
  }));
  return draw(place, [...lines, points("p50", "circle", 9), points("p95", "line-ns", 12), points("p99", "line-ns", 12), points("longest", "diamond", 8)], {
    margin: { l: 92, r: 16, t: 8, b: 50 },
    xaxis: { type: "log", tickangle: -45, tickvals: Object.values(decades), ticktext: Object.keys(decades) },
    yaxis: { automargin: false },
  });
}

export function bars(place, labels, counts) {
  return draw(place, [{
    type: "bar", x: labels, y: counts, marker: { color: labels.map((_, i) => colour(i > 4 ? "accept_queue" : "app")) },
    text: counts.map((count) => (count ? String(count) : "")), textposition: "outside", cliponaxis: false,
    hovertext: labels.map((label, i) => `${label}: ${counts[i]}`), hoverinfo: "text",
  }], { yaxis: whole(Math.max(...counts)), xaxis: { tickangle: -45 }, margin: { l: 40, r: 8, t: 16, b: 56 } });
}

export const OUTCOMES = {
  completed: "app", no_request: "idle", client_gone_in_queue: "accept_queue", client_disconnected: "dispatch",
  bad_request: "read_head", timeout: "tls_handshake", tls_failed: "tls_handshake", handler_error: "danger",
  child_died: "danger", rejected: "drain", server_shutdown: "close", uninstalled: "close",
};

export function stacked(place, { first, step, counts }) {
  const moments = (list) => list.map((_, at) => clock(first + at * step, step));
  const traces = Object.entries(counts).map(([outcome, list]) => ({
    type: "bar", x: moments(list), y: list,
    marker: { color: colour(OUTCOMES[outcome] ?? "handle") },
    hovertext: list.map((count, at) => `${plain(outcome.replaceAll("_", " "))}: ${count} at ${moments(list)[at]}`), hoverinfo: "text",
  }));
  const most = Math.max(0, ...(Object.values(counts)[0] ?? []).map((_, at) => Object.values(counts).reduce((sum, list) => sum + list[at], 0)));
  return draw(place, traces, { barmode: "stack", bargap: 0.05, xaxis: { nticks: step < 1 ? 3 : 5, tickangle: 0, type: "category" }, yaxis: whole(most) });
}
