// A view that asks for its content, and asks again when the store has changed: at most every two
// seconds, never while somebody has a part of it selected, and without losing the place.

import { show, el } from "./dom.js";
import { onState } from "./state.js";

const LEAST = 2000;

export function kept(main, question, draw, { live = true } = {}) {
  let left = false;
  let due = 0;
  let stale = false;
  async function load() {
    const last = Date.now();
    stale = false;
    try {
      const answer = await question();
      if (left) return;
      const top = main.scrollTop;
      const link = main.contains(document.activeElement) && document.activeElement.getAttribute("href");
      draw(answer);
      main.scrollTop = top;
      if (link) main.querySelector(`a[href="${CSS.escape(link)}"]`)?.focus({ preventScroll: true });
    } catch (error) {
      if (!left && !main.firstChild) show(main, el("p", { class: "sheet", role: "alert" }, error.message));
    }
    due = last + LEAST;
  }
  show(main);
  load();
  const forget = onState((changed) => {
    stale ||= changed;
    if (!live || !stale || Date.now() < due || String(getSelection())) return;
    if (main.contains(document.activeElement) && /^(INPUT|SELECT)$/.test(document.activeElement.tagName)) return;
    due = Infinity;
    load();
  });
  return () => { left = true; forget(); };
}
