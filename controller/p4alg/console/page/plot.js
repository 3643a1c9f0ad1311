// A line for each series over time, drawn as SVG.

import { clock, h, setText, svg } from "./dom.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [320, 120, 4, 16, 14];

export class Plot {
  // `series` are functions by name that give the value of a point, null if there is none.
  constructor(title, unit, series) {
    this.unit = unit;
    this.series = Object.entries(series);
    this.points = [];
    this.picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "plot" });
    this.now = h("p", { class: "legend" });
    this.title = title;
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerleave", () => this.tell(this.points.at(-1)));
    this.element = h("figure", {}, h("figcaption", {}, title), this.picture, this.now);
  }

  show(points) {
    this.points = points;
    const values = this.series.map(([, read]) => points.map(read));
    const known = values.flat().filter((value) => value !== null && value !== undefined);
    const top = Math.max(...known, 0) || 1;
    const x = (at) => LEFT + (points.length < 2 ? 0 : (at / (points.length - 1)) * (WIDTH - 2 * LEFT));
    const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP);
    const lines = values.map((line, at) => svg("path", { class: `line line${at}`, d: path(line, x, y) }));
    this.picture.replaceChildren(
      svg("path", { class: "axis", d: `M${LEFT} ${HEIGHT - BOTTOM}H${WIDTH - LEFT}M${LEFT} ${TOP}H${WIDTH - LEFT}` }),
      svg("text", { x: LEFT, y: TOP - 4 }, known.length ? this.unit(top) : ""),
      svg("text", { x: LEFT, y: HEIGHT - 4 }, points.length ? clock(points[0].time) : ""),
      svg("text", { x: WIDTH - LEFT, y: HEIGHT - 4, "text-anchor": "end" }, points.length ? clock(points.at(-1).time) : ""),
      ...lines);
    this.tell(points.at(-1));
  }

  point(event) {
    const box = this.picture.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    this.tell(this.points[Math.round(share * (this.points.length - 1))]);
  }

  tell(point) {
    const texts = this.series.map(([name, read]) => `${name} ${point ? this.unit(read(point) ?? null) : "–"}`);
    if (this.now.childElementCount !== texts.length) {
      this.now.replaceChildren(...texts.map((_, at) => h("span", { class: `series series${at}` })));
    }
    texts.forEach((text, at) => setText(this.now.children[at], text));
    this.picture.setAttribute("aria-label", `${this.title}: ${texts.join(", ")}`);
  }
}

// A path with gaps where nothing is known. A point by itself is a short line.
function path(line, x, y) {
  let out = "";
  let drawn = false;
  line.forEach((value, at) => {
    if (value === null || value === undefined) {
      drawn = false;
      return;
    }
    out += `${drawn ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}${drawn ? "" : "h2"}`;
    drawn = true;
  });
  return out;
}
