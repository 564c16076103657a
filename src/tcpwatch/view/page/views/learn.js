import { el, show } from "../core/dom.js";
export function learn({ main }) { show(main, el("p", {}, "…")); }
