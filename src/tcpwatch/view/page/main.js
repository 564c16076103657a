// The frame: which view, which server, light or dark, and what the store has to say.

import { go, here, to } from "./core/address.js";
import { el, show } from "./core/dom.js";
import { bytes, many } from "./core/format.js";
import { showPresent } from "./core/present.js";
import { isLive, mostTelling, onState, server, startState, state } from "./core/state.js";
import { startTheme, switchTheme } from "./core/theme.js";
import { connection } from "./views/connection.js";
import { findings } from "./views/findings.js";
import { learn } from "./views/learn.js";
import { loop } from "./views/loop.js";
import { overview } from "./views/overview.js";

const VIEWS = { findings, loop, overview, learn, connection };
const TABS = { findings: "Findings", loop: "Loop", overview: "Overview", learn: "Learn" };
const main = document.getElementById("main");
const chooser = document.getElementById("server");
// Made once: an element that is made anew each second cannot keep the focus.
const links = Object.fromEntries(Object.entries(TABS).map(([name, title], at) =>
  [name, el("a", { title: `${title} (${at + 1})` }, title)]));
let leave = () => {};
let present = "";
let held;

// Who has named no server stays with the first that was shown, whatever happens meanwhile.
function chosenServer() {
  const asked = here().parameters.server;
  const one = server(asked) ?? server(held) ?? mostTelling();
  held = one?.id;
  return one;
}

function frame() {
  const { view, parameters } = here();
  const one = chosenServer();
  for (const [name, link] of Object.entries(links)) {
    link.href = to(name, { server: parameters.server });
    if (name === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const listed = state.servers.map((s) => `${s.id} ${s.name} ${s.connections}`).join();
  if (chooser.dataset.listed !== listed && document.activeElement !== chooser) {
    show(chooser, state.servers.map((s) => el("option", { value: s.id }, `${s.name} (${s.connections})`)));
    chooser.dataset.listed = listed;
  }
  chooser.hidden = !state.servers.length;
  if (one) chooser.value = one.id;
  const pulse = document.getElementById("pulse");
  pulse.classList.toggle("live", isLive(one));
  pulse.textContent = `${isLive(one) ? "live · " : ""}${bytes(state.size ?? 0)} in ${state.where === "memory" ? "memory" : "file"}`;
  pulse.title = `Kept in ${state.where}, at most ${bytes(state.cap ?? 0)}, the oldest leave first`;
  const trouble = document.getElementById("trouble");
  trouble.textContent = state.lost || state.trouble || (state.evicted
    ? `${many(state.evicted, "older span")} had to leave: the store keeps ${bytes(state.cap)}. What you see begins later than what happened.` : "");
  trouble.hidden = !trouble.textContent;
  showPresent(document.getElementById("present"), one);
}

function enter() {
  const { view, rest, parameters } = here();
  const one = chosenServer();
  const key = JSON.stringify([view, rest, one?.id, view === "loop" ? [parameters.begin, parameters.end, parameters.mark] : parameters]);
  frame();
  if (key === present) return;
  present = key;
  leave();
  main.className = "";
  document.title = `${TABS[view] ?? (view === "connection" ? "Connection" : TABS.findings)} – tcpwatch`;
  leave = (VIEWS[view] ?? findings)({ main, server: one, rest, parameters }) ?? (() => {});
}

chooser.addEventListener("change", () => {
  const { view } = here();
  chooser.blur();
  go(TABS[view] ? view : "findings", { server: chooser.value });
});
addEventListener("hashchange", enter);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const view = Object.keys(TABS)[Number(event.key) - 1];
  if (view) go(view, { server: here().parameters.server });
  else if (event.key === "t") switchTheme();
  else if (event.key === "b") document.querySelector("#why a")?.click();
});

show(document.getElementById("views"), Object.values(links));
startTheme();
try {
  await startState();
  let before = state.servers.length;
  onState(() => {
    if (before === 0 && state.servers.length) present = "";
    before = state.servers.length;
    if (present === "") enter();
    else frame();
  });
  enter();
} catch (error) {
  show(main, el("p", { class: "sheet" }, `The viewer does not answer: ${error.message}`));
}
