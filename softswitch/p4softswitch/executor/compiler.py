"""Translates a program to C, once, when it is loaded.

The source names what the program names, with its lines beside, so that it can be read when a packet
does something odd: `p4alg switch --dump-source`.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4softswitch.errors import ProgramError
from p4softswitch.executor.actiongen import ActionGen, Objects
from p4softswitch.executor.calcgen import CalcGen
from p4softswitch.executor.controlgen import ControlGen
from p4softswitch.executor.exprgen import ExprGen, carrier, kind_of
from p4softswitch.executor.layout import Layout
from p4softswitch.executor.parsegen import ParseGen
from p4softswitch.executor.reports import Point, Reports
from p4softswitch.executor.wiregen import WireGen
from p4softswitch.program import model as m
from p4softswitch.state.arrays import word_size, word_widths

_NEEDED = ("ingress_port", "egress_spec", "egress_port", "packet_length", "instance_type")


@dataclass(frozen=True, slots=True)
class Translation:
    """The C source of a program.

    `objects` are kind and name of what it reaches through the switch, in order: tables, counters,
    meters, registers and digests. `points` are the places that
    report, by their number.
    """

    source: str
    objects: tuple[tuple[str, str | int], ...]
    points: tuple[Point, ...] = ()


def translate(program: m.Program, reports: bool = False) -> Translation:
    """The C source of a program; `ProgramError` if it has what is not supported.

    With `reports` the code tells the way of each packet, and is slower by that.
    """
    layout = Layout(program)
    for name in _NEEDED:
        if not layout.has_standard(name):
            raise ProgramError(f"program has no standard_metadata.{name}")
    objects = _objects(program)
    wire = WireGen(layout)
    calculations = CalcGen(layout, wire)
    told = Reports(reports)
    actions = ActionGen(layout, objects, calculations, told)
    parser = ParseGen(layout, actions, wire)
    body = [*layout.source(), *calculations.source()]
    for action in program.actions.values():
        body += actions.function(action)
    body += parser.source()
    for pipeline in (program.ingress, program.egress):
        body += ControlGen(layout, actions, pipeline).source()
    body += _checksums(program, layout, calculations)
    # The deparser has reserved its output by then, so nothing may be put out before it is done.
    silent = ActionGen(layout, objects, calculations, Reports(False))
    body += _deparser(program, layout, wire, silent)
    body += _samples(program, layout, objects)
    body += _keepers(program, layout)
    numbers = ", ".join([*objects.known.values(), "P4_OBJECTS"])
    head = [
        "/* Generated from a compiled P4 program. Names and lines are those of the program. */",
        f"#define P4_LIMBS {layout.limbs}",
        '#include "wide.h"',
        "",
        "P4_INLINE int p4_same_bytes(struct p4_bytes a, struct p4_bytes b) {",
        "    return a.length == b.length && (!a.length || !memcmp(a.data, b.data, a.length));",
        "}",
        "",
        *_cells(program),
        "/* Where the state of the program is in `s->object`. */",
        f"enum {{ {numbers} }};",
        "",
    ]
    tail = [
        *told.head(),
        '#include "v1model.h"',
        "",
        "__attribute__((constructor)) static void p4_prepare(void) { p4_crc_tables(); }",
        "",
        "const struct p4_program p4_program = {P4_ABI, P4_OBJECTS, p4_run};",
    ]
    order = tuple(objects.known)
    source = "\n".join([*head, *body, *tail]) + "\n"
    return Translation(source, order, tuple(told.points))


def _objects(program: m.Program) -> Objects:
    objects = Objects()
    for table in program.tables():
        objects.add("table", table)
    for counter in program.counters.values():
        if counter.table is None:
            objects.add("counter", counter.name)
    for meter in program.meters.values():
        if meter.table is None:
            objects.add("meter", meter.name)
    for register in program.registers.values():
        objects.add("register", register.name)
    for digest in program.learn_lists:
        objects.add("digest", digest)
    return objects


def _cells(program: m.Program) -> list[str]:
    """A structure for the cells of each width that takes several words, the lowest word first."""
    lines: list[str] = []
    for width in sorted({r.width for r in program.registers.values()}):
        widths = word_widths(width)[::-1]
        if len(widths) > 1:
            words = " ".join(f"u{word_size(bits)} w{i};" for i, bits in enumerate(widths))
            lines.append(f"struct p4_cell_{width} {{ {words} }} __attribute__((packed));")
    return [*lines, ""] if lines else []


def _checksums(program: m.Program, layout: Layout, calculations: CalcGen) -> list[str]:
    gen = ExprGen(layout)
    arguments = "(struct p4_switch *s P4_UNUSED, struct p4_packet *p)"
    verify = [f"static void p4_verify_checksums{arguments} {{", "    p->c.checksum_error = 0;"]
    update = [f"static void p4_update_checksums{arguments.replace('*p)', '*p P4_UNUSED)')} {{"]
    for c in program.checksums:
        call = calculations.call(c.calculation)
        field, ref = layout.field(c.target), c.target
        place = layout.place(ref.header, ref.field)
        condition = "1" if c.condition is None else gen.condition(c.condition)
        if c.verify:
            valid = layout.valid(ref.header)
            test = condition if valid is None else f"{valid} && {condition}"
            kind = kind_of(*gen.bounds(ref))
            verify += [f"    if ({test} && ({kind}){place} != {call.text})"]
            verify += ["        p->c.checksum_error = 1;"]
        if c.update:
            text = f"({carrier(field.width)}){call.text}"
            text = gen.cut(text, (call.low, call.high), field.width)
            update += [f"    if ({condition})", f"        {place} = {text};"]
    return [*verify, "}", "", *update, "}", ""]


def _deparser(program: m.Program, layout: Layout, wire: WireGen, actions: ActionGen) -> list[str]:
    gen = ExprGen(layout)
    fixed, varbits, writes = 0, [], []
    for name in program.deparse_order:
        header = layout.header(name)
        fixed += header.type.fixed_bits // 8
        varbits += [layout.place(name, f.name) for f in header.type.fields if f.varbit]
        writes.append(f"    if ({layout.valid(name)}) {{ /* {name} */")
        writes += [*(f"        {line}" for line in wire.write(header)), "    }"]
    bound = " + ".join([f"{fixed}ull", *(f"{v}.length" for v in varbits), "p->c.payload.length"])
    calls = [line for c in program.deparser_calls for line in actions.call(c, gen)]
    return [
        "/* The most bytes that p4_deparse writes. */",
        f"static u64 p4_deparsed_bound(const struct p4_packet *p) {{ return {bound}; }}",
        "",
        "static u32 p4_deparse(struct p4_switch *s P4_UNUSED, struct p4_packet *p, u8 *start) {",
        "    u8 *out = start;",
        "    p4_update_checksums(s, p);",
        *(f"    {line}" for line in calls),
        *writes,
        "    if (p->c.payload.length)",
        "        memcpy(out, p->c.payload.data, p->c.payload.length);",
        "    return (u32)(out - start) + p->c.payload.length;",
        "}",
        "",
    ]


def _samples(program: m.Program, layout: Layout, objects: Objects) -> list[str]:
    """A function that makes a sample of the digest of a packet: words, least significant first."""
    gen = ExprGen(layout)
    lines = [
        "static void p4_sample(struct p4_switch *s P4_UNUSED, struct p4_packet *p) {",
        "    switch (p->c.digest) {",
    ]
    for digest in program.learn_lists.values():
        words: list[str] = []
        for element, width in zip(digest.elements, digest.widths, strict=True):
            words += gen.words(gen.fitted(element, width), width)
        enabled = objects.reach("digest", digest.id)
        lines += [
            f"    case {digest.id}: {{",
            f"        if (!*(const u64 *){enabled}) break;",
            f"        const u64 sample[] = {{{', '.join(words) or '0'}}};",
            f"        p4_emit_words(p->c.worker, P4_DIGEST, {digest.id}, sample, {len(words)},",
            "                      p->c.now);",
            "        break;",
            "    }",
        ]
    return [*lines, "    default: break;", "    }", "}", ""]


def _keepers(program: m.Program, layout: Layout) -> list[str]:
    """A function that carries the fields of a field list from packet `p` to packet `q`."""
    lines = [
        "static void p4_keep(struct p4_packet *q P4_UNUSED, const struct p4_packet *p P4_UNUSED,"
        " u32 fields) {",
        "    switch (fields) {",
    ]
    for number, fields in program.field_lists.items():
        lines.append(f"    case {number}:")
        for ref in fields:
            place = layout.place(ref.header, ref.field)
            lines.append(f"        q{place[1:]} = {place};")
        lines.append("        break;")
    return [*lines, "    default: break;", "    }", "}", ""]
