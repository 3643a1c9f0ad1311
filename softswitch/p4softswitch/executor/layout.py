"""Where generated code keeps the fields of a packet: C structures with the names of the program.

`p->m` is metadata, `p->h` headers. Elements of a header stack are an array. Standard metadata
that the architecture itself uses is in `p->m.std`, whatever the program calls it.
"""

from __future__ import annotations

import re

from p4softswitch.errors import ProgramError
from p4softswitch.program import model as m

# Standard metadata that v1model.h sets and reads, with the width of its C field. A field that has
# one of these names in BMv2 is kept there.
STANDARD = {
    "ingress_port": 32,
    "egress_spec": 32,
    "egress_port": 32,
    "packet_length": 32,
    "instance_type": 32,
    "mcast_grp": 32,
    "egress_rid": 32,
    "parser_error": 32,
    "checksum_error": 32,
    "ingress_global_timestamp": 64,
    "egress_global_timestamp": 64,
    "enq_timestamp": 32,
}
_PREFIXES = ("standard_metadata", "intrinsic_metadata", "queueing_metadata")
_KEYWORDS = frozenset((
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else",
    "enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register",
    "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "typedef",
    "union", "unsigned", "void", "volatile", "while", "asm", "typeof",
))  # fmt: skip
_SIZES = (8, 16, 32, 64)


def identifier(text: str, used: set[str]) -> str:
    """A C identifier like `text` that is not in `used`, to which it is added."""
    base = re.sub(r"[^A-Za-z0-9_]", "_", text)
    if not base or base[0].isdigit() or base in _KEYWORDS:
        base = f"_{base}"
    name, i = base, 0
    while name in used:
        i += 1
        name = f"{base}_{i}"
    used.add(name)
    return name


def comment(text: str) -> str:
    """Text from the program as it may stand in a C comment."""
    return re.sub(r"[^\x20-\x7e]", "?", text).replace("*/", "* /").replace("/*", "/ *")


class Layout:
    """Places of every field, validity bit and stack counter of a program."""

    def __init__(self, program: m.Program) -> None:
        self.program = program
        self.limbs = 2
        """Words of a number that is too wide for 128 bits; see `need_bits`."""
        self._places: dict[tuple[str, str], str] = {}
        self._types: dict[str, str] = {}
        self._members: dict[str, dict[str, str]] = {}
        self.instance: dict[str, str] = {}
        self.next_place: dict[str, str] = {}
        self.stack_place: dict[str, str] = {}
        self._name_types()
        self._name_instances()
        for name in STANDARD:
            ref = self._standard(name)
            if ref is not None:
                self._places[ref.header, ref.field] = f"p->m.std.{name}"

    def _name_types(self) -> None:
        used: set[str] = set()
        for header in self.program.headers.values():
            kind = header.type
            if kind.name in self._types:
                continue
            self._types[kind.name] = identifier(kind.name, used)
            members: set[str] = {"valid_"}
            self._members[kind.name] = {f.name: identifier(f.name, members) for f in kind.fields}

    def _name_instances(self) -> None:
        used: set[str] = {"std"}
        for stack in self.program.stacks.values():
            name = identifier(stack.name, used)
            self.stack_place[stack.name] = f"p->h.{name}"
            self.next_place[stack.name] = f"p->h.{identifier(f'{stack.name}_next', used)}"
            for i, element in enumerate(stack.headers):
                self.instance[element] = f"p->h.{name}[{i}]"
        for header in self.program.headers.values():
            if header.name not in self.instance:
                part = "m" if header.metadata else "h"
                self.instance[header.name] = f"p->{part}.{identifier(header.name, used)}"
            place, members = self.instance[header.name], self._members[header.type.name]
            for f in header.type.fields:
                self._places[header.name, f.name] = f"{place}.{members[f.name]}"
            if not header.metadata:
                self._places[header.name, "$valid$"] = f"{place}.valid_"

    def need_bits(self, bits: int) -> None:
        """Make numbers of more than 128 bits at least `bits` bits wide, sign included."""
        if bits > 4096:
            raise ProgramError(f"an expression needs {bits} bits, at most 4096 are supported")
        self.limbs = max(self.limbs, (bits + 63) // 64)

    def header(self, name: str) -> m.Header:
        """A header instance; `ProgramError` if there is none."""
        header = self.program.headers.get(name)
        if header is None:
            raise ProgramError(f"program names header '{name}', which does not exist")
        return header

    def stack(self, name: str) -> m.Stack:
        """A header stack; `ProgramError` if there is none."""
        if name not in self.program.stacks:
            raise ProgramError(f"program names header stack '{name}', which does not exist")
        return self.program.stacks[name]

    def field(self, ref: m.FieldRef) -> m.Field:
        """The field behind a reference."""
        if ref.field == "$valid$":
            return m.Field("$valid$", 1)
        try:
            return self.header(ref.header).field(ref.field)
        except KeyError as exc:
            raise ProgramError(f"program names field {ref.header}.{ref.field}: none") from exc

    def place(self, header: str, field: str) -> str:
        """C text of a field of packet `p`."""
        try:
            return self._places[header, field]
        except KeyError as exc:
            raise ProgramError(f"program names field {header}.{field}, which is missing") from exc

    def member(self, header: str, field: str) -> str:
        """Name of a field inside the structure of its header."""
        self.place(header, field)
        return self._members[self.header(header).type.name][field]

    def valid(self, header: str) -> str | None:
        """C text of a validity bit, None for metadata, which is always valid."""
        return self._places.get((header, "$valid$"))

    def has_standard(self, name: str) -> bool:
        """Whether the program has the standard metadata field that BMv2 calls `name`."""
        return self._standard(name) is not None

    def _standard(self, name: str) -> m.FieldRef | None:
        for prefix in _PREFIXES:
            ref = self.program.aliases.get(f"{prefix}.{name}")
            if ref is not None:
                return ref
        header = self.program.headers["standard_metadata"]
        known = any(f.name == name for f in header.type.fields)
        return m.FieldRef(header.name, name) if known else None

    def c_type(self, width: int, signed: bool = False) -> str:
        """The C type that a field of `width` bits has."""
        for size in _SIZES:
            if width <= size:
                return f"int{size}_t" if signed else f"u{size}"
        if width <= 128:
            return "s128" if signed else "u128"
        self.need_bits(width + 1)
        return "wide"

    def source(self) -> list[str]:
        """The structures of the headers and of the packet."""
        lines: list[str] = []
        seen: set[str] = set()
        for header in self.program.headers.values():
            kind = header.type
            if kind.name in seen:
                continue
            seen.add(kind.name)
            lines.append(f"struct {self._types[kind.name]}_s {{")
            for f in kind.fields:
                kept = "struct p4_bytes" if f.varbit else self.c_type(f.width, f.signed)
                bits = "varbit" if f.varbit else f"{'int' if f.signed else 'bit'}<{f.width}>"
                lines.append(f"    {kept} {self._members[kind.name][f.name]}; /* {bits} */")
            lines += ["    u8 valid_;", "};", ""]
        lines += [
            "struct p4_packet {",
            "    struct p4_core c;",
            "    struct {",
            "        struct p4_standard std;",
            *self._instances(True),
            "    } m;",
            "    struct {",
            *self._instances(False),
        ]
        for stack in self.program.stacks.values():
            kind = self.header(stack.headers[0]).type
            name = self.stack_place[stack.name].removeprefix("p->h.")
            lines.append(f"        struct {self._types[kind.name]}_s {name}[{len(stack.headers)}];")
            lines.append(f"        u32 {self.next_place[stack.name].removeprefix('p->h.')};")
        return [*lines, "        u8 none_;", "    } h;", "};", ""]

    def _instances(self, metadata: bool) -> list[str]:
        lines = []
        stacked = {h for s in self.program.stacks.values() for h in s.headers}
        for header in self.program.headers.values():
            if header.metadata is metadata and header.name not in stacked:
                name = self.instance[header.name][5:]
                lines.append(f"        struct {self._types[header.type.name]}_s {name};")
        return lines
