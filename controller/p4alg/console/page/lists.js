// Long lists of a gateway, a page of them at a time: sessions, calls, pinholes, bindings, hosts.

import { at, get } from "./api.js";
import { h, number, seconds, setText } from "./dom.js";
import { Table } from "./table.js";

const REFRESH_MS = 3000;
// To read plain flows takes the switch a while.
const PLAIN_REFRESH_MS = 10000;
const PLAIN = ["sessions", "bindings", "subscribers"];
const PAGE = 100;

// `filters` are the names of the API's, `columns` those of `Table`.
function list(title, view, filters, columns, id) {
  return (context) => {
    let offset = 0;
    let total = 0;
    const fields = filters.map(([name, label, example]) =>
      h("label", {}, label, h("input", { name, placeholder: example, autocomplete: "off", spellcheck: "false" })));
    const form = h("form", { class: "filters", role: "search", onsubmit: search, onreset: () => setTimeout(search) },
      fields, h("button", { type: "submit", class: "primary" }, "Show"), h("button", { type: "reset" }, "All"));
    const range = h("span", { "aria-live": "polite" });
    const back = h("button", { type: "button", disabled: true, onclick: () => page(-1) }, "← Previous");
    const on = h("button", { type: "button", disabled: true, onclick: () => page(1) }, "Next →");
    const note = h("p", { class: "hint", hidden: true });
    const whose = context.several ? [{ title: "Organisation", key: "organisation", cell: (row) => row.organisation }] : [];
    const table = new Table([...whose, ...columns], { id, caption: title, sorted: () => search() });
    let wanted = {};

    function search(event) {
      event?.preventDefault();
      wanted = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]));
      offset = 0;
      refresh();
    }
    function page(step) {
      offset = Math.max(0, offset + step * PAGE);
      refresh();
    }
    async function load() {
      const found = await get(at(context.device, `views/${view}`, {
        ...wanted, sort: table.sort, organisation: context.organisation, offset, limit: PAGE,
      }), context.signal);
      total = found.total;
      if (offset && offset >= total) offset = Math.max(0, Math.floor((total - 1) / PAGE) * PAGE);
      const selects = Object.values(wanted).some(Boolean);
      table.show(found.rows, selects ? `No ${title.toLowerCase()} fit that.` : `No ${title.toLowerCase()} at the moment.`);
      const last = offset + found.rows.length;
      setText(range, total ? `${number(offset + 1)}-${number(last)} of ${number(total)}` : "");
      back.disabled = offset === 0;
      on.disabled = last >= total;
      setText(note, found.note);
      note.hidden = !found.note;
    }

    context.root.append(h("h1", {}, title), form, note, table.element,
      h("div", { class: "pages" }, back, range, on));
    const refresh = context.every(PLAIN.includes(view) ? PLAIN_REFRESH_MS : REFRESH_MS, load);
  };
}

const ADDRESS = ["address", "Address", "10.0.0.0/24:80"];
const PROTO = ["proto", "Protocol", "tcp"];
const ALG = ["alg", "ALG", "ftp"];

const text = (title, key, more) => ({ title, key, cell: (row) => row[key] ?? "", ...more });
const count = (title, key) => ({ title, key, number: true, cell: (row) => number(row[key]) });
const time = (title, key) => ({ title, key, number: true, cell: (row) => seconds(row[key]) });

export const sessions = list("Sessions", "sessions",
  [ADDRESS, PROTO, ALG, ["state", "State", "established"]],
  [
    text("Protocol", "proto"), text("Inside", "inside"), text("Outside", "outside"),
    text("Remote", "remote"), text("State", "state"),
    { title: "ALG", key: "alg", cell: (row) => (row.label?.startsWith(row.alg) ? row.label : `${row.alg ?? ""} ${row.label ?? ""}`.trim()) },
    time("Age", "age"), text("Kept by", "kept_by"),
  ],
  (row) => `${row.organisation} ${row.proto} ${row.inside} ${row.outside} ${row.remote}`);

export const pinholes = list("Pinholes", "pinholes", [ADDRESS, PROTO, ALG],
  [
    text("Protocol", "proto"), text("Inside", "inside"), text("Outside", "outside"), text("Remote", "remote"),
    text("For", "label"), text("State", "state"), text("Control connection", "control", { wide: true }),
    time("Age", "age"), time("Left", "expires_in"),
  ],
  (row) => `${row.organisation} ${row.id}`);

export const bindings = list("Bindings", "bindings", [ADDRESS, PROTO, ["kind", "Kind", "static"]],
  [
    text("Protocol", "proto"), text("Inside", "inside"), text("Outside", "outside"), text("Kind", "kind"),
    count("Sessions", "sessions"), time("Age", "age"), text("Kept by", "kept_by"),
  ],
  (row) => `${row.organisation} ${row.proto} ${row.inside} ${row.outside}`);

export const subscribers = list("Subscribers", "subscribers", [ADDRESS],
  [
    text("Address", "address"), text("Outside", "outside"),
    { title: "Blocks of ports", key: "blocks", cell: (row) => (row.blocks ?? []).join(", ") },
    { title: "Bindings", key: "bindings", number: true, cell: (row) => number((row.bindings ?? 0) + (row.plain_bindings ?? 0)) },
    { title: "Sessions", key: "sessions", number: true, cell: (row) => number((row.sessions ?? 0) + (row.plain_sessions ?? 0)) },
    count("Pinholes", "pinholes"), count("Bytes out", "bytes_out"), count("Bytes in", "bytes_in"),
  ],
  (row) => `${row.organisation} ${row.address}`);

export const calls = list("Calls", "calls", [["address", "Address", "10.0.0.11"], ["state", "State", "answered"]],
  [
    text("From", "from", { wide: true }), text("To", "to", { wide: true }), text("Direction", "direction"), text("State", "state"),
    text("Inside", "inside"),
    { title: "Media", cell: (row) => (row.streams ?? []).map((one) => `${one.media} ${one.inside} ↔ ${one.remote}`).join("; ") },
    time("Age", "age"),
  ],
  (row) => `${row.organisation} ${row.call_id} ${row.inside}`);
