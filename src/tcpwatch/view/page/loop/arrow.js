// An upright arrow, from who waits to who holds the loop, in the context's present colours.

export function arrow(c, x, from, until) {
  const head = until < from ? 5 : -5;
  c.beginPath();
  c.moveTo(x, from);
  c.lineTo(x, until + head);
  c.stroke();
  c.beginPath();
  c.moveTo(x, until);
  c.lineTo(x - 3.5, until + head);
  c.lineTo(x + 3.5, until + head);
  c.fill();
}
