// The configuration: its text, what a change of it would do, who changed it, and going back.

import { at, get, request } from "./api.js";
import { h, setText } from "./dom.js";
import { Table } from "./table.js";

const WAITS = "(needs a restart)";

export function config(context) {
  const me = `${context.me.name} (console)`;
  let shown = null;
  const about = h("p", { class: "hint" });
  const other = h("p", { class: "notice", hidden: true });
  const text = h("textarea", {
    id: "text", rows: 22, spellcheck: "false", autocomplete: "off", wrap: "off", oninput: stale,
    "aria-label": "Configuration",
  });
  text.readOnly = !context.mayChange;
  const diff = h("pre", { class: "diff", tabindex: "0", "aria-label": "Difference", hidden: true });
  const effects = h("ul", { class: "effects" });
  const why = h("input", { id: "why", autocomplete: "off", maxlength: 500 });
  const later = h("input", { type: "checkbox" });
  const laterLabel = h("label", { class: "check", hidden: true }, later, "keep it for the next start");
  const said = h("p", { class: "said", role: "status" });
  const check = h("button", { type: "button", onclick: () => act(preview) }, "Show the difference");
  const commit = h("button", { type: "button", class: "primary", disabled: true, onclick: () => act(take) }, "Commit");
  const discard = h("button", { type: "button", onclick: () => act(drop) }, "Discard");
  const history = new Table([
    { title: "Revision", number: true, cell: (row) => String(row.revision) },
    { title: "When (UTC)", time: true, cell: (row) => String(row.when ?? "").replace("T", " ").slice(0, 19) },
    { title: "Who", cell: (row) => row.who ?? "" },
    { title: "Why", wide: true, cell: (row) => row.why ?? "" },
    { title: "What", wide: true, cell: (row) => (row.changes ?? []).join("; ") },
    { title: "", cell: back },
  ], { id: (row) => String(row.revision), caption: "Revisions, the newest first" });

  const path = (action) => at(context.device, `config/${action}`);
  const post = (action, body) => request("POST", path(action), body);
  const restart = () => (later.checked ? { at_restart: true } : {});

  function back(row, made) {
    if (!context.mayChange || row.revision === shown.revision) return "";
    const element = made instanceof Node ? made : h("button", { type: "button", class: "edit" }, `Go back to ${row.revision}`);
    element.onclick = () => act(() => goBack(row.revision));
    return element;
  }
  // What is shown of the difference is not that of the text any more.
  function stale() {
    commit.disabled = true;
  }
  async function act(work) {
    const could = !commit.disabled;
    for (const button of [check, commit, discard]) button.disabled = true;
    setText(said, "");
    try {
      await work(could);
      context.failed(null);
    } catch (error) {
      commit.disabled = !could;
      context.failed(error);
    } finally {
      check.disabled = discard.disabled = !context.mayChange;
    }
  }
  function show(found) {
    const all = found.diff ?? [];
    diff.hidden = !all.length;
    diff.replaceChildren(...all.map((line) => {
      const kind = line.startsWith("+") ? "ins" : line.startsWith("-") ? "del" : "span";
      return h(kind, {}, `${line}\n`);
    }));
    const lines = found.effects ?? [];
    effects.replaceChildren(...lines.map((line) => h("li", {}, line)));
    laterLabel.hidden = !lines.some((line) => line.endsWith(WAITS));
    if (laterLabel.hidden) later.checked = false;
  }
  async function preview() {
    await post("edit", { text: text.value });
    const { problems } = await get(path("check"), context.signal);
    if (problems.length) {
      show({ effects: problems.map((one) => `line ${one.line}, column ${one.column}: ${one.text}`) });
      setText(said, "It cannot be committed:");
      return;
    }
    const found = await get(path("diff"), context.signal);
    show(found);
    setText(said, found.diff.length ? "What it would change:" : "Nothing differs.");
    commit.disabled = !found.diff.length;
  }
  async function take() {
    const found = await post("commit", { why: why.value.trim(), base: shown.revision, ...restart() });
    await load();
    show({ effects: found.effects });
    setText(said, done(found));
    why.value = "";
  }
  async function drop() {
    await post("discard", {});
    await load();
    show({});
    setText(said, "The change is gone.");
  }
  async function goBack(revision) {
    const found = await post("rollback", { revision, why: why.value.trim(), ...restart() });
    await load();
    show({ effects: found.effects });
    setText(said, done(found));
  }
  function done(found) {
    return found.needs_restart ? `Revision ${found.revision} holds from the next start.` : `Revision ${found.revision} holds now.`;
  }
  async function load() {
    shown = await get(path("show"), context.signal);
    const mine = shown.candidate?.who === me;
    text.value = mine ? (await get(path("candidate"), context.signal)).text : shown.text;
    const by = shown.who ? `, by ${shown.who}` : "";
    const waits = shown.needs_restart ? "; a part of it holds from the next start only" : "";
    setText(about, `Revision ${shown.revision} of ${shown.file}${by}${waits}`);
    const busy = shown.candidate && !mine;
    setText(other, busy ? `${shown.candidate.who} is changing the configuration since ${shown.candidate.since}.` : "");
    other.hidden = !busy;
    stale();
    history.show([...(await get(path("history"), context.signal))].reverse(), "No revisions yet.");
  }

  const change = h("div", { class: "filters" }, h("label", { class: "grow" }, "Why", why), laterLabel, check, commit, discard);
  const root = h("div", { hidden: true }, about, other, text, context.mayChange ? change : "",
    said, effects, diff, h("h2", {}, "Revisions"), history.element);
  const empty = h("p", { class: "empty" }, "Loading …");
  context.root.append(h("h1", {}, "Configuration"), empty, root);
  load().then(() => {
    root.hidden = false;
    empty.hidden = true;
  }, (error) => {
    if (error.name === "AbortError") return;
    empty.hidden = true;
    context.failed(error);
  });
}
