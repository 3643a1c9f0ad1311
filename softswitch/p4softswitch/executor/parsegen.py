"""Generates the parser: one function a state, which returns the function of the next state.

State functions take the packet and the bytes; the position is kept in `p.pos` between states and
in `o` inside one. A parser error is stored and ends the parser, as in P4.
"""

from __future__ import annotations

from p4softswitch.errors import ProgramError
from p4softswitch.executor.actiongen import ActionGen
from p4softswitch.executor.exprgen import ExprGen
from p4softswitch.executor.layout import Layout
from p4softswitch.executor.wiregen import WireGen
from p4softswitch.program import model as m

# Numbers for core errors that a program does not declare; p4c always declares them.
_CORE = ("NoError", "PacketTooShort", "NoMatch", "StackOutOfBounds", "HeaderTooShort",
         "ParserTimeout", "ParserInvalidArgument")  # fmt: skip
MAX_STEPS = 512


class ParseGen:
    """Generates the functions `ps_0` … and `parse(p, d)`."""

    def __init__(self, layout: Layout, actions: ActionGen, wire: WireGen) -> None:
        self.layout = layout
        self.actions = actions
        self.wire = wire
        self.parser = layout.program.parser
        self.names = {name: f"ps_{i}" for i, name in enumerate(self.parser.states)}
        self._tables: list[str] = []

    def error(self, name: str) -> int:
        """Number of a core error."""
        errors = self.layout.program.errors
        return (
            errors[name] if name in errors else max(errors.values(), default=0) + _CORE.index(name)
        )

    def source(self) -> list[str]:
        """Source lines of the whole parser."""
        lines: list[str] = []
        for state in self.parser.states.values():
            lines += [*self._state(state), "", ""]
        lines += self._tables
        no_error = self.error("NoError")
        start = self._name(self.parser.init)
        return [
            *lines,
            "def parse(p, d):",
            f"    p.parser_error = {no_error}",
            "    p.pos = 0",
            f"    state = {start}",
            f"    for _ in range({MAX_STEPS}):",
            "        if state is None:",
            "            break",
            "        state = state(p, d)",
            "    else:",
            f"        p.parser_error = {self.error('ParserTimeout')}",
            "    p.payload = d[p.pos:]",
        ]

    def _name(self, state: str | None) -> str:
        return "None" if state is None else self.names[state]

    def _state(self, state: m.ParserState) -> list[str]:
        gen = ExprGen(self.layout, in_parser=True)
        lines = [
            f"def {self.names[state.name]}(p, d):",
            f"    # parser state {state.name}",
            "    o = p.pos",
        ]
        for op in state.ops:
            lines += [f"    {line}" for line in self._op(op, gen)]
        lines.append("    p.pos = o")
        return lines + [f"    {line}" for line in self._select(state, gen)]

    def _fail(self, name: str) -> list[str]:
        return [f"    p.parser_error = {self.error(name)}", "    p.pos = o", "    return None"]

    def _op(self, op: m.Call, gen: ExprGen) -> list[str]:
        match op.op:
            case "extract" | "extract_VL":
                varbit = op.args[1] if op.op == "extract_VL" else None
                if isinstance(op.args[0], m.StackRef):
                    return self._extract_next(op.args[0].name, varbit, gen)
                if isinstance(op.args[0], m.HeaderRef):
                    return self._extract(self.layout.header(op.args[0].name), varbit, gen)
                raise ProgramError("parser extracts something that is not a header")
            case "set":
                dst, src = op.args
                lines = []
                if isinstance(src, m.Lookahead):
                    lines += [f"if len(d) - o < {(src.width + 7) // 8}:"]
                    lines += self._fail("PacketTooShort")
                if isinstance(dst, m.FieldRef) and self.layout.field(dst).varbit:
                    return self.actions.call(m.Call("assign_VL", op.args), gen)
                return lines + self.actions.call(m.Call("assign", op.args), gen)
            case "verify":
                condition, error = op.args
                return [
                    f"if not {gen.condition(condition)}:",
                    f"    p.parser_error = {gen.value(error).text}",
                    "    p.pos = o",
                    "    return None",
                ]
            case "shift":
                return self._advance(f"{gen.value(op.args[0]).text} * 8")
            case "advance":
                return self._advance(gen.value(op.args[0]).text)
        return self.actions.call(op, gen)

    def _advance(self, bits: str) -> list[str]:
        return [
            f"n = {bits}",
            "if n & 7:",
            *self._fail("ParserInvalidArgument"),
            "n >>= 3",
            "if n < 0 or len(d) - o < n:",
            *self._fail("PacketTooShort"),
            "o += n",
        ]

    def _extract(self, header: m.Header, varbit: m.Expr | None, gen: ExprGen) -> list[str]:
        fixed = header.type.fixed_bits // 8
        if varbit is None:
            if header.type.has_varbit:
                raise ProgramError(f"header {header.name} is extracted without a length")
            return [
                f"if len(d) - o < {fixed}:",
                *self._fail("PacketTooShort"),
                *self.wire.read(header, "o"),
                f"o += {fixed}",
            ]
        lines = [
            f"n = {gen.value(varbit).text}",
            "if n & 7 or n < 0:",
            *self._fail("ParserInvalidArgument"),
            "n >>= 3",
            f"if len(d) - o < {fixed} + n:",
            *self._fail("PacketTooShort"),
        ]
        if header.type.max_bytes:
            lines += [f"if {fixed} + n > {header.type.max_bytes}:", *self._fail("HeaderTooShort")]
        return [*lines, *self.wire.read(header, "o", "n"), f"o += {fixed} + n"]

    def _extract_next(self, stack: str, varbit: m.Expr | None, gen: ExprGen) -> list[str]:
        elements = self.layout.program.stacks[stack].headers
        counter = f"p.{self.layout.next_slot[stack]}"
        lines = [f"if {counter} >= {len(elements)}:", *self._fail("StackOutOfBounds")]
        for i, name in enumerate(elements):
            lines.append(f"{'if' if i == 0 else 'elif'} {counter} == {i}:")
            body = self._extract(self.layout.header(name), varbit, gen)
            lines += [f"    {line}" for line in body]
        return [*lines, f"{counter} += 1"]

    def _select(self, state: m.ParserState, gen: ExprGen) -> list[str]:
        default = self._name(state.default)
        if not state.cases:
            return [f"return {default}"]
        lines: list[str] = []
        for key in state.keys:
            if isinstance(key, m.Lookahead):
                lines += [f"if len(d) * 8 - o * 8 < {key.offset + key.width}:"]
                lines += self._fail("PacketTooShort")
        keys = []
        for key in state.keys:
            text = gen.value(key).text
            if isinstance(key, m.FieldRef) and key.field != "$valid$":
                f = self.layout.field(key)
                text = f"({text} & {(1 << f.width) - 1:#x})" if f.signed else text
            keys.append(text)
        if all(mask is None for case in state.cases for _, mask in case.match):
            return lines + self._by_dictionary(state, keys, default)
        for i, text in enumerate(keys):
            lines.append(f"k{i} = {text}")
        for case in state.cases:
            tests = []
            for i, (value, mask) in enumerate(case.match):
                if mask == 0:
                    continue
                tests.append(
                    f"k{i} == {value}" if mask is None else f"k{i} & {mask:#x} == {value & mask}"
                )
            lines.append(
                f"if {' and '.join(tests) or 'True'}: return {self._name(case.next_state)}"
            )
        return [*lines, f"return {default}"]

    def _by_dictionary(self, state: m.ParserState, keys: list[str], default: str) -> list[str]:
        table = f"{self.names[state.name]}_next"
        rows: dict[str, str] = {}
        for case in state.cases:
            values = ", ".join(str(v) for v, _ in case.match)
            rows.setdefault(f"({values})" if len(keys) > 1 else values, self._name(case.next_state))
        body = ", ".join(f"{k}: {v}" for k, v in rows.items())
        self._tables += [f"{table} = {{{body}}}", ""]
        key = keys[0] if len(keys) == 1 else f"({', '.join(keys)})"
        return [f"return {table}.get({key}, {default})"]
