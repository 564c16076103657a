// Where we are, kept after the # so that an address can be sent to somebody else.

export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "", ...rest] = path.split("/").map(decodeURIComponent);
  return { view: view || "findings", rest, parameters: Object.fromEntries(new URLSearchParams(query)) };
}

export function to(view, parameters = {}, ...rest) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  }
  const path = [view, ...rest].map(encodeURIComponent).join("/");
  return `#/${path}${query.size ? `?${query}` : ""}`;
}

export const go = (...where) => { location.hash = to(...where); };

// Change the address without a new view; the way back stays short.
export function keep(parameters) {
  const { view, rest, parameters: before } = here();
  history.replaceState(null, "", to(view, { ...before, ...parameters }, ...rest));
}
