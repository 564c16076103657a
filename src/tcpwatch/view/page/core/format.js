// Numbers as a person would say them.

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds >= 99.95) return `${seconds.toFixed(0)} s`;
  if (seconds >= 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds >= 0.0995) return `${seconds.toFixed(2)} s`;
  if (seconds >= 0.00995) return `${(seconds * 1e3).toFixed(0)} ms`;
  if (seconds >= 0.0000995) return `${(seconds * 1e3).toFixed(1)} ms`;
  return seconds === 0 ? "0" : `${(seconds * 1e6).toFixed(0)} µs`;
}

const two = (number) => String(number).padStart(2, "0");

// The time of day, with as many digits as a step of `step` seconds needs.
export function clock(seconds, step = 1) {
  const date = new Date(seconds * 1e3);
  const whole = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  if (step >= 1) return whole;
  const digits = Math.min(6, Math.ceil(-Math.log10(step)));
  const part = seconds - Math.floor(seconds);
  return whole + (part.toFixed(digits) >= 1 ? (0.999999).toFixed(digits) : part.toFixed(digits)).slice(1);
}

export function bytes(number) {
  if (number === null || number === undefined) return "–";
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (number >= size) return `${(number / size).toFixed(number >= 10 * size ? 0 : 1)} ${unit}`;
  }
  return `${number} B`;
}

export const percent = (share) => (share === null || share === undefined ? "–" : `${Math.round(share * 100)} %`);
export const many = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
