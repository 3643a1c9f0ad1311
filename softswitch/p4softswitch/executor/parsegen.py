"""Generates the parser: one C function, in which every state is a label.

`d` are the bytes, `len` of them, and `o` is the position. A parser error is stored and ends the
parser, as in P4.
"""

from __future__ import annotations

from p4softswitch.errors import ProgramError
from p4softswitch.executor.actiongen import ActionGen
from p4softswitch.executor.exprgen import S128, U64, WIDE, ExprGen, carrier, convert, literal
from p4softswitch.executor.layout import Layout, comment, identifier
from p4softswitch.executor.reports import Told
from p4softswitch.executor.wiregen import WireGen
from p4softswitch.program import model as m

# Numbers for core errors that a program does not declare; p4c always declares them.
_CORE = ("NoError", "PacketTooShort", "NoMatch", "StackOutOfBounds", "HeaderTooShort",
         "ParserTimeout", "ParserInvalidArgument")  # fmt: skip
MAX_STEPS = 512


class ParseGen:
    """Generates the function `p4_parse`."""

    def __init__(self, layout: Layout, actions: ActionGen, wire: WireGen) -> None:
        self.layout = layout
        self.actions = actions
        self.wire = wire
        self.parser = layout.program.parser
        used = {"done"}
        self.names = {name: identifier(f"state_{name}", used) for name in self.parser.states}

    def error(self, name: str) -> int:
        """Number of a core error."""
        errors = self.layout.program.errors
        return (
            errors[name] if name in errors else max(errors.values(), default=0) + _CORE.index(name)
        )

    def source(self) -> list[str]:
        """Source lines of the whole parser."""
        lines = [
            f"#define P4_NO_ERROR {self.error('NoError')}u",
            "",
            "static void p4_parse(struct p4_switch *s P4_UNUSED, struct p4_packet *p,"
            " const u8 *d, u32 len) {",
            "    u32 o = 0, steps P4_UNUSED = 0;",
            "    p->c.parser_error = P4_NO_ERROR;",
        ]
        for name in self._reachable():
            lines += [f"    {line}" for line in self._state(self.parser.states[name])]
        told = self.actions.reports.tell(Told.PARSED, "", "", (32,), ["p->c.parser_error"])
        return [
            *lines,
            "    goto done; /* silences a compiler that sees no way here */",
            "done:",
            "    p->c.payload = (struct p4_bytes){d + o, len - o};",
            *(f"    {line}" for line in told),
            "}",
            "",
        ]

    def _reachable(self) -> list[str]:
        """States that the start leads to, the start first."""
        found: list[str] = []
        todo = [self.parser.init]
        while todo:
            name = todo.pop()
            if name is None or name in found:
                continue
            found.append(name)
            state = self.parser.states[name]
            todo += [c.next_state for c in state.cases] + [state.default]
        return found

    def _go(self, state: str | None) -> str:
        return f"goto {'done' if state is None else self.names[state]};"

    def _state(self, state: m.ParserState) -> list[str]:
        gen = ExprGen(self.layout, in_parser=True)
        lines: list[str] = []
        for op in state.ops:
            lines += self._op(op, gen)
        lines += self._select(state, gen)
        # States that a jump leads to are labels; the first one is entered without a jump.
        return [
            f"{self.names[state.name]}: P4_UNUSED;",
            f"/* parser state {comment(state.name)} */",
            *self.actions.reports.tell(Told.STATE, state.name, "", (), ()),
            f"if (steps++ == {MAX_STEPS})",
            *self._fail("ParserTimeout"),
            *lines,
        ]

    def _fail(self, name: str) -> list[str]:
        return [f"    {{ p->c.parser_error = {self.error(name)}; goto done; }} /* {name} */"]

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
                src = op.args[1]
                lines = []
                if isinstance(src, m.Lookahead):
                    lines += [f"if (len - o < {(src.width + 7) // 8})"]
                    lines += self._fail("PacketTooShort")
                return lines + self.actions.call(m.Call("assign", op.args, op.where), gen)
            case "verify":
                condition, error = op.args
                return [
                    f"if (!{gen.condition(condition)}) {{",
                    f"    p->c.parser_error = (u32){gen.fitted(error, 32)};",
                    "    goto done;",
                    "}",
                ]
            case "shift":
                return self._advance(m.Op("*", op.args[0], m.Const(8)), gen)
            case "advance":
                return self._advance(op.args[0], gen)
        return self.actions.call(op, gen)

    def _length(self, bits: m.Expr, gen: ExprGen) -> list[str]:
        """Statements that leave a number of bytes in `n`; fails if it is not one."""
        low, high = gen.bounds(bits)
        kind = U64 if low >= 0 and high < 1 << 64 else S128
        return [
            f"{kind} n = {convert(gen.value(bits), kind)};",
            f"if (n & 7{'' if kind == U64 else ' || n < 0'})",
            *self._fail("ParserInvalidArgument"),
            "n >>= 3;",
        ]

    def _advance(self, bits: m.Expr, gen: ExprGen) -> list[str]:
        lines = [*self._length(bits, gen), "if (len - o < n)", *self._fail("PacketTooShort")]
        return ["{", *(f"    {line}" for line in [*lines, "o += (u32)n;"]), "}"]

    def _extract(self, header: m.Header, varbit: m.Expr | None, gen: ExprGen) -> list[str]:
        fixed = header.type.fixed_bits // 8
        if varbit is None:
            if header.type.has_varbit:
                raise ProgramError(f"header {header.name} is extracted without a length")
            return [
                f"/* extract {comment(header.name)} */",
                f"if (len - o < {fixed})",
                *self._fail("PacketTooShort"),
                *self.wire.read(header),
            ]
        lines = [
            f"/* extract {comment(header.name)} */",
            *self._length(varbit, gen),
            f"if (n > len || len - o < {fixed} + n)",
            *self._fail("PacketTooShort"),
        ]
        if header.type.max_bytes:
            lines += [f"if ({fixed} + n > {header.type.max_bytes})", *self._fail("HeaderTooShort")]
        return ["{", *(f"    {line}" for line in [*lines, *self.wire.read(header)]), "}"]

    def _extract_next(self, stack: str, varbit: m.Expr | None, gen: ExprGen) -> list[str]:
        elements = self.layout.stack(stack).headers
        counter, place = self.layout.next_place[stack], self.layout.stack_place[stack]
        body = self._extract(self.layout.header(elements[0]), varbit, gen)
        return [
            f"if ({counter} >= {len(elements)})",
            *self._fail("StackOutOfBounds"),
            "{",
            f"    const u32 i = {counter};",
            *(f"    {line.replace(f'{place}[0]', f'{place}[i]')}" for line in body),
            "}",
            f"{counter}++;",
        ]

    def _width(self, key: m.Expr) -> int:
        match key:
            case m.FieldRef():
                return self.layout.field(key).width
            case m.StackFieldRef(stack, name):
                return self.layout.field(
                    m.FieldRef(self.layout.stack(stack).headers[0], name)
                ).width
            case m.Lookahead(_, width):
                return width
        raise ProgramError(f"parser select on {type(key).__name__} is not supported")

    def _select(self, state: m.ParserState, gen: ExprGen) -> list[str]:
        default = self._go(state.default)
        if not state.cases:
            return [default]
        lines = ["{"]
        kinds = []
        for i, key in enumerate(state.keys):
            if isinstance(key, m.Lookahead):
                lines += [f"    if ((u64)(len - o) * 8 < {key.offset + key.width})"]
                lines += [f"    {line}" for line in self._fail("PacketTooShort")]
            width = self._width(key)
            kinds.append((carrier(width), width))
            lines.append(f"    const {carrier(width)} k{i} = {gen.fitted(key, width)};")
        for case in state.cases:
            tests = [
                _test(f"k{i}", *kinds[i], value, mask)
                for i, (value, mask) in enumerate(case.match)
                if mask != 0
            ]
            if None not in tests:
                text = " && ".join(t for t in tests if t) or "1"
                lines.append(f"    if ({text}) {self._go(case.next_state)}")
        return [*lines, f"    {default}", "}"]


def _test(name: str, kind: str, width: int, value: int, mask: int | None) -> str | None:
    """C text of a comparison with a case; None if it is never equal."""
    full = (1 << width) - 1
    value &= full if mask is None else mask
    mask = full if mask is None else mask & full
    if value > full or value & ~mask:
        return None
    if kind == WIDE:
        masked = f"wide_and({name}, {literal(mask, WIDE)})"
        return f"wide_eq({masked}, {literal(value, WIDE)})"
    if mask == full:
        return f"{name} == {literal(value, kind)}"
    return f"({name} & {literal(mask, kind)}) == {literal(value, kind)}"
