// Light or dark: what the system says until somebody chooses.

const KEY = "tcpwatch.theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

const chosen = () => {
  try { return localStorage.getItem(KEY); } catch { return null; }
};
export const dark = () => document.documentElement.dataset.theme === "dark";
export const onTheme = (listener) => { listeners.add(listener); return () => listeners.delete(listener); };
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function apply() {
  document.documentElement.dataset.theme = chosen() ?? (system.matches ? "dark" : "light");
  document.getElementById("theme").textContent = dark() ? "☀" : "☾";
  listeners.forEach((listener) => listener());
}

export function switchTheme() {
  try { localStorage.setItem(KEY, dark() ? "light" : "dark"); } catch { return; }
  apply();
}

export function startTheme() {
  system.addEventListener("change", apply);
  document.getElementById("theme").addEventListener("click", switchTheme);
  apply();
}
