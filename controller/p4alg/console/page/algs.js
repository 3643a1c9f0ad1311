// The ALGs with live counters, and the dialog that edits one.

import { at, get, request } from "./api.js";
import { h, number, setText } from "./dom.js";
import { Table } from "./table.js";

const REFRESH_MS = 2000;

function sum(counters, end) {
  return Object.entries(counters).reduce((all, [name, value]) => (name.endsWith(end) ? all + value : all), 0);
}

function refused(counters) {
  return Object.entries(counters).reduce((all, [name, value]) => (name.includes("refused") ? all + value : all), 0);
}

export function algs(context) {
  const before = new Map();
  let rows = [];
  const edit = (row) => h("button", { type: "button", class: "edit" }, `Edit ${row.name}`);

  function rate(row) {
    const key = `${row.organisation} ${row.name}`;
    const now = performance.now();
    const messages = sum(row.counters, ".messages");
    const last = before.get(key);
    if (last && now - last.now < REFRESH_MS / 2) return last.rate;
    const found = last && messages >= last.messages ? ((messages - last.messages) * 1000) / (now - last.now) : 0;
    before.set(key, { now, messages, rate: found });
    return found;
  }

  const columns = [
    { title: "ALG", cell: (row) => row.name },
    { title: "State", cell: state },
    { title: "Services", cell: (row) => row.services.join(", ") || "none" },
    { title: "Ports", cell: (row) => row.ports.join(", ") || "none" },
    { title: "Control sessions", number: true, cell: (row) => number(row.sessions) },
    { title: "Messages", number: true, cell: (row) => number(sum(row.counters, ".messages")) },
    { title: "Messages a second", number: true, cell: (row) => rate(row).toFixed(1) },
    { title: "Rewritten", number: true, cell: (row) => number(sum(row.counters, ".rewritten")) },
    { title: "Refused", number: true, cell: (row) => number(refused(row.counters)) },
    { title: "Pinholes", number: true, cell: (row) => number(row.counters["pinholes.opened"] ?? 0) },
    { title: "", cell: button },
  ];
  if (context.several) columns.unshift({ title: "Organisation", cell: (row) => row.organisation });

  function state(row, made) {
    const element = made ?? h("span");
    element.className = row.enabled ? "state on" : "state off";
    setText(element, row.enabled ? "on" : "off");
    return element;
  }

  function button(row, made) {
    const element = made ?? edit(row);
    // What is edited is what was shown last.
    element.onclick = () => dialog(context, row, refresh);
    return element;
  }

  const table = new Table(columns, {
    id: (row) => `${row.organisation} ${row.name}`,
    caption: "System-defined ALGs",
  });
  context.root.append(h("h1", {}, "ALGs"), table.element);

  async function load() {
    rows = await get(at(context.device, "algs", { organisation: context.organisation }), context.signal);
    table.show(rows, "This gateway has no ALGs.");
  }
  const refresh = context.every(REFRESH_MS, load);
}

// The dialog *Edit ALG*.
async function dialog(context, row, done) {
  const path = at(context.device, "services", { organisation: row.organisation });
  let services;
  try {
    services = await get(path, context.signal);
  } catch (error) {
    context.failed(error);
    return;
  }
  const seen = { enabled: row.enabled, services: row.services };
  const selected = [...row.services];
  const known = new Map(services.map((service) => [service.name, service]));

  const enable = h("input", { type: "checkbox", id: "enable", checked: row.enabled, disabled: !context.mayChange });
  const available = list("available", "Available services");
  const chosen = list("selected", "Selected services");
  const add = h("button", { type: "button", onclick: () => pick(available, true) }, "Add →");
  const remove = h("button", { type: "button", onclick: () => pick(chosen, false) }, "← Remove");
  const said = h("p", { class: "alert", role: "alert", hidden: true });
  const ok = h("button", { type: "submit", class: "primary", disabled: !context.mayChange }, "OK");
  const cancel = h("button", { type: "button", onclick: () => box.close() }, context.mayChange ? "Cancel" : "Close");
  const whose = context.several ? ` of ${row.organisation}` : "";

  function list(id, title) {
    const element = h("select", {
      id, multiple: true, size: 7, disabled: !context.mayChange, onchange: buttons,
      ondblclick: () => pick(element, id === "available"),
      onkeydown: (event) => {
        if (event.key === "Enter") {
          event.preventDefault();
          pick(element, id === "available");
        }
      },
    });
    element.dataset.title = title;
    return element;
  }

  function text(name) {
    const service = known.get(name);
    const ports = service ? ` (${service.ports.join(", ")})` : "";
    const other = service && service.alg && service.alg !== row.name ? `, of ${service.alg}` : "";
    return `${name}${ports}${other}`;
  }

  function show() {
    const rest = services.map((service) => service.name).filter((name) => !selected.includes(name));
    available.replaceChildren(...rest.map((name) => h("option", { value: name }, text(name))));
    chosen.replaceChildren(...selected.map((name) => h("option", { value: name }, text(name))));
    buttons();
  }

  function buttons() {
    add.disabled = !context.mayChange || !available.selectedOptions.length;
    remove.disabled = !context.mayChange || !chosen.selectedOptions.length;
  }

  function pick(from, adds) {
    const names = [...from.selectedOptions].map((option) => option.value);
    for (const name of names) {
      if (adds) selected.push(name);
      else selected.splice(selected.indexOf(name), 1);
    }
    show();
    from.focus();
  }

  async function change(event) {
    event.preventDefault();
    ok.disabled = true;
    const wanted = { enabled: enable.checked, services: selected, seen };
    try {
      const where = at(context.device, `algs/${encodeURIComponent(row.name)}`, { organisation: row.organisation });
      await request("PUT", where, wanted);
      box.close();
      done();
    } catch (error) {
      if (error.status === 401) {
        box.close();
        context.failed(error);
        return;
      }
      said.textContent = error.message;
      said.hidden = false;
    } finally {
      ok.disabled = false;
    }
  }

  const counters = Object.entries(row.counters).filter(([, value]) => value);
  const box = h("dialog", { "aria-labelledby": "dialog-title", onclose: () => box.remove() },
    h("form", { method: "dialog", onsubmit: change },
      h("h2", { id: "dialog-title" }, `Edit ALG ${row.name}${whose}`),
      h("p", { class: "hint" }, row.description),
      said,
      h("label", { class: "check" }, enable, "Enable"),
      h("div", { class: "pair" },
        h("div", {}, h("label", { for: "available" }, "Available services"), available),
        h("div", { class: "between" }, add, remove),
        h("div", {}, h("label", { for: "selected" }, "Selected services"), chosen)),
      h("p", { class: "hint" }, context.mayChange
        ? "New connections go by it at once; established ones stay as they are."
        : "You may look, but not change."),
      counters.length
        ? h("details", {}, h("summary", {}, "Counters"),
          h("dl", { class: "counters" }, counters.map(([name, value]) => [h("dt", {}, name), h("dd", {}, number(value))])))
        : null,
      h("div", { class: "buttons" }, ok, cancel)));
  document.body.append(box);
  context.signal.addEventListener("abort", () => box.close());
  show();
  box.showModal();
  (context.mayChange ? enable : cancel).focus();
}
