"""Generates a control: one C function, in which every table and condition is a label.

Which node is next after an action is known when the program is compiled, so that a table jumps
there itself.
"""

from __future__ import annotations

from p4softswitch.executor.actiongen import ActionGen
from p4softswitch.executor.exprgen import ExprGen
from p4softswitch.executor.layout import Layout, comment, identifier
from p4softswitch.executor.reports import Told
from p4softswitch.program import model as m
from p4softswitch.state.entry import KeyLayout

_WORD = (1 << 64) - 1


class ControlGen:
    """Generates the function `p4_<pipeline>` of one pipeline."""

    def __init__(self, layout: Layout, actions: ActionGen, pipeline: m.Pipeline) -> None:
        self.layout = layout
        self.actions = actions
        self.pipeline = pipeline
        self.gen = ExprGen(layout)
        used = {"done"}
        self.names = {
            name: identifier(f"{'table' if name in pipeline.tables else 'if'}_{name}", used)
            for name in [*pipeline.tables, *pipeline.conditionals]
        }

    def source(self) -> list[str]:
        """Source lines of the control."""
        lines = [
            f"static void p4_{self.pipeline.name}(struct p4_switch *s P4_UNUSED,"
            " struct p4_packet *p) {"
        ]
        order = self._order()
        for i, node in enumerate(order):
            body = self._node(node)
            if order[i + 1 :] and body[-1] == self._go(order[i + 1]):
                body.pop()
            lines += [f"{self.names[node]}: P4_UNUSED;", *(f"    {line}" for line in body)]
        return [*lines, "    goto done;", "done:", "    p->c.exit_ = 0;", "}", ""]

    def _order(self) -> list[str]:
        """Reachable nodes, the first node first."""
        found: list[str] = []
        todo = [self.pipeline.init]
        while todo:
            node = todo.pop()
            if node is None or node in found:
                continue
            found.append(node)
            todo += self._successors(node)
        return found

    def _successors(self, node: str) -> list[str | None]:
        if node in self.pipeline.conditionals:
            c = self.pipeline.conditionals[node]
            return [c.false_next, c.true_next]
        table = self.pipeline.tables[node]
        if table.next_by_hit:
            return [table.miss_next, table.hit_next]
        return [table.next_by_action[a] for a in self._actions(table)]

    def _go(self, node: str | None) -> str:
        return f"goto {'done' if node is None else self.names[node]};"

    def _node(self, node: str) -> list[str]:
        if node in self.pipeline.conditionals:
            c = self.pipeline.conditionals[node]
            head, condition = (
                f"/* if {comment(c.where or c.name)} */",
                self.gen.condition(c.expression),
            )
            told = self.actions.reports.tell(Told.CONDITION, c.name, c.where, (1,), ["yes"])
            if not told:
                branch = [f"if ({condition}) {self._go(c.true_next)}"]
            else:
                decide = f"const int yes = !!({condition});"
                inner = [decide, *told, f"if (yes) {self._go(c.true_next)}"]
                branch = ["{", *(f"    {line}" for line in inner), "}"]
            return [head, *branch, self._go(c.false_next)]
        table = self.pipeline.tables[node]
        lines = [f"/* table {comment(table.name)} {comment(table.where)} */"]
        if not table.keys and table.const_default and not table.next_by_hit:
            return lines + self._constant(table)
        return lines + self._lookup(table)

    def _constant(self, table: m.Table) -> list[str]:
        """A table without key and with a constant default action is just that action."""
        action = self.layout.program.actions[table.default_action]
        words: list[str] = []
        for value, (_, width) in zip(table.default_args, action.params, strict=True):
            value &= (1 << width) - 1
            words += [
                f"{value >> 64 * i & ((1 << 64) - 1):#x}ull" for i in range((width + 63) // 64)
            ]
        args = "NULL" if not words else f"(const u64[]){{{', '.join(words)}}}"
        lines = [f"{self.actions.names[action.id]}(s, p, {args});"]
        if self._may_exit(action.id):
            lines.append("if (p->c.exit_) goto done;")
        return [*lines, self._go(table.next_by_action[table.default_action])]

    def _lookup(self, table: m.Table) -> list[str]:
        reached = self.actions.objects.reach("table", table.name)
        lines = [f"struct p4_table *t = {reached};"]
        if not table.keys:
            lines.append("struct p4_entry *e = NULL;")
        else:
            words, count = self._key(table)
            find = "p4_find_exact" if table.kind is m.MatchKind.EXACT else "p4_find_masked"
            lines += [
                f"const u64 key[] = {{{', '.join(words)}}};",
                f"struct p4_entry *e = {find}(t, key, {count});",
            ]
        hit = ["const int hit P4_UNUSED = e != NULL;"] if table.next_by_hit else []
        on_hit: list[str] = []
        if table.with_counters:
            on_hit += ["e->packets++;", "e->bytes += p->c.ingress_length;"]
        if table.support_timeout:
            on_hit.append("e->last_hit = p->c.now;")
        if table.direct_meter:
            meter = self.layout.program.meters[table.direct_meter]
            if meter.target is not None:
                place = self.layout.place(meter.target.header, meter.target.field)
                amount = "p->c.ingress_length" if meter.bytes_unit else "1"
                run = f"p4_meter_execute(e->meter, {amount}, p->c.now)"
                on_hit.append(f"{place} = e->meter ? {run} : P4_GREEN;")
        lines += hit
        if on_hit and table.keys:
            lines += ["if (e) {", *(f"    {line}" for line in on_hit), "}"]
        told = self._told(table)
        if told:
            lines.append("const int found = e != NULL;")
        lines += ["if (!e) e = t->fallback;", *told, *self._dispatch(table)]
        return ["{", *(f"    {line}" for line in lines), "}"]

    def _told(self, table: m.Table) -> list[str]:
        """Statements that report the look-up, whose entry is `e`."""
        width = KeyLayout(table.keys).width
        count = (width + 63) // 64
        words = [*(f"key[{i}]" for i in range(count)), "found", "e->handle", "e->action"]
        widths = (*([width] if width else []), 1, 32, 32)
        return self.actions.reports.tell(Told.TABLE, table.name, table.where, widths, words)

    def _actions(self, table: m.Table) -> list[int]:
        return list(dict.fromkeys([*table.action_ids, table.default_action]))

    def _dispatch(self, table: m.Table) -> list[str]:
        offset = 0
        if table.keys:
            count = (KeyLayout(table.keys).width + 63) // 64
            offset = count if table.kind is m.MatchKind.EXACT else 2 * count
        lines = [f"const u64 *args = e->words + {offset};", "switch (e->action) {"]
        for number in self._actions(table):
            lines.append(f"case {number}:")
            lines.append(f"    {self.actions.names[number]}(s, p, args);")
            if self._may_exit(number):
                lines.append("    if (p->c.exit_) goto done;")
            if not table.next_by_hit:
                lines.append(f"    {self._go(table.next_by_action[number])}")
            else:
                lines.append("    break;")
        lines += ["default:", "    break;", "}"]
        if table.next_by_hit:
            lines += [f"if (hit) {self._go(table.hit_next)}", self._go(table.miss_next)]
        else:
            lines.append("goto done;")
        return lines

    def _key(self, table: m.Table) -> tuple[list[str], int]:
        """Words of the packed key; a field of an invalid header counts as 0, as in BMv2."""
        packing = KeyLayout(table.keys)
        count = (packing.width + 63) // 64
        terms: list[list[str]] = [[] for _ in range(count)]
        for i in packing.order:
            key = table.keys[i]
            text = self.gen.fitted(key.target, key.width)
            valid = self.layout.valid(key.target.header)
            if key.target.field == "$valid$":
                valid = None
            for k, word in enumerate(self.gen.words(text, key.width)):
                bits = min(64, key.width - 64 * k)
                if key.mask is not None:
                    word = f"({word} & {key.mask >> 64 * k & _WORD:#x}ull)"
                if valid is not None:
                    word = f"({valid} ? {word} : 0)"
                at = packing.shifts[i] + 64 * k
                place, bit = divmod(at, 64)
                terms[place].append(f"{word} << {bit}" if bit else word)
                if bit + bits > 64:
                    terms[place + 1].append(f"{word} >> {64 - bit}")
        return [" | ".join(parts) or "0" for parts in terms], count

    def _may_exit(self, action: int) -> bool:
        return any(c.op == "exit" for c in self.layout.program.actions[action].calls)
