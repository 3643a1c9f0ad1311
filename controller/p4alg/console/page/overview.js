// All gateways, and plots of one: rates, latencies, and how full its tables are.

import { at, get } from "./api.js";
import { h, number, seconds, setText } from "./dom.js";
import { Plot } from "./plot.js";
import { Table } from "./table.js";

const DEVICES_MS = 5000;
const MOST = 720;

const a = (value) => (value === null ? "–" : `${number(Math.round(value * 10) / 10)}/s`);
const PLOTS = [
  ["Control messages", a, { read: (p) => p.rates.messages, rewritten: (p) => p.rates.rewritten }],
  ["New sessions of the controller", a, { opened: (p) => p.rates.sessions, refused: (p) => p.rates.refused }],
  ["Packets", a, { "to the controller": (p) => p.rates.punts, dropped: (p) => p.rates.drops }],
  ["Pinholes opened", a, { pinholes: (p) => p.rates.pinholes }],
  ["Time to decide, at most", seconds, { p50: (p) => p.latency.decide.p50, p99: (p) => p.latency.decide.p99 }],
  ["Time of a write to the switch, at most", seconds, { p50: (p) => p.latency.write.p50, p99: (p) => p.latency.write.p99 }],
];

export function overview(context) {
  const devices = new Table([
    { title: "Gateway", cell: link },
    { title: "State", cell: state },
    { title: "Organisations", cell: (row) => row.organisations.join(", ") || "–" },
    { title: "ALGs on", number: true, cell: (row) => (row.error ? "–" : `${row.algs_on} of ${row.algs}`) },
    { title: "Socket", wide: true, cell: (row) => row.socket },
  ], { id: (row) => row.name, caption: "Gateways" });

  function link(row, made) {
    return made ?? h("a", { href: `#/${encodeURIComponent(row.name)}/algs` }, row.name);
  }
  function state(row, made) {
    const element = made ?? h("span");
    element.className = row.error ? "state bad" : "state on";
    setText(element, row.error || "answers");
    return element;
  }

  const plots = PLOTS.map(([title, unit, series]) => new Plot(title, unit, series));
  const tables = h("div", { class: "fill" });
  const controls = h("p", { class: "hint" });
  let points = [];

  function show() {
    for (const plot of plots) plot.show(points);
    const last = points.at(-1);
    if (!last) return;
    const held = Object.entries(last.controls).map(([name, count]) => `${name} ${number(count)}`).join(", ");
    setText(controls, `Control sessions: ${held}`);
    const rows = Object.entries(last.tables);
    tables.replaceChildren(...rows.map(([name, share]) => {
      const percent = Math.round(share * 1000) / 10;
      return h("div", { class: "bar" },
        h("label", { for: `fill-${name}` }, name),
        h("meter", { id: `fill-${name}`, min: 0, max: 1, low: 0.7, high: 0.9, optimum: 0, value: share }, `${percent}%`),
        h("span", { class: "number" }, `${percent}%`));
    }));
  }

  context.root.append(h("h1", {}, "Overview"), devices.element,
    h("h2", {}, `Last hour of ${context.device}`), controls,
    h("div", { class: "plots" }, plots.map((plot) => plot.element)),
    h("h2", {}, "How full the tables of the switch are"), tables);
  context.every(DEVICES_MS, async () => devices.show(await get("devices", context.signal), "No gateways."));
  get(at(context.device, "points"), context.signal).then((found) => {
    points = [...found, ...points];
    show();
  }, context.failed);
  context.stream(["points"], {
    points(point) {
      // While the controller does not answer there is nothing to plot.
      if (point.error) return;
      points = [...points, point].slice(-MOST);
      show();
    },
  });
}
