"""Turns primitives (of actions, parser states, the deparser) into C statements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from p4softswitch.errors import ProgramError
from p4softswitch.executor.calcgen import CalcGen
from p4softswitch.executor.exprgen import (
    S128,
    U64,
    WIDE,
    Code,
    ExprGen,
    carrier,
    convert,
    kind_of,
    literal,
)
from p4softswitch.executor.layout import Layout, comment, identifier
from p4softswitch.executor.reports import Reports, Told
from p4softswitch.program import model as m
from p4softswitch.state.arrays import word_size, word_widths

_IGNORED = {"no_op", "log_msg"}
_JUMPS = {"_jump", "_jump_if_zero"}
_FAR = 1 << 12  # cells of an array that may not be in the caches next to the processor
_MOST_AHEAD = 2  # arrays beside one that are asked for when it is read
_MAX_LOOPS = 1 << 16  # times that an action jumps back; a loop that is longer is left
_T = TypeVar("_T")


@dataclass(slots=True)
class Objects:
    """Numbers under which generated code reaches the state of the program, in order."""

    known: dict[tuple[str, str | int], str] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    def add(self, kind: str, name: str | int) -> None:
        """Note an object of the program."""
        self.known[kind, name] = identifier(f"{kind.upper()}_{name}", self._used)

    def reach(self, kind: str, name: str | int) -> str:
        """C text of the pointer of an object; `ProgramError` if there is none."""
        if (kind, name) not in self.known:
            raise ProgramError(f"program names a {kind} that does not exist: {name}")
        return f"s->object[{self.known[kind, name]}]"


class ActionGen:
    """Generates statements; objects outside the packet are reached through `objects`."""

    def __init__(
        self, layout: Layout, objects: Objects, calculations: CalcGen, reports: Reports
    ) -> None:
        self.layout = layout
        self.objects = objects
        self.calculations = calculations
        self.reports = reports
        self._where = ""  # the place of the primitive that is being generated
        used: set[str] = set()
        self.names = {
            a.id: identifier(f"action_{a.name}", used) for a in layout.program.actions.values()
        }

    def arg_words(self, action: m.Action) -> int:
        """How many words the arguments of an action take."""
        return sum((width + 63) // 64 for _, width in action.params)

    def function(self, action: m.Action) -> list[str]:
        """Source lines of the function of an action."""
        used = {"args", "s", "p"}
        params = tuple((identifier(f"arg_{n}", used), w) for n, w in action.params)
        gen = ExprGen(self.layout, params)
        lines, at = [], 0
        for name, width in params:
            kind, words = carrier(width), [f"args[{at}]", f"args[{at + 1}]"]
            if kind == U64:
                text = words[0]
            elif kind == WIDE:
                self.layout.need_bits(width + 1)
                text = f"wide_words(args + {at}, {(width + 63) // 64})"
            else:
                text = f"P4_U128({words[1]}, {words[0]})"
            lines.append(f"const {kind} {name} P4_UNUSED = {text};")
            at += (width + 63) // 64
        lines += self._body(action.calls, gen)
        return [
            f"/* action {comment(action.name)} */",
            f"static P4_UNUSED void {self.names[action.id]}(struct p4_switch *s P4_UNUSED,"
            " struct p4_packet *p P4_UNUSED, const u64 *args P4_UNUSED) {",
            *(f"    {line}" for line in lines),
            "}",
            "",
        ]

    def _body(self, calls: tuple[m.Call, ...], gen: ExprGen) -> list[str]:
        targets = {_target(c) for c in calls if c.op in _JUMPS}
        lines: list[str] = []
        if any(c.op in _JUMPS and _target(c) <= i for i, c in enumerate(calls)):
            lines.append("u32 loops = 0;")
        for i, call in enumerate(calls):
            if i in targets:
                lines.append(f"L{i}:;")
            if call.op in _JUMPS:
                target = _target(call)
                if not 0 <= target <= len(calls):
                    raise ProgramError(f"jump out of an action{_at(call)}")
                lines += _source(call)
                jump = f"goto L{target};"
                if target <= i:
                    jump = f"if (loops++ < {_MAX_LOOPS}) {jump}"
                if call.op == "_jump_if_zero":
                    jump = f"if (!{_guarded(call, partial(gen.condition, call.args[0]))}) {jump}"
                lines.append(jump)
            else:
                lines += self.call(call, gen)
        if len(calls) in targets:
            lines.append(f"L{len(calls)}:;")
        return lines

    def call(self, call: m.Call, gen: ExprGen) -> list[str]:
        """Statements of one primitive; `ProgramError` if it is not supported."""
        if call.op in _IGNORED:
            return []
        handler: Callable[..., list[str]] | None = getattr(self, f"_op_{call.op}", None)
        if handler is None:
            raise ProgramError(f"primitive '{call.op}' is not supported{_at(call)}")
        self._where = call.where
        try:
            lines = _guarded(call, lambda: handler(gen, *call.args))
        except TypeError as exc:
            raise ProgramError(f"primitive '{call.op}' has wrong arguments{_at(call)}") from exc
        return [*_source(call), *lines]

    # --- assignments -----------------------------------------------------------------------

    def _target_of(self, gen: ExprGen, dst: m.Expr) -> tuple[m.Field, Callable[[str], list[str]]]:
        """The field behind `dst`, and what stores the text of a value in it."""
        if isinstance(dst, m.FieldRef):
            place = self.layout.place(dst.header, dst.field)
            return self.layout.field(dst), lambda text: [f"{place} = {text};"]
        if isinstance(dst, m.StackFieldRef):
            stack, index = self.layout.stack(dst.stack), gen.last_index(dst.stack)
            f = self.layout.field(m.FieldRef(stack.headers[0], dst.field))
        elif isinstance(dst, m.Op) and dst.name == "access_field":
            name, f, index = gen.stack_access(dst)
            stack = self.layout.stack(name)
        else:
            raise ProgramError(f"cannot assign to {type(dst).__name__}")
        member = self.layout.member(stack.headers[0], f.name)
        place = self.layout.stack_place[stack.name]
        return f, lambda text: [
            f"if ({index} < {len(stack.headers)})",
            f"    {place}[{index}].{member} = {text};",
        ]

    def _store(self, gen: ExprGen, dst: m.Expr, code: Code) -> list[str]:
        f, store = self._target_of(gen, dst)
        text = convert(code, carrier(f.width))
        lines = store(gen.cut(text, (code.low, code.high), f.width, f.signed))
        return lines + self._told(gen, dst)

    def _told(self, gen: ExprGen, dst: m.Expr) -> list[str]:
        """Statements that report the value of a field; elements of stacks are not reported."""
        if not self.reports.wanted or not isinstance(dst, m.FieldRef):
            return []
        width = self.layout.field(dst).width
        words = gen.words(gen.fitted(dst, width), width)
        name = f"{dst.header}.{dst.field}"
        return self.reports.tell(Told.ASSIGN, name, self._where, (width,), words)

    def _told_cell(self, told: Told, array: m.RegisterArray, cells: list[str]) -> list[str]:
        """Statements that report the cell `at` of a register, whose words are given."""
        widths, words = (64, array.width), ["at", *cells[::-1]]
        return self.reports.tell(told, array.name, self._where, widths, words)

    def _op_assign(self, gen: ExprGen, dst: m.Expr, src: m.Expr) -> list[str]:
        f, store = self._target_of(gen, dst)
        if f.varbit:
            return self._op_assign_VL(gen, dst, src)
        return store(gen.fitted(src, f.width, f.signed)) + self._told(gen, dst)

    _op_modify_field = _op_assign
    _op_set = _op_assign

    def _op_assign_VL(self, gen: ExprGen, dst: m.Expr, src: m.Expr) -> list[str]:
        if not isinstance(dst, m.FieldRef) or not isinstance(src, m.FieldRef):
            raise ProgramError("assign_VL works on fields only")
        a, b = self.layout.place(dst.header, dst.field), self.layout.place(src.header, src.field)
        return [f"{a} = {b};"]

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
        parts = [f"{self.layout.place(header.name, f.name)}.length"
                 for f in header.type.fields if f.varbit]  # fmt: skip
        return " + ".join([str(fixed), *parts])

    def _op_add_header(self, gen: ExprGen, hdr: m.Expr) -> list[str]:
        header = self._header(hdr)
        valid = self._valid(header)
        place = self.layout.instance[header.name]
        return [
            f"if (!{valid}) {{",
            f"    memset(&{place}, 0, sizeof {place});",
            f"    {valid} = 1;",
            f"    p->c.length += {header.type.fixed_bits // 8};",
            "}",
        ]

    def _op_remove_header(self, gen: ExprGen, hdr: m.Expr) -> list[str]:
        header = self._header(hdr)
        valid = self._valid(header)
        length = f"    p->c.length -= {self._length(header)};"
        return [f"if ({valid}) {{", f"    {valid} = 0;", length, "}"]

    def _op_assign_header(self, gen: ExprGen, dst: m.Expr, src: m.Expr) -> list[str]:
        to, frm = self._header(dst), self._header(src)
        if to.type.name != frm.type.name:
            raise ProgramError(f"headers {to.name} and {frm.name} are of different types")
        valid_to, valid_from = self.layout.valid(to.name), self.layout.valid(frm.name)
        if valid_to is None or valid_from is None:
            names = [f.name for f in to.type.fields]
            places = [
                (self.layout.place(to.name, n), self.layout.place(frm.name, n)) for n in names
            ]
            return [f"{a} = {b};" for a, b in places]
        one, two = self.layout.instance[to.name], self.layout.instance[frm.name]
        return [f"if ({valid_from})", f"    {one} = {two};", "else", f"    {valid_to} = 0;"]

    _op_copy_header = _op_assign_header

    def _op_assign_header_stack(self, gen: ExprGen, dst: m.Expr, src: m.Expr) -> list[str]:
        if not isinstance(dst, m.StackRef) or not isinstance(src, m.StackRef):
            raise ProgramError("assign_header_stack works on header stacks only")
        to, frm = self.layout.stack(dst.name), self.layout.stack(src.name)
        if len(to.headers) != len(frm.headers):
            raise ProgramError(f"stacks {to.name} and {frm.name} are of different sizes")
        lines = [f"{self.layout.next_place[dst.name]} = {self.layout.next_place[src.name]};"]
        for a, b in zip(to.headers, frm.headers, strict=True):
            lines += self._op_assign_header(gen, m.HeaderRef(a), m.HeaderRef(b))
        return lines

    def _stack(self, gen: ExprGen, stack: m.Expr, count: m.Expr) -> tuple[str, str, int, str]:
        """Place, counter and size of a stack, and by how many elements it moves."""
        if not isinstance(stack, m.StackRef):
            raise ProgramError("push and pop work on header stacks only")
        size = len(self.layout.stack(stack.name).headers)
        moved = f"p4_min64({gen.low(count, U64)}, {size})"
        return self.layout.stack_place[stack.name], self.layout.next_place[stack.name], size, moved

    def _op_push(self, gen: ExprGen, stack: m.Expr, count: m.Expr) -> list[str]:
        place, counter, size, moved = self._stack(gen, stack, count)
        return [
            "{",
            f"    u32 n = (u32){moved};",
            f"    for (u32 i = {size}; i-- > 0;)",
            "        if (i >= n)",
            f"            {place}[i] = {place}[i - n];",
            "        else",
            f"            {place}[i].valid_ = 0;",
            f"    {counter} = (u32)p4_min64({size}, {counter} + n);",
            "}",
        ]

    def _op_pop(self, gen: ExprGen, stack: m.Expr, count: m.Expr) -> list[str]:
        place, counter, size, moved = self._stack(gen, stack, count)
        return [
            "{",
            f"    u32 n = (u32){moved};",
            f"    for (u32 i = 0; i < {size}; i++)",
            f"        if (i + n < {size})",
            f"            {place}[i] = {place}[i + n];",
            "        else",
            f"            {place}[i].valid_ = 0;",
            f"    {counter} = {counter} > n ? {counter} - n : 0;",
            "}",
        ]

    # --- fate of the packet ----------------------------------------------------------------

    def _op_mark_to_drop(self, gen: ExprGen, *_: m.Expr) -> list[str]:
        return ["p->m.std.egress_spec = s->drop_port;", "p->m.std.mcast_grp = 0;"]

    _op_drop = _op_mark_to_drop

    def _op_exit(self, gen: ExprGen) -> list[str]:
        return ["p->c.exit_ = 1;"]

    def _op_generate_digest(self, gen: ExprGen, receiver: m.Expr, digest: m.Expr) -> list[str]:
        return [f"p->c.digest = (u32){gen.fitted(digest, 16)};"]

    def _op_clone_ingress_pkt_to_egress(
        self, gen: ExprGen, session: m.Expr, fields: m.Expr | None = None
    ) -> list[str]:
        number = "0" if fields is None else gen.fitted(fields, 16)
        return [
            f"p->c.clone = (u32){gen.fitted(session, 15)} | 0x8000;",
            f"p->c.clone_list = (u32){number};",
        ]

    _op_clone_egress_pkt_to_egress = _op_clone_ingress_pkt_to_egress

    def _op_resubmit(self, gen: ExprGen, fields: m.Expr) -> list[str]:
        return [f"p->c.resubmit = (u32){gen.fitted(fields, 16)};"]

    def _op_recirculate(self, gen: ExprGen, fields: m.Expr) -> list[str]:
        return [f"p->c.recirculate = (u32){gen.fitted(fields, 16)};"]

    def _op_truncate(self, gen: ExprGen, length: m.Expr) -> list[str]:
        return [
            "{",
            f"    u32 n = (u32){gen.fitted(length, 32)};",
            "    if (!p->c.truncate_to || n < p->c.truncate_to)",
            "        p->c.truncate_to = n;",
            "}",
        ]

    def _op_assert(self, gen: ExprGen, condition: m.Expr) -> list[str]:
        return [f"if (!{gen.condition(condition)})", "    s->failed_assertions++;"]

    _op_assume = _op_assert

    # --- externs ---------------------------------------------------------------------------

    def _reach(self, kind: str, expr: m.Expr) -> str:
        if not isinstance(expr, m.NamedRef):
            raise ProgramError(f"program names a {kind} that does not exist: {expr}")
        return self.objects.reach(kind, expr.name)

    def _op_count(self, gen: ExprGen, counter: m.Expr, index: m.Expr) -> list[str]:
        reached = self._reach("counter", counter)
        assert isinstance(counter, m.NamedRef)
        size = self.layout.program.counters[counter.name].size
        cell = f"((struct p4_counter *){reached})[at]"
        return _at_cell(
            gen, index, size, [f"{cell}.packets++;", f"{cell}.bytes += p->c.ingress_length;"]
        )

    def _op_execute_meter(
        self, gen: ExprGen, meter: m.Expr, index: m.Expr, dst: m.Expr
    ) -> list[str]:
        reached = self._reach("meter", meter)
        assert isinstance(meter, m.NamedRef)
        array = self.layout.program.meters[meter.name]
        amount = "p->c.ingress_length" if array.bytes_unit else "1"
        cell = f"(struct p4_meter *){reached} + at"
        lines = [f"u64 colour = p4_meter_execute({cell}, {amount}, p->c.now);"]
        return _at_cell(
            gen, index, array.size, lines + self._store(gen, dst, Code("colour", U64, 0, 2))
        )

    def _cells(self, register: m.Expr) -> tuple[m.RegisterArray, list[str]]:
        """A register, and the words of its cell `at`, the highest word first."""
        self._reach("register", register)
        assert isinstance(register, m.NamedRef)
        array = self.layout.program.registers[register.name]
        cell, words = self._cell(array), len(word_widths(array.width))
        if words == 1:
            return array, [cell]
        return array, [f"{cell}.w{i}" for i in reversed(range(words))]

    def _cell(self, array: m.RegisterArray) -> str:
        """C text of the cell `at` of a register."""
        words = word_widths(array.width)
        kind = f"u{word_size(words[0])}" if len(words) == 1 else f"struct p4_cell_{array.width}"
        return f"(({kind} *){self.objects.reach('register', array.name)})[at]"

    def _fetch_ahead(self, read: m.RegisterArray) -> list[str]:
        """Statements that ask the processor for cells which are probably used after the cell `at`.

        P4 has no registers of structures: what belongs together is at the same index of several
        arrays, which have the same size. Programs often look at one in an action, and change the
        others in a later one, which then need not wait for memory.
        """
        if read.size < _FAR:
            return []
        beside = [
            f"__builtin_prefetch(&{self._cell(array)});"
            for array in self.layout.program.registers.values()
            if array.size == read.size and array.name != read.name
        ]
        return beside[:_MOST_AHEAD]

    def _op_register_read(
        self, gen: ExprGen, dst: m.Expr, register: m.Expr, index: m.Expr
    ) -> list[str]:
        array, cells = self._cells(register)
        kind = carrier(array.width)
        if kind == U64:
            text = f"(u64){cells[0]}"
        elif kind == WIDE:
            self.layout.need_bits(array.width + 1)
            text = f"wide_words((const u64[]){{{', '.join(cells[::-1])}}}, {len(cells)})"
        else:
            text = f"P4_U128({cells[0]}, {cells[1]})"
        value = Code(text, kind, 0, (1 << array.width) - 1)
        told = self._told_cell(Told.READ, array, cells)
        lines = self._fetch_ahead(array) + told + self._store(gen, dst, value)
        return _at_cell(gen, index, array.size, lines)

    def _op_register_write(
        self, gen: ExprGen, register: m.Expr, index: m.Expr, value: m.Expr
    ) -> list[str]:
        array, cells = self._cells(register)
        kind = carrier(array.width)
        if kind == WIDE:
            self.layout.need_bits(array.width + 1)
        lines = [f"{kind} cell = {gen.fitted(value, array.width)};"]
        words = gen.words("cell", array.width)[::-1]
        for cell, word, bits in zip(cells, words, word_widths(array.width), strict=True):
            lines.append(f"{cell} = (u{word_size(bits)}){word};")
        lines += self._told_cell(Told.WRITE, array, cells)
        return _at_cell(gen, index, array.size, lines)

    def _op_modify_field_rng_uniform(
        self, gen: ExprGen, dst: m.Expr, low: m.Expr, high: m.Expr
    ) -> list[str]:
        a, b = gen.bounds(low), gen.bounds(high)
        if kind_of(a[0], a[1]) != U64 or kind_of(b[0], b[1]) != U64:
            raise ProgramError("random numbers of more than 64 bits are not supported")
        drawn = Code("p4_random_between(s, low, high)", U64, 0, (1 << 64) - 1)
        return [
            "{",
            f"    u64 low = {gen.low(low, U64)}, high = {gen.low(high, U64)};",
            "    if (low <= high) {",
            *(f"        {line}" for line in self._store(gen, dst, drawn)),
            "    }",
            "}",
        ]

    def _op_modify_field_with_hash_based_offset(
        self, gen: ExprGen, dst: m.Expr, base: m.Expr, calculation: m.Expr, size: m.Expr
    ) -> list[str]:
        """base + hash % size, or base alone for size 0; what changes nothing is left out."""
        if (
            not isinstance(calculation, m.NamedRef)
            or calculation.name not in self.layout.program.calculations
        ):
            raise ProgramError(f"program names a calculation that does not exist: {calculation}")
        hashed = self.calculations.call(calculation.name)
        low, high = gen.bounds(size)
        if low <= hashed.high:
            if low < 0:
                raise ProgramError("the range of a hash may be negative")
            top = literal((1 << 64) - 1, U64)
            limit = gen.value(size)
            # A size that 64 bits do not hold is larger than every hash.
            text = limit.text
            if limit.kind != U64:
                large = gen.condition(m.Op(">", size, m.Const((1 << 64) - 1)))
                text = f"({large} ? {top} : {convert(limit, U64)})"
            most = min(hashed.high, max(high - 1, 0))
            hashed = Code(f"p4_mod64({hashed.text}, {text})", U64, 0, most)
        offset = gen.value(base)
        bounds = (hashed.low + offset.low, hashed.high + offset.high)
        kind = kind_of(*bounds)
        if kind == WIDE:
            raise ProgramError("the base of a hash is too wide")
        if bounds == (hashed.low, hashed.high):
            return self._store(gen, dst, hashed)
        text = f"({convert(hashed, kind)} + {convert(offset, kind)})"
        return self._store(gen, dst, Code(text, kind, *bounds))


def _at_cell(gen: ExprGen, index: m.Expr, size: int, lines: list[str]) -> list[str]:
    """Statements that use the cell `at` of an array; nothing happens out of bounds, as in BMv2."""
    low, high = gen.bounds(index)
    kind = U64 if kind_of(low, high) == U64 else S128
    if kind_of(low, high) not in (U64, S128):
        raise ProgramError("the index of an array is too wide")
    inner = [f"{kind} at = {convert(gen.value(index), kind)};"]
    if low >= 0 and high < size:
        return ["{", *(f"    {line}" for line in [*inner, *lines]), "}"]
    test = f"at < {size}" if kind == U64 else f"at >= 0 && at < {size}"
    inner += [f"if ({test}) {{", *(f"    {line}" for line in lines), "}"]
    return ["{", *(f"    {line}" for line in inner), "}"]


def _source(call: m.Call) -> list[str]:
    return [f"/* {comment(call.where)} */"] if call.where else []


def _at(call: m.Call) -> str:
    return f" ({call.where})" if call.where else ""


def _guarded(call: m.Call, make: Callable[[], _T]) -> _T:
    """What `make` makes; a `ProgramError` of it gets the place of the call."""
    try:
        return make()
    except ProgramError as exc:
        raise ProgramError(f"{exc}{_at(call)}") from exc


def _target(call: m.Call) -> int:
    target = call.args[-1]
    if not isinstance(target, m.Const):
        raise ProgramError("jump to a computed place is not supported")
    return target.value
