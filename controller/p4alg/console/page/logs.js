// What the controller has logged, and what people have done by the console.

import { at, get } from "./api.js";
import { h } from "./dom.js";
import { Table } from "./table.js";

const REFRESH_MS = 10000;
const SHOWN = 500;

export function events(context) {
  const level = h("select", { onchange: () => refresh() },
    [["", "all"], ["info", "info"], ["warning", "warning"], ["error", "error"]].map(([value, text]) => h("option", { value }, text)));
  const whose = context.several ? [{ title: "Organisation", cell: (row) => row.organisation }] : [];
  const table = new Table([
    { title: "Time (UTC)", time: true, cell: (row) => row.time.replace("T", " ").slice(0, 23) },
    { title: "Level", cell: mark },
    ...whose,
    { title: "Event", wide: true, cell: (row) => row.text },
  ], { id: (row) => `${row.time} ${row.text}`, caption: "Events, the newest first" });
  let rows = [];

  function mark(row, made) {
    const element = made ?? h("span");
    element.className = `level ${row.level}`;
    element.textContent = row.level;
    return element;
  }
  function show() {
    table.show(rows, "Nothing has been logged.");
  }
  async function load() {
    const found = await get(at(context.device, "views/events", {
      level: level.value, organisation: context.organisation, limit: SHOWN,
    }), context.signal);
    rows = found.rows;
    show();
  }
  context.root.append(h("h1", {}, "Events"),
    h("div", { class: "filters" }, h("label", {}, "Level", level)), table.element);
  const refresh = context.every(REFRESH_MS, load);
  context.stream(["events"], {
    events(row) {
      if (level.value && row.level !== level.value) return;
      if (context.organisation && row.organisation !== context.organisation) return;
      rows = [row, ...rows].slice(0, SHOWN);
      show();
    },
  });
}

export function audit(context) {
  const table = new Table([
    { title: "Time (UTC)", time: true, cell: (row) => row.time.replace("T", " ").slice(0, 19) },
    { title: "Who", cell: (row) => row.who },
    { title: "From", cell: (row) => row.address },
    { title: "Gateway", cell: (row) => row.device || "–" },
    { title: "What", wide: true, cell: (row) => row.what },
    { title: "Why", wide: true, cell: (row) => row.why },
  ], { id: (row) => `${row.time} ${row.what}`, caption: "Changes by this console, the newest first" });
  context.root.append(h("h1", {}, "Audit"), table.element);
  context.every(REFRESH_MS, async () => table.show(await get("audit", context.signal), "Nobody has done anything yet."));
}
