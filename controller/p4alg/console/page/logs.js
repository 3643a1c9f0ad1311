// What has happened, what the controller has logged, and what people have done by the console.

import { at, get } from "./api.js";
import { h } from "./dom.js";
import { Table } from "./table.js";

const REFRESH_MS = 10000;
const LOG_MS = 3000;
const SHOWN = 500;

function mark(key, row, made) {
  const element = made ?? h("span");
  element.className = `level ${row[key]}`;
  element.textContent = row[key];
  return element;
}

// What has happened to sessions, pinholes, blocks and ALGs, and what happens.
export function events(context) {
  const kind = h("select", { onchange: show },
    ["", "session", "pinhole", "block", "alg", "audit"].map((name) => h("option", { value: name }, name || "all")));
  const whose = context.several ? [{ title: "Organisation", cell: (row) => row.organisation }] : [];
  const table = new Table([
    { title: "Time (UTC)", time: true, cell: (row) => row.time.replace("T", " ").slice(0, 23) },
    { title: "Kind", cell: (row) => row.kind },
    { title: "Event", time: true, cell: (row) => row.event + (row.reason ? ` (${row.reason})` : "") },
    ...whose,
    { title: "Protocol", cell: (row) => row.proto },
    { title: "Inside", cell: (row) => row.inside },
    { title: "Outside", cell: (row) => row.outside },
    { title: "Remote", cell: (row) => row.remote },
    { title: "For", time: true, cell: (row) => (row.label.startsWith(row.alg) ? row.label : `${row.alg} ${row.label}`) },
    { title: "What", wide: true, cell: (row) => row.text },
  ], { id: (row) => Object.values(row).join(" "), caption: "Events, the newest first" });
  let rows = [];

  function show() {
    table.show(rows.filter((row) => !kind.value || row.kind === kind.value), "Nothing has happened yet.");
  }
  context.root.append(h("h1", {}, "Events"), h("div", { class: "filters" }, h("label", {}, "Kind", kind)), table.element);
  context.every(REFRESH_MS, async () => {
    rows = await get(at(context.device, "events", { organisation: context.organisation, limit: SHOWN }), context.signal);
    show();
  });
  context.stream(["events"], {
    events(row) {
      if (context.organisation && row.organisation !== context.organisation) return;
      rows = [row, ...rows].slice(0, SHOWN);
      show();
    },
  });
}

// What the controller has logged.
export function log(context) {
  const level = h("select", { onchange: () => refresh() },
    ["", "info", "warning", "error"].map((name) => h("option", { value: name }, name || "all")));
  const whose = context.several ? [{ title: "Organisation", cell: (row) => row.organisation }] : [];
  const table = new Table([
    { title: "Time (UTC)", time: true, cell: (row) => row.time.replace("T", " ").slice(0, 23) },
    { title: "Level", cell: (row, made) => mark("level", row, made) },
    ...whose,
    { title: "Line", wide: true, cell: (row) => row.text },
  ], { id: (row) => `${row.time} ${row.text}`, caption: "Log lines, the newest first" });
  context.root.append(h("h1", {}, "Log"),
    h("div", { class: "filters" }, h("label", {}, "Level", level)), table.element);
  const refresh = context.every(LOG_MS, async () => {
    const found = await get(at(context.device, "views/events", {
      level: level.value, organisation: context.organisation, limit: SHOWN,
    }), context.signal);
    table.show(found.rows, "Nothing has been logged.");
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
