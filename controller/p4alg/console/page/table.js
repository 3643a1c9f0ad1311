// A table whose rows are updated in place, so that focus and selection stay where they are.

import { h, setText } from "./dom.js";

// `columns` are { title, key (to sort by), cell: row -> text or element, number, wide, time: bool }.
// `id` makes the key of a row. `sorted` is told the key, with - in front for descending.
export class Table {
  constructor(columns, { id, caption, sorted }) {
    this.columns = columns;
    this.id = id;
    this.rows = new Map();
    this.sort = "";
    this.body = h("tbody");
    this.heads = columns.map((column) => {
      const sortable = sorted && column.key;
      const inner = sortable
        ? h("button", { type: "button", class: "sort", onclick: () => this.turn(column.key, sorted) }, column.title)
        : column.title;
      return h("th", { scope: "col", class: column.number ? "number" : null }, inner);
    });
    this.empty = h("p", { class: "empty" }, "Loading …");
    this.element = h("div", { class: "table" },
      h("table", {}, h("caption", {}, caption), h("thead", {}, h("tr", {}, this.heads)), this.body),
      this.empty);
  }

  turn(key, sorted) {
    this.sort = this.sort === key ? `-${key}` : this.sort === `-${key}` ? "" : key;
    this.columns.forEach((column, at) => {
      const way = this.sort === column.key ? "ascending" : this.sort === `-${column.key}` ? "descending" : null;
      if (way) this.heads[at].setAttribute("aria-sort", way);
      else this.heads[at].removeAttribute("aria-sort");
    });
    sorted(this.sort);
  }

  // Show these rows, in this order; `nothing` is said if there are none.
  show(rows, nothing) {
    const left = new Map();
    const order = rows.map((row, at) => {
      let key = this.id(row);
      if (left.has(key)) key = `${key} ${at}`;
      const kept = this.rows.get(key) ?? this.make();
      left.set(key, kept);
      this.fill(kept, row);
      return kept.element;
    });
    this.rows = left;
    const now = this.body.children;
    if (now.length !== order.length || order.some((element, at) => now[at] !== element)) {
      const focus = document.activeElement;
      this.body.replaceChildren(...order);
      if (focus && this.body.contains(focus)) focus.focus();
    }
    setText(this.empty, rows.length ? "" : nothing);
    this.empty.hidden = rows.length > 0;
  }

  make() {
    const cells = this.columns.map((column) =>
      h("td", { "data-label": column.title, class: [column.number && "number", column.wide && "wide", column.time && "time"].filter(Boolean).join(" ") }));
    return { element: h("tr", {}, cells), cells, made: [] };
  }

  fill(kept, row) {
    this.columns.forEach((column, at) => {
      const made = column.cell(row, kept.made[at]);
      if (made instanceof Node) {
        if (kept.made[at] !== made) kept.cells[at].replaceChildren(made);
        kept.made[at] = made;
      } else setText(kept.cells[at], made);
    });
  }
}
