// Control messages as they pass: what was read, what was sent on, and what was opened for it.

import { clock, h, number, setText } from "./dom.js";
import { marked, visible } from "./diff.js";

const KEPT = 300;
const LONGEST = 6000;

function bytes(parts, tag) {
  return h("pre", { tabindex: "0" }, parts.map(([text, differs]) => {
    const shown = visible(text);
    return differs ? h(tag, {}, shown) : shown;
  }));
}

function cut(text) {
  return text.length > LONGEST ? text.slice(0, LONGEST) : text;
}

function message(record) {
  const arrow = record.sender === "client" ? "→" : "←";
  const same = record.before === record.after;
  const parts = record.after && !same ? marked(cut(record.before), cut(record.after)) : { read: [[cut(record.before), false]] };
  const body = [];
  if (record.before) body.push(h("dt", {}, same ? "read and sent" : "read"), h("dd", {}, bytes(parts.read, "del")));
  if (parts.sent) body.push(h("dt", {}, "sent"), h("dd", {}, bytes(parts.sent, "ins")));
  for (const pinhole of record.pinholes) body.push(h("dt", {}, "opens"), h("dd", { class: "opens" }, pinhole));
  const whose = record.organisation && record.organisation !== "default" ? `${record.organisation} ` : "";
  return h("li", { class: `message ${record.verdict}` },
    h("p", { class: "head" },
      h("time", { datetime: record.time }, clock(record.time)), " ",
      h("b", {}, `${whose}${record.alg}`), ` ${record.client} ${arrow} ${record.server} `,
      h("span", { class: `verdict ${record.verdict}` }, record.verdict + (record.reason ? ` (${record.reason})` : ""))),
    record.summary ? h("p", { class: "hint" }, record.summary) : null,
    record.missed ? h("p", { class: "hint" }, `${number(record.missed)} messages before this one were left out`) : null,
    h("dl", {}, body));
}

export function trace(context) {
  let paused = false;
  let waiting = 0;
  const records = [];
  const list = h("ol", { class: "messages", reversed: true });
  const empty = h("p", { class: "empty" }, "No control message yet. They are shown as they pass.");
  const said = h("span", { class: "hint", "aria-live": "polite" });
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: turn }, "Pause");
  const clear = h("button", { type: "button", onclick: forget }, "Clear");
  const alg = h("input", { autocomplete: "off", placeholder: "ftp", oninput: draw });
  const host = h("input", { autocomplete: "off", placeholder: "10.0.0.11", oninput: draw });
  const changed = h("input", { type: "checkbox", onchange: draw });

  function fits(record) {
    const where = host.value.trim();
    const ends = [record.client, record.server].map((end) => end.slice(0, end.lastIndexOf(":")));
    return (!context.organisation || record.organisation === context.organisation)
      && (!alg.value.trim() || record.alg === alg.value.trim().toLowerCase())
      && (!where || ends.includes(where))
      && (!changed.checked || record.verdict !== "forwarded");
  }
  function draw() {
    list.replaceChildren(...records.filter(fits).map(message));
    tell();
  }
  function tell() {
    empty.hidden = list.childElementCount > 0;
    setText(said, paused && waiting ? `${number(waiting)} more since` : "");
  }
  function turn() {
    paused = !paused;
    waiting = 0;
    pause.setAttribute("aria-pressed", String(paused));
    setText(pause, paused ? "Go on" : "Pause");
    draw();
  }
  function forget() {
    records.length = 0;
    draw();
  }
  function take(record) {
    if (paused) {
      waiting += 1;
      tell();
      return;
    }
    records.unshift(record);
    records.length = Math.min(records.length, KEPT);
    if (!fits(record)) return;
    list.prepend(message(record));
    while (list.childElementCount > KEPT) list.lastElementChild.remove();
    tell();
  }

  context.root.append(h("h1", {}, "Trace of control messages"),
    h("div", { class: "filters" },
      h("label", {}, "ALG", alg), h("label", {}, "Host", host),
      h("label", { class: "check" }, changed, "only what was changed or refused"),
      pause, clear, said),
    empty, list);
  context.stream(["trace"], { trace: take });
}
