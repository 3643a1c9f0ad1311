"""Generates a control: its tables and conditions as functions that return the next function.

A node that is reached from one place only is generated inline there; a node that is reached from
several places becomes a function. If the actions of a table lead to different nodes, the entry says
which is next: `entry.bound` is (action function, next node function).
"""

from __future__ import annotations

from p4softswitch.executor.actiongen import ActionGen
from p4softswitch.executor.exprgen import ExprGen
from p4softswitch.executor.layout import Layout
from p4softswitch.program import model as m
from p4softswitch.state.entry import KeyLayout

_MAX_DEPTH = 12


class ControlGen:
    """Generates the nodes of one pipeline and the function `<pipeline>(p)`."""

    def __init__(
        self, layout: Layout, actions: ActionGen, pipeline: m.Pipeline, tables: dict[str, str]
    ) -> None:
        self.layout = layout
        self.actions = actions
        self.pipeline = pipeline
        self.tables = tables  # table name -> name used for it in generated code
        self.gen = ExprGen(layout)
        self.names = {
            name: f"{pipeline.name}_{i}"
            for i, name in enumerate([*pipeline.tables, *pipeline.conditionals])
        }
        self.functions = self._meeting_points()

    def function(self, node: str | None) -> str:
        """Name of the function of a node that control reaches dynamically."""
        return "None" if node is None else self.names[node]

    def source(self) -> list[str]:
        """Source lines of the control."""
        lines: list[str] = []
        for node in self.functions:
            lines += [f"def {self.names[node]}(p):", *self._node(node, 1, 0), "", ""]
        first = self.function(self.pipeline.init)
        return [
            *lines,
            f"def {self.pipeline.name}(p):",
            f"    node = {first}",
            "    while node is not None:",
            "        node = node(p)",
            "    p.exit_ = 0",
        ]

    def _successors(self, node: str) -> list[str | None]:
        if node in self.pipeline.conditionals:
            c = self.pipeline.conditionals[node]
            return [c.true_next, c.false_next]
        return self._table_nexts(self.pipeline.tables[node])

    @staticmethod
    def _table_nexts(table: m.Table) -> list[str | None]:
        if table.next_by_hit:
            return [table.hit_next, table.miss_next]
        if _is_static(table):
            return [table.next_by_action[table.default_action]]
        used = {*table.action_ids, table.default_action}
        return list(dict.fromkeys(table.next_by_action[a] for a in used))

    def _meeting_points(self) -> list[str]:
        """Reachable nodes that need a function of their own, the first node first."""
        if self.pipeline.init is None:
            return []
        ways: dict[str, int] = {}
        dynamic: set[str] = {self.pipeline.init}
        seen, todo = {self.pipeline.init}, [self.pipeline.init]
        while todo:
            node = todo.pop()
            nexts = [n for n in self._successors(node) if n is not None]
            if node in self.pipeline.tables and self._is_dynamic(self.pipeline.tables[node]):
                dynamic.update(nexts)
            for n in nexts:
                ways[n] = ways.get(n, 0) + 1
                if n not in seen:
                    seen.add(n)
                    todo.append(n)
        functions = [n for n in self.names if n in dynamic or ways.get(n, 0) > 1]
        return self._cut_deep(functions)

    def _cut_deep(self, functions: list[str]) -> list[str]:
        """Add functions where inlining would nest too deep for Python."""
        wanted = list(functions)
        todo = [(n, 0) for n in functions]
        while todo:
            node, depth = todo.pop()
            for n in self._successors(node):
                if n is None or n in wanted:
                    continue
                if depth + 1 >= _MAX_DEPTH:
                    wanted.append(n)
                    todo.append((n, 0))
                else:
                    todo.append((n, depth + 1))
        return wanted

    def _is_dynamic(self, table: m.Table) -> bool:
        return not _is_static(table) and len(set(self._table_nexts(table))) > 1

    def _go(self, node: str | None, indent: int, depth: int) -> list[str]:
        pad = "    " * indent
        if node is None:
            return [f"{pad}return None"]
        if node in self.functions:
            return [f"{pad}return {self.names[node]}"]
        return self._node(node, indent, depth + 1)

    def _node(self, node: str, indent: int, depth: int) -> list[str]:
        pad = "    " * indent
        if node in self.pipeline.conditionals:
            c = self.pipeline.conditionals[node]
            return [
                f"{pad}if {self.gen.condition(c.expression)}:",
                *self._go(c.true_next, indent + 1, depth),
                *self._go(c.false_next, indent, depth),
            ]
        table = self.pipeline.tables[node]
        lines = [f"{pad}# table {table.name}"]
        if _is_static(table):
            body = self._static_action(table)
            lines += [pad + line for line in body]
        else:
            lines += [pad + line for line in self._lookup(table)]
        if self._may_exit(table):
            lines.append(f"{pad}if p.exit_: return None")
        if self._is_dynamic(table):
            return [*lines, f"{pad}return following"]
        return lines + self._go(self._table_nexts(table)[0], indent, depth)

    def _static_action(self, table: m.Table) -> list[str]:
        """A table without key and with a constant default action is just that action."""
        action = self.layout.program.actions[table.default_action]
        lines = [
            f"l{i} = {value & ((1 << width) - 1)}"
            for i, (value, (_, width)) in enumerate(
                zip(table.default_args, action.params, strict=True)
            )
        ]
        return lines + [line[4:] for line in self.actions.body(action)]

    def _lookup(self, table: m.Table) -> list[str]:
        name = self.tables[table.name]
        if not table.keys:
            return [f"run, following = {name}_default.bound", f"run(p, {name}_default.args)"]
        key = self._key(table)
        if table.kind is not m.MatchKind.EXACT:
            key = f"({key}) & {name}_index.cares"
        lines = [
            f"entry = {name}_lookup({key})",
            "if entry is None:",
            f"    entry = {name}_default",
        ]
        hit: list[str] = []
        if table.with_counters:
            hit += ["entry.packets += 1", "entry.bytes += p.ingress_length"]
        if table.support_timeout:
            hit.append("entry.last_hit = p.now")
        if table.direct_meter:
            meter = self.layout.program.meters[table.direct_meter]
            if meter.target is not None:
                slot = self.layout.slot(meter.target.header, meter.target.field)
                amount = "p.ingress_length" if meter.bytes_unit else "1"
                hit += [
                    "meter = entry.meter",
                    f"p.{slot} = 0 if meter is None else meter.execute({amount}, p.now)",
                ]
        if hit:
            lines += ["else:", *(f"    {line}" for line in hit)]
        return [*lines, "run, following = entry.bound", "run(p, entry.args)"]

    def _key(self, table: m.Table) -> str:
        """The packed key; a field of an invalid header counts as 0, as in BMv2."""
        key_layout = KeyLayout(table.keys)
        terms = []
        for i in key_layout.order:
            key, shift = table.keys[i], key_layout.shifts[i]
            text = self.gen.value(key.target).text
            field = self.layout.field(key.target)
            if field.signed:
                text = f"({text} & {(1 << field.width) - 1:#x})"
            if key.mask is not None:
                text = f"({text} & {key.mask:#x})"
            valid = self.layout.valid(key.target.header)
            if valid is not None and key.target.field != "$valid$":
                text = f"({text} if p.{valid} else 0)"
            terms.append(f"{text} << {shift}" if shift else text)
        return " | ".join(terms)

    def _may_exit(self, table: m.Table) -> bool:
        actions = self.layout.program.actions
        used = {*table.action_ids, table.default_action}
        return any(c.op == "exit" for a in used for c in actions[a].calls)


def _is_static(table: m.Table) -> bool:
    return not table.keys and table.const_default and not table.next_by_hit
