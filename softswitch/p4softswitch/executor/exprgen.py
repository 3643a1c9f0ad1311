"""Turns expressions of the model into Python source.

BMv2 computes with unbounded integers and cuts a value to width when it is stored; Python's
integers do the same. Next to the source each result carries the number of bits that it surely
fits in, or None if it may be negative or larger, so that a store can skip the mask.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4softswitch.errors import ProgramError
from p4softswitch.executor.layout import Layout
from p4softswitch.program import model as m


@dataclass(frozen=True, slots=True)
class Code:
    """Source of a value and the bits it fits in (None: unknown or signed)."""

    text: str
    bits: int | None


_COMPARE = {"==", "!=", "<", "<=", ">", ">="}
_MAX_SHIFT = 2048


class ExprGen:
    """Generates expressions; `p` is the packet, and `params` are the widths of `l0`, `l1` …"""

    def __init__(self, layout: Layout, params: tuple[int, ...] = (), in_parser: bool = False):
        self.layout = layout
        self.params = params
        self.in_parser = in_parser

    def value(self, expr: m.Expr) -> Code:
        """Source of the value of an expression; booleans are 0/1 or False/True."""
        match expr:
            case m.Const(value):
                return Code(str(value) if value >= 0 else f"({value})", _bits(value))
            case m.BoolConst(flag):
                return Code(str(flag), 1)
            case m.FieldRef(header, name):
                return self._field(header, name)
            case m.LocalRef(index):
                return Code(f"l{index}", self.params[index])
            case m.StackFieldRef(stack, name):
                names, width = self.stack_slots(stack, name)
                return Code(f"last(p, {names!r}, p.{self.layout.next_slot[stack]})", width)
            case m.Lookahead(offset, width) if self.in_parser:
                return Code(f"peek(d, o * 8 + {offset}, {width})", width)
            case m.Op():
                return self._op(expr)
        raise ProgramError(f"{type(expr).__name__} cannot be used as a value")

    def condition(self, expr: m.Expr) -> str:
        """Source of a boolean expression."""
        return self.value(expr).text

    def fitted(self, expr: m.Expr, width: int, signed: bool = False) -> str:
        """Source of an expression as it is stored in a field of `width` bits."""
        return fit(self.value(expr), width, signed)

    def stack_slots(self, stack: str, name: str) -> tuple[tuple[str, ...], int]:
        """Slots of one field in all elements of a stack, and the width of the field."""
        elements = self._elements(stack)
        width = self.layout.field(m.FieldRef(elements[0], name)).width
        return tuple(self.layout.slot(h, name) for h in elements), width

    def stack_access(self, expr: m.Op) -> tuple[tuple[str, ...], str, m.Field]:
        """Slots, index source and field of `stack[index].field`."""
        inner, offset = expr.left, expr.right
        if not (
            isinstance(inner, m.Op)
            and inner.name == "dereference_header_stack"
            and isinstance(inner.left, m.StackRef)
            and inner.right is not None
            and isinstance(offset, m.Const)
        ):
            raise ProgramError("only fields of header stack elements can be accessed by offset")
        elements = self._elements(inner.left.name)
        field = self.layout.header(elements[0]).type.fields[offset.value]
        slots = tuple(self.layout.slot(h, field.name) for h in elements)
        return slots, self.value(inner.right).text, field

    def _elements(self, stack: str) -> tuple[str, ...]:
        if stack not in self.layout.program.stacks:
            raise ProgramError(f"program names header stack '{stack}', which does not exist")
        return self.layout.program.stacks[stack].headers

    def _field(self, header: str, name: str) -> Code:
        if name == "$valid$" and self.layout.header(header).metadata:
            return Code("1", 1)
        f = self.layout.field(m.FieldRef(header, name))
        return Code(f"p.{self.layout.slot(header, name)}", None if f.signed else f.width)

    def _op(self, expr: m.Op) -> Code:
        name = expr.name
        if name == "?":
            if expr.cond is None or expr.left is None or expr.right is None:
                raise ProgramError("conditional expression lacks an operand")
            yes, no = self.value(expr.left), self.value(expr.right)
            bits = None if yes.bits is None or no.bits is None else max(yes.bits, no.bits)
            return Code(f"({yes.text} if {self.condition(expr.cond)} else {no.text})", bits)
        if name == "access_field":
            slots, index, field = self.stack_access(expr)
            return Code(f"element(p, {slots!r}, {index})", None if field.signed else field.width)
        if name in ("valid", "last_stack_index", "size_stack", "dereference_header_stack"):
            return self._structural(name, expr)
        if expr.right is None:
            raise ProgramError(f"operation '{name}' lacks an operand")
        if expr.left is None:
            return self._unary(name, self.value(expr.right))
        if isinstance(expr.left, m.HeaderRef) and isinstance(expr.right, m.HeaderRef):
            return self._header_compare(name, expr.left.name, expr.right.name)
        return self._binary(name, self.value(expr.left), self.value(expr.right))

    def _structural(self, name: str, expr: m.Op) -> Code:
        operand = expr.left if expr.right is None else expr.right
        if name == "valid" and isinstance(operand, m.HeaderRef):
            valid = self.layout.valid(operand.name)
            return Code("1" if valid is None else f"p.{valid}", 1)
        if isinstance(operand, m.StackRef):
            slot = f"p.{self.layout.next_slot[operand.name]}"
            if name == "size_stack":
                return Code(slot, 32)
            if name == "last_stack_index":
                return Code(f"({slot} - 1)", None)
        raise ProgramError(f"operation '{name}' is not supported on this operand")

    def _header_compare(self, name: str, left: str, right: str) -> Code:
        one, two = self.layout.header(left), self.layout.header(right)
        slots = ["$valid$", *(f.name for f in one.type.fields)]
        if one.type is not two.type or name not in ("==", "!="):
            raise ProgramError(f"headers {left} and {right} cannot be compared by '{name}'")
        a = ", ".join(f"p.{self.layout.slot(left, s)}" for s in slots)
        b = ", ".join(f"p.{self.layout.slot(right, s)}" for s in slots)
        return Code(f"same_header(({a}), ({b}), {name == '=='})", 1)

    def _unary(self, name: str, operand: Code) -> Code:
        match name:
            case "not":
                return Code(f"(not {operand.text})", 1)
            case "d2b":
                return Code(f"({operand.text} != 0)", 1)
            case "b2d":
                if operand.text in ("True", "False"):
                    return Code("1" if operand.text == "True" else "0", 1)
                return Code(f"(1 if {operand.text} else 0)", 1)
            case "~":
                return Code(f"(~{operand.text})", None)
            case "-":
                return Code(f"(-{operand.text})", None)
            case "+":
                return operand
        raise ProgramError(f"operation '{name}' is not supported")

    def _binary(self, name: str, a: Code, b: Code) -> Code:
        both = None if a.bits is None or b.bits is None else max(a.bits, b.bits)
        if name in _COMPARE:
            return Code(f"({a.text} {name} {b.text})", 1)
        match name:
            case "and" | "or":
                return Code(f"({a.text} {name} {b.text})", 1)
            case "&":
                if b.text.isdigit() and _covers(int(b.text), a.bits):
                    return a  # p4c masks after every cast, also where nothing can be cut off
                known = [bits for bits in (a.bits, b.bits) if bits is not None]
                return Code(f"({a.text} & {b.text})", min(known) if known else None)
            case "|" | "^":
                return Code(f"({a.text} {name} {b.text})", both)
            case "+":
                return Code(f"({a.text} + {b.text})", None if both is None else both + 1)
            case "-":
                return Code(f"({a.text} - {b.text})", None)
            case "*":
                bits = None if a.bits is None or b.bits is None else a.bits + b.bits
                return Code(f"({a.text} * {b.text})", bits)
            case "/":
                return Code(f"divide({a.text}, {b.text})", a.bits)
            case "%":
                return Code(f"modulo({a.text}, {b.text})", a.bits)
            case "<<":
                if b.text.isdigit() and int(b.text) <= _MAX_SHIFT:
                    bits = None if a.bits is None else a.bits + int(b.text)
                    return Code(f"({a.text} << {b.text})", bits)
                return Code(f"shift_left({a.text}, {b.text})", None)
            case ">>":
                if b.text.isdigit():
                    bits = None if a.bits is None else max(0, a.bits - int(b.text))
                    return Code(f"({a.text} >> {b.text})", bits)
                return Code(f"({a.text} >> {b.text})", a.bits)
            case "two_comp_mod":
                return Code(f"two_comp_mod({a.text}, {b.text})", None)
            case "usat_cast":
                return Code(f"usat_cast({a.text}, {b.text})", _const(b))
            case "sat_cast":
                return Code(f"sat_cast({a.text}, {b.text})", None)
        raise ProgramError(f"operation '{name}' is not supported")


def _covers(mask: int, bits: int | None) -> bool:
    """Whether `mask` keeps every bit of a value of `bits` bits."""
    return bits is not None and mask & (mask + 1) == 0 and mask.bit_length() >= bits


def _const(code: Code) -> int | None:
    return int(code.text) if code.text.isdigit() else None


def _bits(value: int) -> int | None:
    return value.bit_length() if value >= 0 else None


def fit(code: Code, width: int, signed: bool = False) -> str:
    """Source of `code` cut to a field of `width` bits."""
    if signed:
        return f"two_comp_mod({code.text}, {width})"
    if code.text in ("True", "False"):
        return "1" if code.text == "True" else "0"
    if code.bits is not None and code.bits <= width:
        return code.text
    return f"{code.text} & {(1 << width) - 1:#x}"
