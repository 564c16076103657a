// Time to pixels and back, and where the ticks of an axis go.

export class Scale {
  constructor(begin, end, left, right) {
    Object.assign(this, { begin, end, left, right });
    this.perSecond = (right - left) / (end - begin);
  }

  x(time) {
    return this.left + (time - this.begin) * this.perSecond;
  }

  time(x) {
    return this.begin + (x - this.left) / this.perSecond;
  }

  // A step of 1, 2 or 5 times a power of ten seconds, or of minutes, at least `apart` pixels wide.
  step(apart) {
    const least = apart / this.perSecond;
    for (const step of [60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400]) {
      if (least > 20 && least <= step) return step;
    }
    const power = 10 ** Math.floor(Math.log10(least));
    return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least);
  }

  ticks(apart) {
    const step = this.step(apart);
    const first = Math.ceil(this.begin / step);
    const found = [];
    for (let at = first; at * step <= this.end && found.length < 200; at += 1) found.push(at * step);
    return { step, ticks: found };
  }
}
