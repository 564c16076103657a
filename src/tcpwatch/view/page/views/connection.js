import { el, show } from "../core/dom.js";
export function connection({ main }) { show(main, el("p", {}, "…")); }
