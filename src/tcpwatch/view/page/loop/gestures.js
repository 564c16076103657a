// Wheel, drag, pinch and keys, turned into pan, zoom, hover and choice. It knows no data.

const CLICK = 4;

export function gestures(canvas, act) {
  const fingers = new Map();
  let moved = 0;
  let spread = 0;

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const apart = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a[0] - b[0], a[1] - b[1]);
  };

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [x] = at(event);
    const unit = event.deltaMode === 1 ? 16 : 1;
    if (event.ctrlKey || event.metaKey) act.zoom(Math.exp(event.deltaY * unit * 0.0025), x);
    else if (event.shiftKey) act.pan(-(event.deltaY || event.deltaX) * unit, 0);
    else act.pan(-event.deltaX * unit, -event.deltaY * unit);
  }, { passive: false });

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, at(event));
    moved = 0;
    if (fingers.size === 2) spread = apart();
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    const [x, y] = at(event);
    if (!before) {
      act.hover(x, y, event);
      return;
    }
    fingers.set(event.pointerId, [x, y]);
    moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
    if (fingers.size === 2) {
      const wide = apart();
      if (spread > 0 && wide > 0) act.zoom(spread / wide, x);
      spread = wide;
    } else if (moved > CLICK) {
      act.hover(-1, -1, event);
      act.pan(x - before[0], y - before[1]);
    }
  });
  const up = (event) => {
    const [x, y] = at(event);
    if (fingers.delete(event.pointerId) && !fingers.size && moved <= CLICK && event.type === "pointerup") act.choose(x, y);
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", (event) => act.hover(-1, -1, event));
  canvas.addEventListener("dblclick", (event) => act.zoom(0.4, at(event)[0]));

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = canvas.clientWidth / 8;
    const acts = {
      ArrowLeft: () => act.pan(step, 0), a: () => act.pan(step, 0),
      ArrowRight: () => act.pan(-step, 0), d: () => act.pan(-step, 0),
      ArrowUp: () => act.select(-1), ArrowDown: () => act.select(1),
      PageUp: () => act.pan(0, canvas.clientHeight / 2), PageDown: () => act.pan(0, -canvas.clientHeight / 2),
      "+": () => act.zoom(0.6), w: () => act.zoom(0.6), "=": () => act.zoom(0.6),
      "-": () => act.zoom(1 / 0.6), s: () => act.zoom(1 / 0.6),
      Enter: () => act.open(), b: () => act.blocker(), f: () => act.fit(), l: () => act.live(), Escape: () => act.clear(),
    };
    if (acts[event.key]) {
      event.preventDefault();
      acts[event.key]();
    }
  });
}
