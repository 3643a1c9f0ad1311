// The configuration: its text, what a change of it would do, who changed it, and going back.

import { at, get, request } from "./api.js";
import { h, setText } from "./dom.js";
import { Table } from "./table.js";

export function config(context) {
  const whose = context.organisation ? { organisation: context.organisation } : {};
  let shown = null;
  const about = h("p", { class: "hint" });
  const text = h("textarea", { id: "text", rows: 22, spellcheck: "false", autocomplete: "off", wrap: "off" });
  text.readOnly = !context.mayChange;
  const diff = h("pre", { class: "diff", tabindex: "0", hidden: true });
  const effects = h("ul", { class: "effects" });
  const why = h("input", { id: "why", autocomplete: "off", maxlength: 500 });
  const said = h("p", { class: "said", role: "status" });
  const check = h("button", { type: "button", onclick: () => act(preview) }, "Show the difference");
  const commit = h("button", { type: "button", class: "primary", disabled: true, onclick: () => act(take) }, "Commit");
  const discard = h("button", { type: "button", onclick: () => act(drop) }, "Discard");
  const buttons = [check, commit, discard];
  const history = new Table([
    { title: "Revision", number: true, cell: (row) => String(row.revision) },
    { title: "When", cell: (row) => String(row.when ?? "").replace("T", " ").slice(0, 19) },
    { title: "Who", cell: (row) => row.who ?? "" },
    { title: "Why", wide: true, cell: (row) => row.why ?? "" },
    { title: "", cell: back },
  ], { id: (row) => String(row.revision), caption: "Revisions" });

  const path = (action, more = {}) => at(context.device, `config/${action}`, { ...whose, ...more });
  const post = (action, body) => request("POST", path(action), { ...whose, ...body });

  function back(row, made) {
    if (!context.mayChange) return "";
    const element = made ?? h("button", { type: "button" }, `Go back to ${row.revision}`);
    element.onclick = () => act(() => goBack(row.revision));
    return element;
  }
  async function act(work) {
    for (const button of buttons) button.disabled = true;
    setText(said, "");
    try {
      await work();
      context.failed(null);
    } catch (error) {
      context.failed(error);
    } finally {
      check.disabled = discard.disabled = !context.mayChange;
    }
  }
  function lines(found) {
    const all = found.diff ?? [];
    diff.hidden = !all.length;
    diff.replaceChildren(...all.map((line) => {
      const kind = line.startsWith("+") ? "ins" : line.startsWith("-") ? "del" : "span";
      return h(kind, {}, `${line}\n`);
    }));
    effects.replaceChildren(...(found.effects ?? []).map((line) => h("li", {}, line)));
    setText(said, all.length ? "" : "Nothing differs.");
    commit.disabled = !all.length;
  }
  async function preview() {
    if (text.value !== shown.text) await post("edit", { text: text.value });
    lines(await get(path("diff"), context.signal));
  }
  async function take() {
    const reason = why.value.trim();
    if (!reason) {
      why.focus();
      throw new Error("Say why: it is kept with the revision.");
    }
    const found = await post("commit", { why: reason, base: shown.revision });
    await load();
    lines(found);
    setText(said, `Revision ${found.revision} holds now.`);
    why.value = "";
  }
  async function drop() {
    await post("discard", {});
    await load();
    lines({});
    setText(said, "The change is gone.");
  }
  async function goBack(revision) {
    const found = await post("rollback", { revision, why: why.value.trim() || `back to revision ${revision}` });
    await load();
    setText(said, `Revision ${found.revision} holds now.`);
  }
  async function load() {
    shown = await get(path("show"), context.signal);
    text.value = shown.text;
    setText(about, `Revision ${shown.revision}${shown.file ? ` of ${shown.file}` : ""}${shown.who ? `, by ${shown.who}` : ""}${shown.pending ? "; a change waits to be committed" : ""}`);
    history.show([...(await get(path("history"), context.signal))].reverse(), "No revisions yet.");
  }

  const parts = [about, text,
    context.mayChange ? h("div", { class: "filters" }, h("label", { class: "grow" }, "Why", why), check, commit, discard) : null,
    said, effects, diff, history.element];
  const root = h("div", { hidden: true }, ...parts.filter(Boolean));
  const empty = h("p", { class: "empty", hidden: true });
  context.root.append(h("h1", {}, "Configuration"), empty, root);
  load().then(() => {
    root.hidden = false;
  }, (error) => {
    if (error.name === "AbortError") return;
    if (error.status === 400 && error.message.startsWith("no command")) {
      empty.textContent = "This controller keeps its configuration in its file only: it has no revisions.";
      empty.hidden = false;
    } else context.failed(error);
  });
}
