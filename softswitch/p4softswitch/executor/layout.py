"""Where generated code keeps the fields of a packet: one object with a slot per field.

Slot access is the cheapest storage Python has, and one flat object makes resetting and copying
a packet a single generated function.
"""

from __future__ import annotations

import re

from p4softswitch.errors import ProgramError
from p4softswitch.program import model as m

# Slots that are not P4 fields: see `v1model` for their use.
INTERNAL = {
    "payload": "b''",
    "frame": "b''",
    "pos": "0",
    "parser_error": "0",
    "checksum_error": "0",
    "exit_": "0",
    "length": "0",
    "ingress_length": "0",
    "truncate_to": "0",
    "clone": "0",
    "clone_list": "0",
    "digest": "0",
    "resubmit": "0",
    "recirculate": "0",
    "now": "0",
}

# Standard metadata that `v1model` sets and reads: a field that has one of these names in BMv2 has
# it as its slot, and a program without that field has the slot all the same.
STANDARD = (
    "ingress_port",
    "egress_spec",
    "egress_port",
    "packet_length",
    "instance_type",
    "mcast_grp",
    "egress_rid",
    "standard_parser_error",
    "standard_checksum_error",
    "ingress_global_timestamp",
    "egress_global_timestamp",
    "enq_timestamp",
)


class Layout:
    """Slot names of every field, validity bit and stack counter of a program."""

    def __init__(self, program: m.Program) -> None:
        self.program = program
        self._slots: dict[tuple[str, str], str] = {}
        self._used: set[str] = {*INTERNAL, *STANDARD}
        self.next_slot: dict[str, str] = {}
        for name in STANDARD:
            ref = self._standard(name.removeprefix("standard_"))
            if ref is not None:
                self._slots[ref.header, ref.field] = name
        for header in program.headers.values():
            for f in header.type.fields:
                if (header.name, f.name) not in self._slots:
                    self._slots[header.name, f.name] = self._unique(f"{header.name}__{f.name}")
            if not header.metadata:
                self._slots[header.name, "$valid$"] = self._unique(f"{header.name}__valid")
        for stack in program.stacks:
            self.next_slot[stack] = self._unique(f"{stack}__next")

    def _unique(self, text: str) -> str:
        base = name = re.sub(r"\W", "_", text)
        i = 0
        while name in self._used:
            i += 1
            name = f"{base}_{i}"
        self._used.add(name)
        return name

    def header(self, name: str) -> m.Header:
        """A header instance; `ProgramError` if there is none."""
        header = self.program.headers.get(name)
        if header is None:
            raise ProgramError(f"program names header '{name}', which does not exist")
        return header

    def field(self, ref: m.FieldRef) -> m.Field:
        """The field behind a reference."""
        if ref.field == "$valid$":
            return m.Field("$valid$", 1)
        try:
            return self.header(ref.header).field(ref.field)
        except KeyError as exc:
            raise ProgramError(f"program names field {ref.header}.{ref.field}: none") from exc

    def slot(self, header: str, field: str) -> str:
        """Slot of a field."""
        try:
            return self._slots[header, field]
        except KeyError as exc:
            raise ProgramError(f"program names field {header}.{field}, which is missing") from exc

    def valid(self, header: str) -> str | None:
        """Slot of a validity bit, None for metadata, which is always valid."""
        return self._slots.get((header, "$valid$"))

    def has_standard(self, name: str) -> bool:
        """Whether the program has the standard metadata field that BMv2 calls `name`."""
        return self._standard(name) is not None

    def _standard(self, name: str) -> m.FieldRef | None:
        for prefix in ("standard_metadata", "intrinsic_metadata", "queueing_metadata"):
            ref = self.program.aliases.get(f"{prefix}.{name}")
            if ref is not None:
                return ref
        header = self.program.headers["standard_metadata"]
        known = any(f.name == name for f in header.type.fields)
        return m.FieldRef(header.name, name) if known else None

    def source(self) -> str:
        """Source of the packet class and of `reset`, `reset_metadata` and `copy`."""
        metadata: list[str] = []
        wire: list[str] = []
        varbit: list[str] = []
        for header in self.program.headers.values():
            for f in header.type.fields:
                slot = self._slots[header.name, f.name]
                (varbit if f.varbit else metadata if header.metadata else wire).append(slot)
            valid = self.valid(header.name)
            if valid is not None:
                wire.append(valid)
        wire += self.next_slot.values()
        metadata += [name for name in STANDARD if name not in metadata]
        slots = [*INTERNAL, *metadata, *wire, *varbit]
        lines = ["class Packet:", '    """Fields of one packet."""', "", "    __slots__ = ("]
        lines += [f"        {slot!r}," for slot in slots] + ["    )", ""]
        lines += ["", "def reset_metadata(p):"]
        lines += [f"    p.{slot} = 0" for slot in metadata] or ["    pass"]
        lines += ["", "", "def reset(p):"]
        lines += [f"    p.{slot} = {value}" for slot, value in INTERNAL.items()]
        lines += [f"    p.{slot} = 0" for slot in [*metadata, *wire]]
        lines += [f"    p.{slot} = b''" for slot in varbit]
        lines += ["", "", "def copy(p):", "    q = Packet()"]
        lines += [f"    q.{slot} = p.{slot}" for slot in slots]
        lines += ["    return q", ""]
        return "\n".join(lines)
