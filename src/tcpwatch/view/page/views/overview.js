import { el, show } from "../core/dom.js";
export function overview({ main }) { show(main, el("p", {}, "…")); }
