"""Turns primitives (of actions, parser states, the deparser) into Python statements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from p4softswitch.errors import ProgramError
from p4softswitch.executor.exprgen import Code, ExprGen, fit
from p4softswitch.executor.layout import Layout
from p4softswitch.program import model as m
from p4softswitch.state.arrays import word_widths

_IGNORED = {"no_op", "log_msg"}
_JUMPS = {"_jump", "_jump_if_zero"}
_MAX_DEPTH = 40  # of conditions in each other; Python takes no more than 100 levels

_T = TypeVar("_T")


class _Unstructured(Exception):
    """The jumps of an action are not those of nested conditions."""


@dataclass(slots=True)
class Names:
    """Names under which generated code reaches objects outside it."""

    counters: dict[str, str] = field(default_factory=dict)
    meters: dict[str, str] = field(default_factory=dict)
    registers: dict[str, tuple[str, m.RegisterArray]] = field(default_factory=dict)
    """A register, and what the names of the arrays of its words begin with."""
    calculations: dict[str, Code] = field(default_factory=dict)
    """The source of a calculation, which reads the packet `p`."""


class ActionGen:
    """Generates statements; objects outside the packet are reached through `names`."""

    def __init__(self, layout: Layout, names: Names, drop_port: int) -> None:
        self.layout = layout
        self.names = names
        self.drop_port = drop_port

    def function(self, action: m.Action, name: str) -> list[str]:
        """Source lines of the function of an action: `name(p, args)`."""
        lines = [f"def {name}(p, args):", f"    # action {action.name}"]
        if action.params:
            lines.append(f"    {', '.join(f'l{i}' for i in range(len(action.params)))}, = args")
        lines += self.body(action)
        return lines

    def body(self, action: m.Action) -> list[str]:
        """Statements of an action, indented once; parameters are `l0`, `l1` …"""
        gen = ExprGen(self.layout, tuple(width for _, width in action.params))
        if any(c.op in _JUMPS for c in action.calls):
            return self._with_jumps(action.calls, gen)
        lines = [line for c in action.calls for line in self.call(c, gen)]
        return [f"    {line}" for line in lines] or ["    pass"]

    def _with_jumps(self, calls: tuple[m.Call, ...], gen: ExprGen) -> list[str]:
        try:
            lines = self._block(calls, 0, len(calls), gen, 0)
        except _Unstructured:
            return self._with_positions(calls, gen)
        return [f"    {line}" for line in lines]

    def _block(
        self, calls: tuple[m.Call, ...], first: int, end: int, gen: ExprGen, depth: int
    ) -> list[str]:
        """Calls `first` to `end` with their jumps as `if` and `else`, as p4c compiled them from.

        Raises `_Unstructured` if they are something else.
        """
        if depth > _MAX_DEPTH:
            raise _Unstructured
        lines: list[str] = []
        at = first
        while at < end:
            call = calls[at]
            if call.op not in _JUMPS:
                lines += self.call(call, gen)
                at += 1
                continue
            otherwise = after = _target(call)
            if call.op == "_jump" or not at < otherwise <= end:
                raise _Unstructured
            then_end = otherwise
            if otherwise - 1 > at and calls[otherwise - 1].op == "_jump":
                then_end, after = otherwise - 1, _target(calls[otherwise - 1])
                if not otherwise <= after <= end:
                    raise _Unstructured
            then = self._block(calls, at + 1, then_end, gen, depth + 1)
            rest = self._block(calls, otherwise, after, gen, depth + 1)
            lines.append(f"if {gen.condition(call.args[0])}:")
            lines += [f"    {line}" for line in then or ["pass"]]
            if rest:
                lines += ["else:", *(f"    {line}" for line in rest)]
            at = after
        return lines

    def _with_positions(self, calls: tuple[m.Call, ...], gen: ExprGen) -> list[str]:
        """Forward jumps: each block runs unless control has jumped past its start."""
        targets = {_target(c) for c in calls if c.op in _JUMPS}
        starts = {0} | {i + 1 for i, c in enumerate(calls) if c.op in _JUMPS} | targets
        lines = ["    at = 0"]
        for i, c in enumerate(calls):
            if i in starts:
                lines.append(f"    if at <= {i}:")
            if c.op not in _JUMPS:
                body = self.call(c, gen)
                lines += [f"        {line}" for line in body] or ["        pass"]
                continue
            target = _target(c)
            if target <= i:
                raise ProgramError("backward jump in an action is not supported")
            if c.op == "_jump":
                lines.append(f"        at = {target}")
            else:
                lines.append(f"        if not {gen.condition(c.args[0])}: at = {target}")
        return lines

    def call(self, call: m.Call, gen: ExprGen) -> list[str]:
        """Statements of one primitive; `ProgramError` if it is not supported."""
        if call.op in _IGNORED:
            return []
        handler: Callable[..., list[str]] | None = getattr(self, f"_op_{call.op}", None)
        if handler is None:
            raise ProgramError(f"primitive '{call.op}' is not supported")
        try:
            return handler(gen, *call.args)
        except TypeError as exc:
            raise ProgramError(f"primitive '{call.op}' has wrong arguments") from exc

    # --- assignments -----------------------------------------------------------------------

    def _store(self, gen: ExprGen, dst: m.Expr, code: Code) -> list[str]:
        if isinstance(dst, m.FieldRef):
            f = self.layout.field(dst)
            slot = self.layout.slot(dst.header, dst.field)
            return [f"p.{slot} = {fit(code, f.width, f.signed)}"]
        if isinstance(dst, m.StackFieldRef):
            slots, width = gen.stack_slots(dst.stack, dst.field)
            index = f"p.{self.layout.next_slot[dst.stack]} - 1"
            return [f"set_element(p, {slots!r}, {index}, {fit(code, width)})"]
        if isinstance(dst, m.Op) and dst.name == "access_field":
            slots, index, f = gen.stack_access(dst)
            return [f"set_element(p, {slots!r}, {index}, {fit(code, f.width, f.signed)})"]
        raise ProgramError(f"cannot assign to {type(dst).__name__}")

    def _op_assign(self, gen: ExprGen, dst: m.Expr, src: m.Expr) -> list[str]:
        return self._store(gen, dst, gen.value(src))

    _op_modify_field = _op_assign
    _op_set = _op_assign

    def _op_assign_VL(self, gen: ExprGen, dst: m.Expr, src: m.Expr) -> list[str]:
        if not isinstance(dst, m.FieldRef) or not isinstance(src, m.FieldRef):
            raise ProgramError("assign_VL works on fields only")
        a, b = self.layout.slot(dst.header, dst.field), self.layout.slot(src.header, src.field)
        return [f"p.{a} = p.{b}"]

    # --- headers ---------------------------------------------------------------------------

    def _header(self, expr: m.Expr) -> m.Header:
        if not isinstance(expr, m.HeaderRef):
            raise ProgramError(f"{type(expr).__name__} is not a header instance")
        return self.layout.header(expr.name)

    def _valid(self, header: m.Header) -> str:
        valid = self.layout.valid(header.name)
        if valid is None:
            raise ProgramError(f"metadata {header.name} has no validity")
        return valid

    def _length(self, header: m.Header) -> str:
        fixed = header.type.fixed_bits // 8
        parts = [f"len(p.{self.layout.slot(header.name, f.name)})"
                 for f in header.type.fields if f.varbit]  # fmt: skip
        return " + ".join([str(fixed), *parts])

    def _op_add_header(self, gen: ExprGen, hdr: m.Expr) -> list[str]:
        header = self._header(hdr)
        valid = self._valid(header)
        lines = [f"if not p.{valid}:"]
        for f in header.type.fields:
            zero = "b''" if f.varbit else "0"
            lines.append(f"    p.{self.layout.slot(header.name, f.name)} = {zero}")
        lines += [f"    p.{valid} = 1", f"    p.length += {header.type.fixed_bits // 8}"]
        return lines

    def _op_remove_header(self, gen: ExprGen, hdr: m.Expr) -> list[str]:
        header = self._header(hdr)
        valid = self._valid(header)
        return [f"if p.{valid}:", f"    p.{valid} = 0", f"    p.length -= {self._length(header)}"]

    def _op_assign_header(self, gen: ExprGen, dst: m.Expr, src: m.Expr) -> list[str]:
        to, frm = self._header(dst), self._header(src)
        if to.type.name != frm.type.name:
            raise ProgramError(f"headers {to.name} and {frm.name} are of different types")
        valid_to, valid_from = self.layout.valid(to.name), self.layout.valid(frm.name)
        names = [f.name for f in to.type.fields]
        copies = [
            f"    p.{self.layout.slot(to.name, n)} = p.{self.layout.slot(frm.name, n)}"
            for n in names
        ]
        if valid_to is None or valid_from is None:
            return [line.strip() for line in copies]
        return [f"p.{valid_to} = p.{valid_from}", f"if p.{valid_from}:", *copies]

    _op_copy_header = _op_assign_header

    def _op_assign_header_stack(self, gen: ExprGen, dst: m.Expr, src: m.Expr) -> list[str]:
        if not isinstance(dst, m.StackRef) or not isinstance(src, m.StackRef):
            raise ProgramError("assign_header_stack works on header stacks only")
        stacks = self.layout.program.stacks
        to, frm = self.layout.next_slot[dst.name], self.layout.next_slot[src.name]
        lines = [f"p.{to} = p.{frm}"]
        for a, b in zip(stacks[dst.name].headers, stacks[src.name].headers, strict=True):
            lines += self._op_assign_header(gen, m.HeaderRef(a), m.HeaderRef(b))
        return lines

    def _stack_op(self, function: str, gen: ExprGen, stack: m.Expr, count: m.Expr) -> list[str]:
        if not isinstance(stack, m.StackRef):
            raise ProgramError("push and pop work on header stacks only")
        elements = tuple(
            (
                self._valid(self.layout.header(h)),
                *(self.layout.slot(h, f.name) for f in self.layout.header(h).type.fields),
            )
            for h in self.layout.program.stacks[stack.name].headers
        )
        counter = self.layout.next_slot[stack.name]
        return [f"{function}(p, {elements!r}, {counter!r}, {gen.value(count).text})"]

    def _op_push(self, gen: ExprGen, stack: m.Expr, count: m.Expr) -> list[str]:
        return self._stack_op("stack_push", gen, stack, count)

    def _op_pop(self, gen: ExprGen, stack: m.Expr, count: m.Expr) -> list[str]:
        return self._stack_op("stack_pop", gen, stack, count)

    # --- fate of the packet ----------------------------------------------------------------

    def _op_mark_to_drop(self, gen: ExprGen, *_: m.Expr) -> list[str]:
        return [f"p.egress_spec = {self.drop_port}", "p.mcast_grp = 0"]

    _op_drop = _op_mark_to_drop

    def _op_exit(self, gen: ExprGen) -> list[str]:
        return ["p.exit_ = 1"]

    def _op_generate_digest(self, gen: ExprGen, receiver: m.Expr, digest: m.Expr) -> list[str]:
        return [f"p.digest = {gen.fitted(digest, 16)}"]

    def _op_clone_ingress_pkt_to_egress(
        self, gen: ExprGen, session: m.Expr, fields: m.Expr | None = None
    ) -> list[str]:
        number = "0" if fields is None else gen.fitted(fields, 16)
        return [f"p.clone = {gen.fitted(session, 15)} | 0x8000", f"p.clone_list = {number}"]

    _op_clone_egress_pkt_to_egress = _op_clone_ingress_pkt_to_egress

    def _op_resubmit(self, gen: ExprGen, fields: m.Expr) -> list[str]:
        return [f"p.resubmit = {gen.fitted(fields, 16)}"]

    def _op_recirculate(self, gen: ExprGen, fields: m.Expr) -> list[str]:
        return [f"p.recirculate = {gen.fitted(fields, 16)}"]

    def _op_truncate(self, gen: ExprGen, length: m.Expr) -> list[str]:
        text = gen.value(length).text
        return [f"p.truncate_to = min({text}, p.truncate_to or {text})"]

    def _op_assert(self, gen: ExprGen, condition: m.Expr) -> list[str]:
        return [f"if not {gen.condition(condition)}: stats.failed_assertions += 1"]

    _op_assume = _op_assert

    # --- externs ---------------------------------------------------------------------------

    @staticmethod
    def _ref(expr: m.Expr, names: dict[str, _T]) -> _T:
        if not isinstance(expr, m.NamedRef) or expr.name not in names:
            raise ProgramError(f"program names an object that does not exist: {expr}")
        return names[expr.name]

    def _op_count(self, gen: ExprGen, counter: m.Expr, index: m.Expr) -> list[str]:
        name = self._ref(counter, self.names.counters)
        return [f"{name}({gen.value(index).text}, p.ingress_length)"]

    def _op_execute_meter(
        self, gen: ExprGen, meter: m.Expr, index: m.Expr, dst: m.Expr
    ) -> list[str]:
        name = self._ref(meter, self.names.meters)
        lines = [f"colour = {name}({gen.value(index).text}, p.ingress_length, p.now)"]
        store = self._store(gen, dst, Code("colour", 2))
        return [*lines, "if colour is not None:", *(f"    {line}" for line in store)]

    def _op_register_read(
        self, gen: ExprGen, dst: m.Expr, register: m.Expr, index: m.Expr
    ) -> list[str]:
        name, array = self._ref(register, self.names.registers)
        count = len(word_widths(array.width))

        def read(at: str) -> list[str]:
            text = f"{name}_0[{at}]"
            for k in range(1, count):
                text = f"({text} << 64 | {name}_{k}[{at}])"
            return self._store(gen, dst, Code(text, array.width))

        return _at_cell(array, gen.value(index), count, read)

    def _op_register_write(
        self, gen: ExprGen, register: m.Expr, index: m.Expr, value: m.Expr
    ) -> list[str]:
        name, array = self._ref(register, self.names.registers)
        count = len(word_widths(array.width))
        text = gen.fitted(value, array.width)

        def write(at: str) -> list[str]:
            if count == 1:
                return [f"{name}_0[{at}] = {text}"]
            lines = [f"cell = {text}", f"{name}_0[{at}] = cell >> {64 * (count - 1)}"]
            for k in range(1, count):
                shift = 64 * (count - 1 - k)
                part = f"cell >> {shift}" if shift else "cell"
                lines.append(f"{name}_{k}[{at}] = {part} & 0xffffffffffffffff")
            return lines

        return _at_cell(array, gen.value(index), count, write)

    def _op_modify_field_rng_uniform(
        self, gen: ExprGen, dst: m.Expr, low: m.Expr, high: m.Expr
    ) -> list[str]:
        store = self._store(gen, dst, Code("randint(low, high)", None))
        return [
            f"low = {gen.value(low).text}; high = {gen.value(high).text}",
            "if low <= high:",
            *(f"    {line}" for line in store),
        ]

    def _op_modify_field_with_hash_based_offset(
        self, gen: ExprGen, dst: m.Expr, base: m.Expr, calculation: m.Expr, size: m.Expr
    ) -> list[str]:
        call = self._ref(calculation, self.names.calculations)
        return self._store(gen, dst, _in_range(call, gen.value(base), gen.value(size)))


def _in_range(hashed: Code, base: Code, size: Code) -> Code:
    """base + hash % size, or base alone for size 0; what cannot change the result is left out."""
    if not size.text.isdigit():
        reduced = Code(f"{hashed.text} % ({size.text} or 1)", hashed.bits)
    elif hashed.bits is not None and int(size.text) >> hashed.bits:
        reduced = hashed
    else:
        most = max(int(size.text) - 1, 0)
        reduced = Code(f"{hashed.text} % {most + 1}", most.bit_length())
    if base.text == "0":
        return reduced
    bits = [code.bits for code in (reduced, base) if code.bits is not None]
    return Code(f"({reduced.text} + {base.text})", max(bits) + 1 if len(bits) == 2 else None)


def _at_cell(
    array: m.RegisterArray, index: Code, uses: int, access: Callable[[str], list[str]]
) -> list[str]:
    """The lines of `access` to the cell at an index; nothing happens out of bounds, as in BMv2."""
    if index.bits is not None and 1 << index.bits <= array.size:
        if uses == 1 or index.text.isidentifier():
            return access(index.text)
        return [f"where = {index.text}", *access("where")]
    test = f"where < {array.size}" if index.bits is not None else f"0 <= where < {array.size}"
    return [f"where = {index.text}", f"if {test}:", *(f"    {x}" for x in access("where"))]


def _target(call: m.Call) -> int:
    target = call.args[-1]
    if not isinstance(target, m.Const):
        raise ProgramError("jump to a computed place is not supported")
    return target.value
