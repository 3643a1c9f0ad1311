"""Turns expressions of the model into C.

BMv2 computes with unbounded integers and cuts a value to width when it is stored. Here the range of
every expression is known before C is generated, and the expression is computed in the smallest
carrier that holds all of its range: 64 bits, 128 bits with or without a sign, or `wide` (wide.h).
Where only the low bits count, which p4c says by a mask, the carrier of these bits is enough for
operations in which low bits depend on low bits only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from p4softswitch.errors import ProgramError
from p4softswitch.executor.layout import Layout
from p4softswitch.program import model as m

U64, S128, U128, WIDE = "u64", "s128", "u128", "wide"
_BITS = {U64: 64, S128: 128, U128: 128}
_COMPARE = {"==", "!=", "<", "<=", ">", ">="}
_RING = {"+": "add", "-": "sub", "*": "mul", "&": "and", "|": "or", "^": "xor"}
_MAX_SHIFT = 2048
_WORD = (1 << 64) - 1

Bounds = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Code:
    """C text of a value of type `kind`, which lies from `low` to `high`."""

    text: str
    kind: str
    low: int
    high: int


def kind_of(low: int, high: int) -> str:
    """The smallest carrier of all integers from `low` to `high`."""
    if low >= 0 and high < 1 << 64:
        return U64
    if low >= -(1 << 127) and high < 1 << 127:
        return S128
    return U128 if low >= 0 and high < 1 << 128 else WIDE


def carrier(width: int) -> str:
    """The carrier of the low `width` bits of a number."""
    return U64 if width <= 64 else U128 if width <= 128 else WIDE


def literal(value: int, kind: str) -> str:
    """A constant of a carrier; of a negative number the low bits, unless the carrier has a sign."""
    if kind == U64:
        value &= _WORD
        return f"{value:#x}ull" if value > 9999 else f"{value}ull"
    if kind == WIDE:
        if 0 <= value < 1 << 128:
            return f"wide_u128({literal(value, U128)})"
        if -(1 << 127) <= value < 0:
            return f"wide_s128({literal(value, S128)})"
        if value < 0:
            raise ProgramError("a negative constant of more than 127 bits is not supported")
        count = (value.bit_length() + 63) // 64
        words = ", ".join(f"{value >> 64 * i & _WORD:#x}ull" for i in range(count))
        return f"wide_words((const u64[]){{{words}}}, {count})"
    if kind == S128 and -(1 << 63) <= value < 1 << 63:
        return f"((s128){value}ll)" if value != -(1 << 63) else "((s128)INT64_MIN)"
    value &= (1 << 128) - 1
    text = f"P4_U128({value >> 64:#x}ull, {value & _WORD:#x}ull)"
    return f"((s128){text})" if kind == S128 else text


def convert(code: Code, kind: str) -> str:
    """The value in another carrier, of which it keeps at least the low bits."""
    if code.kind == kind:
        return code.text
    if kind == WIDE:
        return f"wide_s128({code.text})" if code.kind == S128 else f"wide_u128({code.text})"
    if code.kind == WIDE:
        low = f"wide_low{_BITS[kind]}({code.text})"
        return f"((s128){low})" if kind == S128 else low
    return f"(({kind}){code.text})"


class ExprGen:
    """Generates expressions; `p` is the packet, `s` the switch, and `params` are the C names and
    widths of the parameters of the action."""

    def __init__(
        self,
        layout: Layout,
        params: tuple[tuple[str, int], ...] = (),
        in_parser: bool = False,
    ) -> None:
        self.layout = layout
        self.params = params
        self.in_parser = in_parser
        self._bounds: dict[m.Expr, Bounds] = {}

    # --- ranges ----------------------------------------------------------------------------

    def bounds(self, expr: m.Expr) -> Bounds:
        """The least and the greatest value that an expression may have."""
        known = self._bounds.get(expr)
        if known is None:
            known = self._bounds[expr] = self._find_bounds(expr)
        return known

    def _find_bounds(self, expr: m.Expr) -> Bounds:
        match expr:
            case m.Const(value):
                return value, value
            case m.BoolConst(flag):
                return int(flag), int(flag)
            case m.FieldRef(header, name):
                if name == "$valid$":
                    return 0, 1
                return _range_of(self.layout.field(m.FieldRef(header, name)))
            case m.LocalRef(index):
                return 0, (1 << self.params[index][1]) - 1
            case m.StackFieldRef(stack, name):
                return _range_of(self._stack_field(stack, name))
            case m.Lookahead(_, width) if self.in_parser:
                return 0, (1 << width) - 1
            case m.Op():
                return self._op_bounds(expr)
        raise ProgramError(f"{type(expr).__name__} cannot be used as a value")

    def _op_bounds(self, expr: m.Op) -> Bounds:
        name, left, right = expr.name, expr.left, expr.right
        if name == "?":
            yes, no = self.bounds(_given(left)), self.bounds(_given(right))
            return min(yes[0], no[0]), max(yes[1], no[1])
        if name == "access_field":
            return _range_of(self.stack_access(expr)[1])
        if name == "last_stack_index":
            return -1, 255
        if name == "size_stack":
            return 0, 255
        if name in _COMPARE or name in ("and", "or", "not", "d2b", "b2d", "valid"):
            return 0, 1
        b = self.bounds(_given(right))
        if left is None:
            return {"~": (~b[1], ~b[0]), "-": (-b[1], -b[0])}.get(name, b)
        a = self.bounds(left)
        match name:
            case "+":
                return a[0] + b[0], a[1] + b[1]
            case "-":
                return a[0] - b[1], a[1] - b[0]
            case "*":
                ends = [x * y for x in a for y in b]
                return min(ends), max(ends)
            case "&":
                most = [x[1] for x in (a, b) if x[0] >= 0]
                return (0, min(most)) if most else _around(a, b)
            case "|" | "^":
                return _around(a, b)
            case "/":
                return 0, a[1]
            case "%":
                return 0, max(0, min(a[1], b[1] - 1))
            case "<<":
                most_bits = min(max(b[1], 0), _MAX_SHIFT)
                return min(a[0], a[0] << most_bits), max(a[1], a[1] << most_bits)
            case ">>":
                least = min(max(b[0], 0), _MAX_SHIFT)
                if a[0] >= 0:
                    return 0, a[1] >> least
                return a[0] >> least, max(a[1] >> least, -1)
            case "two_comp_mod" | "sat_cast":
                top = 1 << (self._width(right) - 1)
                return -top, top - 1
            case "usat_cast":
                return 0, (1 << self._width(right)) - 1
        raise ProgramError(f"operation '{name}' is not supported")

    @staticmethod
    def _width(expr: m.Expr | None) -> int:
        if not isinstance(expr, m.Const) or not 0 < expr.value <= _MAX_SHIFT:
            raise ProgramError("a cast to a width that is not a constant is not supported")
        return expr.value

    def _kind(self, *bounds: Bounds) -> str:
        """The carrier of values of all these ranges."""
        low, high = min(b[0] for b in bounds), max(b[1] for b in bounds)
        kind = kind_of(low, high)
        if kind == WIDE:
            self.layout.need_bits(1 + max(low.bit_length(), high.bit_length()))
        return kind

    # --- values ----------------------------------------------------------------------------

    def value(self, expr: m.Expr) -> Code:
        """The exact value of an expression."""
        low, high = self.bounds(expr)
        kind = self._kind((low, high))
        match expr:
            case m.Const(value):
                return Code(literal(value, kind), kind, low, high)
            case m.BoolConst(flag):
                return Code(literal(int(flag), U64), U64, low, high)
            case m.FieldRef(header, name):
                if name == "$valid$" and self.layout.header(header).metadata:
                    return Code("1ull", U64, 1, 1)
                return Code(_cast(self.layout.place(header, name), kind), kind, low, high)
            case m.LocalRef(index):
                return Code(self.params[index][0], carrier(self.params[index][1]), low, high)
            case m.StackFieldRef(stack, name):
                return Code(self._last(stack, name, kind), kind, low, high)
            case m.Lookahead(offset, width):
                return Code(self._peek(offset, width, kind), kind, low, high)
            case m.Op():
                return self._op(expr, kind, low, high)
        raise ProgramError(f"{type(expr).__name__} cannot be used as a value")

    def condition(self, expr: m.Expr) -> str:
        """C text of a boolean expression."""
        return convert(self.value(expr), U64)

    def low(self, expr: m.Expr, kind: str) -> str:
        """The low bits of an expression in a carrier; bits above it are lost."""
        if kind == WIDE:
            return convert(self.value(expr), WIDE)
        code_kind = self._kind(self.bounds(expr))
        if code_kind in (kind, U64):
            return convert(self.value(expr), kind)
        if isinstance(expr, m.Const):
            return literal(expr.value, kind)
        if isinstance(expr, m.Op):
            name, left, right = expr.name, expr.left, _given(expr.right)
            if name in _RING and left is not None:
                return f"({self.low(left, kind)} {name} {self.low(right, kind)})"
            if left is None and name in ("~", "-"):
                return f"({name}{self.low(right, kind)})"
            if name == "<<" and left is not None:
                return self._shift_left(self.low(left, kind), right, kind)
            if name == "?" and left is not None and expr.cond is not None:
                yes, no = self.low(left, kind), self.low(right, kind)
                return f"({self.condition(expr.cond)} ? {yes} : {no})"
        return convert(self.value(expr), kind)

    def fitted(self, expr: m.Expr, width: int, signed: bool = False) -> str:
        """An expression as it is stored in a field of `width` bits, in the field's carrier."""
        return self.cut(self.low(expr, carrier(width)), self.bounds(expr), width, signed)

    def cut(self, text: str, bounds: Bounds, width: int, signed: bool = False) -> str:
        """A value of these bounds, in the carrier of `width` bits, cut to that width."""
        kind = carrier(width)
        top = 1 << width
        if signed:
            if kind == WIDE:
                return f"wide_cut({text}, {width}, 1)"
            return f"p4_sext{_BITS[kind]}({text}, {width})"
        if (bounds[0] >= 0 and bounds[1] < top) or width in (64, 128):
            return text
        if kind == WIDE:
            return f"wide_cut({text}, {width}, 0)"
        return f"({text} & {literal(top - 1, kind)})"

    def words(self, text: str, width: int) -> list[str]:
        """A value of `width` bits in its carrier as 64-bit words, least significant first."""
        if width <= 64:
            return [text]
        if width <= 128:
            return [f"((u64){text})", f"((u64)({text} >> 64))"]
        return [f"{text}.w[{i}]" for i in range((width + 63) // 64)]

    # --- operations ------------------------------------------------------------------------

    def _op(self, expr: m.Op, kind: str, low: int, high: int) -> Code:
        name, left, right = expr.name, expr.left, expr.right

        def code(text: str, of: str = kind) -> Code:
            result = Code(text, of, low, high)
            return result if of == kind else Code(convert(result, kind), kind, low, high)

        if name == "?":
            if expr.cond is None:
                raise ProgramError("conditional expression lacks an operand")
            yes, no = (convert(self.value(_given(e)), kind) for e in (left, right))
            return code(f"({self.condition(expr.cond)} ? {yes} : {no})")
        if name == "access_field":
            return code(self._element(expr, kind))
        if name in ("valid", "last_stack_index", "size_stack", "dereference_header_stack"):
            return self._structural(name, expr)
        if left is None:
            operand = self.value(_given(right))
            match name:
                case "not":
                    return code(f"(!{convert(operand, U64)})", U64)
                case "d2b":
                    return code(self._compare("!=", _given(right), m.Const(0)), U64)
                case "b2d" | "+":
                    return operand
                case "~" | "-":
                    text = convert(operand, kind)
                    if kind == WIDE:
                        return code(f"wide_{'not' if name == '~' else 'neg'}({text})")
                    return code(f"({name}{text})")
            raise ProgramError(f"operation '{name}' is not supported")
        if isinstance(left, m.HeaderRef) and isinstance(right, m.HeaderRef):
            return Code(self._header_compare(name, left.name, right.name), U64, 0, 1)
        right = _given(right)
        if name in _COMPARE:
            return code(self._compare(name, left, right), U64)
        if name in ("and", "or"):
            sign = "&&" if name == "and" else "||"
            return code(f"({self.condition(left)} {sign} {self.condition(right)})", U64)
        if name in _RING:
            return code(self._ring(name, left, right, kind))
        return self._rare(name, left, right, kind, code)

    def _ring(self, name: str, left: m.Expr, right: m.Expr, kind: str) -> str:
        a, b = self.bounds(left), self.bounds(right)
        if name == "&" and kind != WIDE:
            # p4c masks after every cast, also where nothing can be cut off.
            for expr, (low, high), mask in ((left, a, right), (right, b, left)):
                if isinstance(mask, m.Const) and low >= 0 and _covers(mask.value, high):
                    return self.low(expr, kind)
            return f"({self.low(left, kind)} & {self.low(right, kind)})"
        if name == "&" and kind == WIDE:
            self._kind(a, b)
        whole = self._kind((min(a[0], b[0]), max(a[1], b[1])), self.bounds(m.Op(name, left, right)))
        if whole == WIDE or kind == WIDE:
            one, two = convert(self.value(left), WIDE), convert(self.value(right), WIDE)
            text = f"wide_{_RING[name]}({one}, {two})"
            return convert(Code(text, WIDE, 0, 0), kind)
        return f"({self.low(left, kind)} {name} {self.low(right, kind)})"

    def _rare(
        self, name: str, left: m.Expr, right: m.Expr, kind: str, code: Callable[..., Code]
    ) -> Code:
        a, b = self.bounds(left), self.bounds(right)
        match name:
            case "/" | "%":
                whole = self._kind(a, b)
                if a[0] < 0 or b[0] < 0 or whole == WIDE:
                    raise ProgramError(f"'{name}' of negative or very wide numbers")
                whole = U128 if whole == S128 else whole
                one, two = (convert(self.value(e), whole) for e in (left, right))
                function = f"p4_{'div' if name == '/' else 'mod'}{_BITS[whole]}"
                return code(f"{function}({one}, {two})", whole)
            case "<<":
                return code(self._shift_left(convert(self.value(left), kind), right, kind))
            case ">>":
                return code(*self._shift_right(left, right))
            case "two_comp_mod":
                width = self._width(right)
                text, of = self.low(left, carrier(width)), carrier(width)
                signed = self.cut(text, a, width, True)
                if of != WIDE:
                    signed, of = f"((s128){signed})", S128
                return code(signed, of)
            case "usat_cast" | "sat_cast":
                width = self._width(right)
                low, high = self.bounds(m.Op(name, left, right))
                whole = self._kind(a, (low, high))
                whole = S128 if whole in (U64, S128) else WIDE
                if whole == WIDE:
                    self.layout.need_bits(130)
                text = convert(self.value(left), whole)
                limits = f"{literal(low, whole)}, {literal(high, whole)}"
                function = "wide_clamp" if whole == WIDE else "p4_clamp"
                return code(f"{function}({text}, {limits})", whole)
        raise ProgramError(f"operation '{name}' is not supported")

    def _shift_left(self, text: str, distance: m.Expr, kind: str) -> str:
        if kind == WIDE:
            return f"wide_shl({text}, {self._distance(distance)})"
        if isinstance(distance, m.Const):
            if not 0 <= distance.value < _BITS[kind]:
                return literal(0, kind)
            return f"({text} << {distance.value})" if distance.value else text
        if kind == S128:
            return f"((s128)p4_shl128((u128){text}, {self._distance(distance)}))"
        return f"p4_shl{_BITS[kind]}({text}, {self._distance(distance)})"

    def _shift_right(self, left: m.Expr, distance: m.Expr) -> tuple[str, str]:
        a = self.value(left)
        if a.kind == WIDE:
            return f"wide_shr({a.text}, {self._distance(distance)})", WIDE
        if isinstance(distance, m.Const) and 0 <= distance.value < _BITS[a.kind]:
            return f"({a.text} >> {distance.value})", a.kind
        function = "p4_sar128" if a.kind == S128 else f"p4_shr{_BITS[a.kind]}"
        return f"{function}({a.text}, {self._distance(distance)})", a.kind

    def _distance(self, expr: m.Expr) -> str:
        """How far to shift; a distance that no carrier holds is as good as the greatest."""
        low, high = self.bounds(expr)
        if low >= 0 and high < 1 << 64:
            return convert(self.value(expr), U64)
        raise ProgramError("a shift by a number that may be negative or very wide")

    def _compare(self, name: str, left: m.Expr, right: m.Expr) -> str:
        if name in ("==", "!=") and self._is_varbit(left) and self._is_varbit(right):
            places = [self.layout.place(e.header, e.field) for e in (left, right)
                      if isinstance(e, m.FieldRef)]  # fmt: skip
            return f"({'!' if name == '!=' else ''}p4_same_bytes({', '.join(places)}))"
        kind = self._kind(self.bounds(left), self.bounds(right))
        one, two = convert(self.value(left), kind), convert(self.value(right), kind)
        if kind != WIDE:
            return f"({one} {name} {two})"
        if name in ("==", "!="):
            return f"({'!' if name == '!=' else ''}wide_eq({one}, {two}))"
        return f"(wide_cmp({one}, {two}) {name} 0)"

    def _is_varbit(self, expr: m.Expr) -> bool:
        return isinstance(expr, m.FieldRef) and self.layout.field(expr).varbit

    def _header_compare(self, name: str, left: str, right: str) -> str:
        one, two = self.layout.header(left), self.layout.header(right)
        if one.type is not two.type or name not in ("==", "!="):
            raise ProgramError(f"headers {left} and {right} cannot be compared by '{name}'")
        valid_a, valid_b = (self.value(m.FieldRef(h, "$valid$")).text for h in (left, right))
        same = [f"{valid_a} == {valid_b}"]
        fields = []
        for f in one.type.fields:
            a, b = m.FieldRef(left, f.name), m.FieldRef(right, f.name)
            fields.append(self._compare("==", a, b))
        if fields:
            same.append(f"(!{valid_a} || ({' && '.join(fields)}))")
        text = " && ".join(same)
        return f"({text})" if name == "==" else f"(!({text}))"

    def _structural(self, name: str, expr: m.Op) -> Code:
        operand = expr.left if expr.right is None else expr.right
        if name == "valid" and isinstance(operand, m.HeaderRef):
            return self.value(m.FieldRef(operand.name, "$valid$"))
        if isinstance(operand, m.StackRef):
            self.layout.stack(operand.name)
            place = self.layout.next_place[operand.name]
            if name == "size_stack":
                return Code(f"(u64){place}", U64, 0, 255)
            if name == "last_stack_index":
                return Code(f"((s128){place} - 1)", S128, -1, 255)
        raise ProgramError(f"operation '{name}' is not supported on this operand")

    # --- header stacks and what is not parsed yet ------------------------------------------

    def _stack_field(self, stack: str, name: str) -> m.Field:
        return self.layout.field(m.FieldRef(self.layout.stack(stack).headers[0], name))

    def last_index(self, stack: str) -> str:
        """Index of the last element of a stack; far too large if it is empty."""
        self.layout.stack(stack)
        return f"((u64){self.layout.next_place[stack]} - 1)"

    def _last(self, stack: str, name: str, kind: str) -> str:
        field = self._stack_field(stack, name)
        return self._read_element(stack, field, self.last_index(stack), kind)

    def _element(self, expr: m.Op, kind: str) -> str:
        stack, field, index = self.stack_access(expr)
        return self._read_element(stack, field, index, kind)

    def _read_element(self, stack: str, field: m.Field, index: str, kind: str) -> str:
        """A field of a stack element; 0 out of bounds."""
        size = len(self.layout.stack(stack).headers)
        member = self.layout.member(self.layout.stack(stack).headers[0], field.name)
        place = _cast(f"{self.layout.stack_place[stack]}[{index}].{member}", kind)
        return f"({index} < {size} ? {place} : {literal(0, kind)})"

    def stack_access(self, expr: m.Op) -> tuple[str, m.Field, str]:
        """Stack, field and C text of the index of `stack[index].field`."""
        inner, offset = expr.left, expr.right
        if not (
            isinstance(inner, m.Op)
            and inner.name == "dereference_header_stack"
            and isinstance(inner.left, m.StackRef)
            and inner.right is not None
            and isinstance(offset, m.Const)
        ):
            raise ProgramError("only fields of header stack elements can be accessed by offset")
        stack = self.layout.stack(inner.left.name)
        field = self.layout.header(stack.headers[0]).type.fields[offset.value]
        # A negative index is far too large as an unsigned number.
        return stack.name, field, self.low(inner.right, U64)

    def _peek(self, offset: int, width: int, kind: str) -> str:
        def part(at: int, bits: int) -> str:
            return f"p4_peek(d, len, (size_t)o * 8 + {offset + at}, {bits})"

        if width <= 64:
            return part(0, width)
        words, at = [], width
        while at > 0:
            bits = min(64, at)
            at -= bits
            words.append(part(at, bits))
        if width <= 128:
            text = f"P4_U128({words[1]}, {words[0]})"
            return f"((s128){text})" if kind == S128 else text
        return f"wide_words((const u64[]){{{', '.join(words)}}}, {len(words)})"


def _given(expr: m.Expr | None) -> m.Expr:
    if expr is None:
        raise ProgramError("an operation lacks an operand")
    return expr


def _range_of(field: m.Field) -> Bounds:
    if field.varbit:
        raise ProgramError(f"varbit field {field.name} cannot be used as a number")
    if field.signed:
        return -(1 << (field.width - 1)), (1 << (field.width - 1)) - 1
    return 0, (1 << field.width) - 1


def _around(a: Bounds, b: Bounds) -> Bounds:
    """All numbers of as many bits as those of two ranges have."""
    bits = max(x.bit_length() for x in (*a, *b))
    return (-(1 << bits) if min(a[0], b[0]) < 0 else 0), (1 << bits) - 1


def _covers(mask: int, high: int) -> bool:
    """Whether `mask` keeps every bit of the numbers up to `high`."""
    return mask >= 0 and mask & (mask + 1) == 0 and mask.bit_length() >= high.bit_length()


def _cast(place: str, kind: str) -> str:
    return place if kind == WIDE else f"({kind}){place}"
