import { el, show } from "../core/dom.js";
export function findings({ main }) { show(main, el("p", {}, "…")); }
