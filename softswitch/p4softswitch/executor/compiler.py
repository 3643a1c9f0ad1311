"""Compiles a program to Python once, when it is loaded.

The source is kept (`Compiled.source`) so that it can be read when a packet does something odd.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from p4softswitch.errors import ProgramError
from p4softswitch.executor import support
from p4softswitch.executor.actiongen import ActionGen, Names
from p4softswitch.executor.calcgen import CalcGen
from p4softswitch.executor.controlgen import ControlGen
from p4softswitch.executor.exprgen import ExprGen
from p4softswitch.executor.interface import Options, Stats
from p4softswitch.executor.layout import Layout
from p4softswitch.executor.parsegen import ParseGen
from p4softswitch.executor.wiregen import WireGen
from p4softswitch.program import model as m
from p4softswitch.state.entry import Entry
from p4softswitch.state.store import SwitchState

PacketFn = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Compiled:
    """The functions of a compiled program; a packet is an instance of `packet`."""

    source: str
    layout: Layout
    packet: Callable[[], Any]
    reset: PacketFn
    reset_metadata: PacketFn
    copy: Callable[[Any], Any]
    parse: Callable[[Any, bytes], None]
    ingress: PacketFn
    egress: PacketFn
    deparse: Callable[[Any], bytes]
    samples: dict[int, Callable[[Any], tuple[int, ...]]]
    keep: dict[int, Callable[[Any, Any], None]]


def compile_program(
    program: m.Program, state: SwitchState, options: Options, stats: Stats
) -> Compiled:
    """Generate and execute the source of a program, bound to `state`."""
    layout = Layout(program)
    for name in ("ingress_port", "egress_spec", "egress_port", "packet_length", "instance_type"):
        if not layout.has_standard(name):
            raise ProgramError(f"program has no standard_metadata.{name}")
    space: dict[str, Any] = {
        name: getattr(support, name) for name in dir(support) if not name.startswith("_")
    }
    space["stats"] = stats
    space["randint"] = random.Random(options.seed).randint
    names = Names()
    for i, (name, counter) in enumerate(state.counters.items()):
        names.counters[name] = f"counter_{i}"
        space[f"counter_{i}"] = counter.count
    for i, (name, meter) in enumerate(state.meters.items()):
        names.meters[name] = f"meter_{i}"
        space[f"meter_{i}"] = meter.execute
    for i, (name, register) in enumerate(state.registers.items()):
        names.registers[name] = f"register_{i}", program.registers[name]
        space.update({f"register_{i}_{k}": word for k, word in enumerate(register.words)})
    tables: dict[str, str] = {}
    for i, (name, table) in enumerate(state.tables.items()):
        tables[name] = f"table_{i}"
        space[f"table_{i}_index"] = table.index
        space[f"table_{i}_lookup"] = table.index.lookup
        space[f"table_{i}_default"] = table.default
    calculations = CalcGen(layout)
    names.calculations = calculations.calls()
    actions = ActionGen(layout, names, options.drop_port)
    wire = WireGen(layout)
    parser = ParseGen(layout, actions, wire)
    controls = [ControlGen(layout, actions, p, tables) for p in (program.ingress, program.egress)]
    functions = {a.id: f"action_{a.id}" for a in program.actions.values()}

    lines = [layout.source(), ""]
    lines += calculations.source()
    for action in program.actions.values():
        lines += [*actions.function(action, functions[action.id]), "", ""]
    lines += [*parser.source(), "", ""]
    for control in controls:
        lines += [*control.source(), "", ""]
    lines += [*_checksums(program, layout, calculations), "", ""]
    lines += [*_deparser(program, layout, wire, actions), "", ""]
    lines += _samples(program, layout)
    lines += _keepers(program, layout)
    source = "\n".join(lines) + "\n"
    space.update({name: struct.Struct(text) for text, name in wire.structs.items()})
    try:
        exec(compile(source, "<p4 program>", "exec"), space)
    except (SyntaxError, RecursionError, MemoryError) as exc:
        raise ProgramError(f"program is too complex for this switch: {exc}") from exc
    for control in controls:
        for name, table_model in control.pipeline.tables.items():
            state.tables[name].set_binder(_binder(table_model, control, functions, space))
    return Compiled(
        source=source,
        layout=layout,
        packet=space["Packet"],
        reset=space["reset"],
        reset_metadata=space["reset_metadata"],
        copy=space["copy"],
        parse=space["parse_and_verify"],
        ingress=space["ingress"],
        egress=space["egress"],
        deparse=space["deparse"],
        samples={d: space[f"sample_{d}"] for d in program.learn_lists},
        keep={i: space[f"keep_{i}"] for i in program.field_lists},
    )


def _binder(
    table: m.Table, control: ControlGen, functions: dict[int, str], space: dict[str, Any]
) -> Callable[[Entry], Any]:
    def bind(entry: Entry) -> Any:
        if not table.next_by_hit:
            node = table.next_by_action.get(entry.action_id)
        else:
            # Only the default entry is run on a miss, and only it has no matches.
            node = table.hit_next if entry.matches else table.miss_next
        # Control falls through in generated code where all ways lead to one node.
        following = space.get(control.function(node)) if node is not None else None
        return space[functions[entry.action_id]], following

    return bind


def _checksums(program: m.Program, layout: Layout, calculations: CalcGen) -> list[str]:
    gen = ExprGen(layout)
    verify = ["def parse_and_verify(p, d):", "    parse(p, d)", "    p.checksum_error = 0"]
    update = ["def update_checksums(p):", "    pass"]
    for c in program.checksums:
        call = f"{calculations.names[c.calculation]}(p)"
        slot = f"p.{layout.slot(c.target.header, c.target.field)}"
        width = layout.field(c.target).width
        condition = "True" if c.condition is None else gen.condition(c.condition)
        if c.verify:
            valid = layout.valid(c.target.header)
            test = condition if valid is None else f"p.{valid} and {condition}"
            verify.append(f"    if {test} and {slot} != {call}: p.checksum_error = 1")
        if c.update:
            update.append(f"    if {condition}: {slot} = {call} & {(1 << width) - 1:#x}")
    return [*verify, "", "", *update]


def _deparser(program: m.Program, layout: Layout, wire: WireGen, actions: ActionGen) -> list[str]:
    gen = ExprGen(layout)
    lines = ["def deparse(p):", "    update_checksums(p)"]
    for call in program.deparser_calls:
        lines += [f"    {line}" for line in actions.call(call, gen)]
    lines.append("    out = b''")
    for name in program.deparse_order:
        parts = wire.write(layout.header(name))
        if parts:
            lines.append(f"    if p.{layout.valid(name)}: out += {' + '.join(parts)}")
    return [*lines, "    return out + p.payload"]


def _samples(program: m.Program, layout: Layout) -> list[str]:
    lines: list[str] = []
    for digest in program.learn_lists.values():
        values = []
        for element, width in zip(digest.elements, digest.widths, strict=True):
            if isinstance(element, m.Const):
                values.append(str(element.value))
            else:
                slot = layout.slot(element.header, element.field)
                values.append(f"p.{slot} & {(1 << width) - 1:#x}")
        lines += [f"def sample_{digest.id}(p):", f"    return ({', '.join(values)},)", "", ""]
    return lines


def _keepers(program: m.Program, layout: Layout) -> list[str]:
    """Functions that carry the fields of a field list from one packet to another."""
    lines: list[str] = []
    for number, fields in program.field_lists.items():
        lines += [f"def keep_{number}(q, p):", "    pass"]
        for ref in fields:
            slot = layout.slot(ref.header, ref.field)
            lines.append(f"    q.{slot} = p.{slot}")
        lines += ["", ""]
    return lines
