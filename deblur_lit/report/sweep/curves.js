"use strict";
// Draws curves with bands, a legend that hides rows, and values at the pointer or by the arrow keys.

const HEIGHT = 210, LEFT = 52, RIGHT = 10, TOP = 8, BOTTOM = 24; // of a chart in pixels

function draw(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function ticks(low, high, number) {
  const raw = (high - low) / number, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw * 0.999);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return { step, at: Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step) };
}

function plain(value, step) {
  if (value !== 0 && Math.abs(step) < 1e-4) return value.toExponential(1).replace("-", "−");
  return value.toFixed(Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)))).replace("-", "−");
}

function steps(value) {
  return value >= 10000 ? `${+(value / 1000).toFixed(1)}k` : String(value);
}

function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

class Chart {
  constructor(group, chart) {
    this.group = group;
    this.name = chart.name;
    this.unit = chart.unit;
    this.curves = group.rows.filter((row) => chart.curves[row.key]).map((row) => ({ row, ...chart.curves[row.key] }));
    this.box = make("div", undefined, { class: "chart", "data-name": chart.name });
    const title = make("h3", chart.name);
    if (chart.unit) title.append(" ", make("small", chart.unit));
    this.svg = draw("svg", { role: "img", tabindex: 0, height: HEIGHT });
    this.tip = make("div", undefined, { class: "tip", "aria-live": "polite" });
    this.tip.hidden = true;
    this.box.append(title, this.svg, this.tip);
    this.svg.addEventListener("pointermove", (event) => this.point(event.clientX - this.svg.getBoundingClientRect().left));
    this.svg.addEventListener("pointerleave", () => this.show(-1));
    this.svg.addEventListener("blur", () => this.show(-1));
    this.svg.addEventListener("keydown", (event) => this.onKey(event));
  }

  draw() {
    const width = this.svg.clientWidth || 320, shown = this.curves.filter(({ row }) => !row.hidden);
    const end = Math.max(1, ...this.curves.map((curve) => curve.steps.at(-1)));
    const start = end * Number(this.group.range.value);
    this.shown = shown.map((curve) => {
      const first = curve.steps.findIndex((step) => step >= start);
      const part = (values) => (first < 0 ? [] : values.slice(first));
      return {
        row: curve.row, all: Math.max(...curve.count), steps: part(curve.steps), mean: part(curve.mean),
        low: part(curve.low), high: part(curve.high), count: part(curve.count),
      };
    });
    let [low, high] = extent(this.shown.flatMap((curve) => [...curve.low, ...curve.high]));
    if (low > high) [low, high] = [0, 1];
    if (low === high) [low, high] = [low - Math.abs(low || 1) * 0.05, high + Math.abs(high || 1) * 0.05];
    const margin = (high - low) * 0.05;
    [low, high] = [low - margin, high + margin];
    this.x = (step) => LEFT + ((step - start) / (end - start)) * (width - LEFT - RIGHT);
    this.y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    this.grid = [...new Set(this.shown.flatMap((curve) => curve.steps))].sort((a, b) => a - b);
    this.at = -1;
    this.svg.replaceChildren(...this.axes(start, end, low, high, width), ...this.shown.flatMap((curve) => this.lines(curve)));
    const names = this.shown.map(({ row, mean, all }) => `${row.title}: ${mean.length ? this.value(mean.at(-1)) : "no value"} (${all} seeds)`);
    this.svg.setAttribute("aria-label", `${this.name} over steps. Last values: ${names.join("; ") || "no row is shown"}. Arrow keys read values.`);
  }

  axes(start, end, low, high, width) {
    const parts = [], vertical = ticks(low, high, 5), horizontal = ticks(start, end, width < 400 ? 5 : 6);
    for (const value of vertical.at) {
      const y = this.y(value);
      parts.push(draw("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }));
      parts.push(draw("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, plain(value, vertical.step)));
    }
    for (const step of horizontal.at) {
      parts.push(draw("text", { x: this.x(step), y: HEIGHT - 6, "text-anchor": "middle" }, steps(step)));
    }
    return parts;
  }

  lines({ row, all, steps: at, mean, low, high, count }) {
    const style = `--color: ${row.color}`, group = draw("g", { class: "curve", "data-row": row.key, style });
    const corner = (step, value) => `${this.x(step).toFixed(1)},${this.y(value).toFixed(1)}`;
    if (all > 1 && at.length > 1) {
      const band = [...at.map((step, i) => corner(step, high[i])), ...at.map((step, i) => corner(step, low[i])).reverse()];
      group.append(draw("path", { class: "band", d: `M${band.join("L")}Z` }));
    }
    let from = 0; // a stretch of points with all seeds, or with fewer
    for (let i = 1; i <= at.length; i += 1) {
      if (i < at.length && (count[i] < all) === (count[from] < all)) continue;
      const stretch = at.slice(Math.max(0, from - 1), i).map((step, k) => corner(step, mean[Math.max(0, from - 1) + k]));
      if (stretch.length > 1) group.append(draw("path", { class: count[from] < all ? "mean partial" : "mean", d: `M${stretch.join("L")}` }));
      from = i;
    }
    if (at.length && at.length < 12) at.forEach((step, i) => group.append(draw("circle", { class: "dot", r: 2.5, cx: this.x(step), cy: this.y(mean[i]) })));
    return [group];
  }

  value(number) {
    if (number === 0) return "0";
    const digits = this.unit === "dB" ? number.toFixed(2) : Math.abs(number) < 1e-3 ? number.toExponential(2) : number.toPrecision(4);
    return digits.replace("-", "−");
  }

  point(x) {
    let best = -1;
    this.grid.forEach((step, i) => {
      if (best < 0 || Math.abs(this.x(step) - x) < Math.abs(this.x(this.grid[best]) - x)) best = i;
    });
    this.show(best);
  }

  onKey(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (event.key === "Escape") this.show(-1);
    if (!(event.key in moves) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const from = this.at < 0 ? this.grid.length - (event.key === "ArrowLeft" ? 0 : 1) : this.at;
    this.show(Math.max(0, Math.min(this.grid.length - 1, from + moves[event.key])));
  }

  show(index) {
    this.svg.querySelector(".cursor")?.remove();
    this.at = index;
    this.tip.hidden = index < 0;
    if (index < 0) return;
    const step = this.grid[index], x = this.x(step);
    this.svg.append(draw("line", { class: "cursor", x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }));
    this.tip.replaceChildren(make("b", `step ${step}`));
    for (const curve of this.shown) {
      const i = curve.steps.indexOf(step);
      if (i < 0) continue;
      const range = curve.count[i] > 1 ? `${this.value(curve.low[i])} to ${this.value(curve.high[i])}, ` : "";
      const title = make("span", curve.row.title, { style: `--color: ${curve.row.color}` });
      this.tip.append(title, make("span", this.value(curve.mean[i])), make("small", `${range}n = ${curve.count[i]}`));
    }
    const room = this.box.clientWidth - this.tip.offsetWidth - 8;
    const beside = x + 24 + this.tip.offsetWidth < this.box.clientWidth ? x + 24 : x - this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(8, Math.min(room, beside))}px`;
  }
}

function showCurves(element, group) {
  const legend = element.querySelector(".legend");
  if (!legend) return;
  group.range = element.querySelector(".curves select");
  choose(group.range);
  const charts = group.charts.map((chart) => new Chart(group, chart));
  const redraw = () => charts.forEach((chart) => chart.draw());
  element.querySelector(".charts").append(...charts.map((chart) => chart.box));
  group.rows.forEach((row, index) => {
    const id = `${element.id}-row-${row.key}`;
    const button = make("button", row.title, { type: "button", id, style: `--color: ${row.color}` });
    const set = (hidden) => {
      row.hidden = hidden;
      button.setAttribute("aria-pressed", String(!hidden));
    };
    set(kept.hidden?.includes(id) ?? false);
    button.addEventListener("click", () => {
      set(!row.hidden);
      redraw();
    });
    legend.append(button);
  });
  group.range.addEventListener("change", redraw);
  window.addEventListener("resize", redraw);
  redraw();
}
