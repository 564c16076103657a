// Elements, made of text and other elements only: what came over the network never becomes markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.entries(value).forEach(([k, v]) => element.style.setProperty(k, v));
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const el = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);
export const svg = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

export function show(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter(Boolean));
}

// A table. The head is of texts, or {text, right} for numbers; cells are texts or elements.
export function table(head, rows, name) {
  const right = (at) => (head[at]?.right ? "right" : undefined);
  const titled = head.some((one) => one.text ?? one);
  return el("div", { class: "scroll" }, el("table", { class: "numbers", "aria-label": name },
    titled && el("thead", {}, el("tr", {}, head.map((one, at) => el("th", { scope: "col", class: right(at) }, one.text ?? one)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, at) => el("td", { class: right(at) }, cell ?? "")))))));
}
