// The loop view: the picture with its controls. What is on screen is kept in the address.

import { go, keep } from "../core/address.js";
import { el, show } from "../core/dom.js";
import { many } from "../core/format.js";
import { isLive, now, onState, server as serverOf, words } from "../core/state.js";
import { onTheme } from "../core/theme.js";
import { gestures } from "../loop/gestures.js";
import { Gantt } from "../loop/gantt.js";
import { Model, PHASES } from "../loop/model.js";
import { Strip } from "../loop/strip.js";
import { tip } from "../loop/tip.js";

const MOST = 4000;
const LIVE_SECONDS = 20;
const SHORTEST = 0.0005;

export function loop({ main, server, parameters }) {
  if (!server) {
    show(main, el("p", { class: "sheet" }, "No connection has been recorded yet."));
    return undefined;
  }
  main.className = "full";
  const canvas = el("canvas", { id: "gantt", tabindex: 0, role: "application", "aria-label": "Connections of this server in time. Arrows move and select, plus and minus zoom, Enter opens, b goes to the blocker." });
  const strip = new Strip(el("canvas", { id: "strip", "aria-hidden": "true" }), (from, until, done) => choosePart(from, until, done));
  const bubble = el("div", { id: "tip", class: "tip", hidden: true });
  const nobody = el("p", { id: "nobody", class: "nobody", hidden: true });
  const note = el("span", { class: "soft", id: "shown", role: "status" });
  const liveButton = el("button", { type: "button", id: "live", title: "Follow what happens now (l)", onclick: () => follow(!following) }, "Live");
  const picture = new Gantt(canvas);
  canvas.picture = picture;
  let following = !parameters.begin && isLive(server);
  let asked = "";
  let known = false;
  let left = false;
  let timer = 0;
  let frameAsked = false;

  show(main,
    el("div", { class: "tools" },
      el("ul", { class: "legend", "aria-label": "Colours" }, PHASES.filter((phase) => phase !== "handle").map((phase) =>
        el("li", { title: words.phases[phase] }, el("i", { style: { background: `var(--${phase})` } }), phase.replace("_", " ")))),
      note,
      el("span", { class: "group" },
        el("button", { type: "button", title: "Zoom out (-)", "aria-label": "Zoom out", onclick: () => act.zoom(1 / 0.6) }, "−"),
        el("button", { type: "button", title: "Zoom in (+), or Ctrl and the wheel", "aria-label": "Zoom in", onclick: () => act.zoom(0.6) }, "+"),
        el("button", { type: "button", id: "fit", title: "Everything (f)", onclick: () => act.fit() }, "All"),
        liveButton)),
    strip.canvas, el("div", { class: "stage" }, canvas, nobody, bubble));

  const extent = () => {
    const one = serverOf(server.id) ?? server;
    const margin = Math.max((one.last - one.first) * 0.01, 0.005);
    return { begin: one.first - margin, end: Math.max(one.last + margin, following ? now() : 0) };
  };

  function paint() {
    if (frameAsked || left) return;
    frameAsked = true;
    requestAnimationFrame(() => {
      frameAsked = false;
      picture.resize();
      picture.draw();
      canvas.dataset.rows = picture.shown.length;
      nobody.hidden = !known || picture.shown.length > 0;
      say();
    });
  }

  async function fetchNow() {
    const { begin, end } = picture.view;
    const wide = end - begin;
    const parameters_ = { server: server.id, begin: begin - wide * 0.5, end: end + wide * 0.5, most: MOST };
    const key = JSON.stringify(parameters_);
    if (key === asked || left) return;
    asked = key;
    const model = await Model.of(parameters_);
    if (asked !== key || left) return;
    picture.model = model;
    known = true;
    canvas.dataset.deepest = Math.max(0, ...model.measured.map(([, depth]) => depth));
    told();
    paint();
  }

  function told() {
    picture.present.set(serverOf(server.id));
    picture.present.wait(picture.model.measured);
    canvas.dataset.open = picture.present.rows.map((row) => row.text).join(", ");
  }

  function say() {
    const { model, shown } = picture;
    const said = model.total > model.rows.length
      ? `the ${model.rows.length.toLocaleString("en")} longest of ${many(model.total, "connection")}: zoom in for all`
      : many(shown.length, "connection");
    if (note.textContent !== said) note.textContent = said;
  }

  // Ask again when what is on screen is not in the model, or is too coarse in it.
  function refresh(always = false) {
    const { begin, end } = picture.view, { model } = picture;
    const inside = begin >= model.begin && end <= model.end;
    if (inside && !always && model.end - model.begin < (end - begin) * 4) return;
    clearTimeout(timer);
    timer = setTimeout(() => fetchNow().catch((error) => { note.textContent = error.message; }), 120);
  }

  function moved(remember = true) {
    strip.view = picture.view;
    strip.draw();
    refresh();
    paint();
    if (remember && !following) keep({ server: server.id, begin: picture.view.begin.toFixed(4), end: picture.view.end.toFixed(4) });
  }

  function look(begin, end) {
    const whole = extent();
    const slack = Math.max(whole.end - whole.begin, 1);
    const wide = Math.min(Math.max(end - begin, SHORTEST), slack * 1.5);
    const start = Math.min(Math.max(begin, whole.begin - slack / 4), whole.end + slack / 4 - wide);
    picture.view = { begin: start, end: start + wide };
    moved();
  }

  function follow(on) {
    following = on;
    liveButton.setAttribute("aria-pressed", String(on));
    if (on) keep({ begin: "", end: "" });
  }

  function choosePart(from, until, done) {
    follow(false);
    const [begin, end] = [Math.min(from, until), Math.max(from, until)];
    const wide = picture.view.end - picture.view.begin;
    const dragged = (end - begin) > (strip.extent.end - strip.extent.begin) * 0.01;
    if (dragged) look(begin, end);
    else if (done) look(begin - wide / 2, begin + wide / 2);
  }

  function mark(id) {
    picture.selected = id ?? "";
    picture.layout();
    picture.reveal(id);
    canvas.dataset.selected = picture.selected;
    paint();
  }

  const open = (id) => id && go("connection", { server: server.id }, id);
  const act = {
    pan(x, y) {
      picture.scroll -= y;
      if (x) {
        follow(false);
        const by = -x / picture.scale.perSecond;
        look(picture.view.begin + by, picture.view.end + by);
      } else paint();
    },
    zoom(factor, x) {
      if (following) follow(false);
      const { begin, end } = picture.view;
      const middle = x === undefined ? (begin + end) / 2 : picture.scale.time(Math.max(x, picture.left));
      look(middle - (middle - begin) * factor, middle + (end - middle) * factor);
    },
    hover(x, y, event) {
      const found = x < 0 ? {} : picture.at(x, y);
      const id = found.row?.id ?? "";
      canvas.style.cursor = id ? "pointer" : "grab";
      tip(bubble, found, picture.model, x, y, canvas);
      if (event?.pointerType === "touch") return;
      if (id !== picture.hovered) {
        picture.hovered = id;
        canvas.dataset.hovered = id;
        paint();
      }
    },
    choose: (x, y) => open(picture.at(x, y).row?.id),
    open: () => open(picture.selected),
    select(step) {
      const present = picture.place.get(picture.selected) ?? -1;
      mark(picture.shown[Math.min(Math.max(present + step, 0), picture.shown.length - 1)]?.id);
    },
    blocker() {
      const blocker = picture.model.byId.get(picture.selected || picture.hovered)?.blocker;
      if (!blocker) return;
      if (picture.place.has(blocker)) mark(blocker);
      else open(blocker);
    },
    fit: () => { follow(false); const whole = extent(); look(whole.begin, whole.end); },
    live: () => follow(!following),
    clear: () => mark(""),
  };
  gestures(canvas, act);
  // A page without anything, and no word, looks broken.
  show(nobody, "No connection that is over lies in this window.", el("button", { type: "button", onclick: act.fit }, "Show all"));

  // While following, the window's end is now.
  function tick() {
    if (left) return;
    if (following && !document.hidden) {
      picture.view = { begin: now() - LIVE_SECONDS, end: now() };
      strip.view = picture.view;
      strip.draw();
      paint();
    }
    setTimeout(tick, following ? 50 : 250);
  }

  const forgetState = onState((changed) => {
    told();
    paint();
    if (!changed) return;
    strip.load(server.id, extent()).catch(() => {});
    if (following || picture.view.end >= picture.model.end || picture.view.end > now() - 30) { asked = ""; refresh(true); }
  });
  const forgetTheme = onTheme(() => { picture.readColours(); strip.draw(); paint(); });
  const observer = new ResizeObserver(() => { strip.draw(); paint(); });
  observer.observe(canvas);

  follow(following);
  const whole = extent();
  picture.view = following ? { begin: now() - LIVE_SECONDS, end: now() }
    : { begin: Number(parameters.begin) || whole.begin, end: Number(parameters.end) || whole.end };
  picture.marked = parameters.mark ?? "";
  told();
  picture.resize();
  picture.layout();
  strip.view = picture.view;
  strip.load(server.id, whole).catch(() => {});
  fetchNow().catch((error) => { note.textContent = error.message; });
  tick();
  // Who came by a key, or by a link that is gone now, goes on with the picture's keys.
  if (!main.contains(document.activeElement)) canvas.focus({ preventScroll: true });
  return () => { left = true; clearTimeout(timer); forgetState(); forgetTheme(); observer.disconnect(); };
}
