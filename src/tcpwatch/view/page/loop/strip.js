// The whole recording in one line: how many came when, who waited, and which part is on screen.

import { ask } from "../core/api.js";
import { colour } from "../core/theme.js";

export class Strip {
  constructor(canvas, onChoose) {
    this.canvas = canvas;
    this.steps = [];
    this.extent = { begin: 0, end: 1 };
    this.view = this.extent;
    let from = null;
    const time = (event) => {
      const box = canvas.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      return this.extent.begin + share * (this.extent.end - this.extent.begin);
    };
    canvas.addEventListener("pointerdown", (event) => { from = time(event); canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointermove", (event) => { if (from !== null) onChoose(from, time(event), false); });
    canvas.addEventListener("pointerup", (event) => { if (from !== null) onChoose(from, time(event), true); from = null; });
  }

  async load(server, extent) {
    const steps = Math.max(50, Math.round(this.canvas.clientWidth / 3));
    const answer = await ask("density", { server, ...extent, steps });
    Object.assign(this, { extent, steps: answer.steps, step: answer.step });
    this.draw();
  }

  draw() {
    const { canvas, extent } = this;
    const ratio = devicePixelRatio || 1, wide = canvas.clientWidth, high = canvas.clientHeight;
    canvas.width = wide * ratio;
    canvas.height = high * ratio;
    const c = canvas.getContext("2d");
    c.scale(ratio, ratio);
    const x = (time) => ((time - extent.begin) / (extent.end - extent.begin)) * wide;
    c.fillStyle = colour("sunken");
    c.fillRect(0, 0, wide, high);
    const most = Math.max(1, ...this.steps.map(([, many]) => many));
    for (const [at, many, wait] of this.steps) {
      c.fillStyle = colour(wait >= 0.05 ? "accept_queue" : "app");
      const tall = 2 + (high - 4) * Math.sqrt(many / most);
      c.fillRect(x(at), high - tall, Math.max(1.5, x(at + this.step) - x(at) - 0.5), tall);
    }
    c.fillStyle = c.strokeStyle = colour("accent");
    const left = Math.max(0, x(this.view.begin)), right = Math.min(wide, x(this.view.end));
    c.globalAlpha = 0.14;
    c.fillRect(left, 0, Math.max(right - left, 3), high);
    c.globalAlpha = 1;
    c.strokeRect(left + 0.5, 0.5, Math.max(right - left - 1, 2), high - 1);
  }
}
