"""Generates extraction of headers from bytes and their way back.

Fields are gathered into the smallest groups that begin and end on byte boundaries, so that one
`struct` call moves a whole header.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4softswitch.errors import ProgramError
from p4softswitch.executor.layout import Layout
from p4softswitch.program import model as m

_CODES = ((8, "Q"), (4, "I"), (2, "H"), (1, "B"))


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive fixed-length fields as one `struct` format."""

    format: str
    groups: tuple[tuple[tuple[m.Field, ...], tuple[int, ...]], ...]
    nbytes: int


def _codes(nbytes: int) -> list[tuple[int, str]]:
    parts = []
    for size, code in _CODES:
        while nbytes >= size:
            parts.append((size, code))
            nbytes -= size
    return parts


def make_run(fields: list[m.Field], where: str) -> Run:
    """Group fields; `ProgramError` if they do not fill whole bytes together."""
    groups: list[tuple[tuple[m.Field, ...], tuple[int, ...]]] = []
    text, current, bits, total = ">", [], 0, 0
    for f in fields:
        if f.width == 0:
            continue
        current.append(f)
        bits += f.width
        if bits % 8 == 0:
            parts = _codes(bits // 8)
            text += "".join(code for _, code in parts)
            groups.append((tuple(current), tuple(size * 8 for size, _ in parts)))
            total += bits // 8
            current, bits = [], 0
    if current:
        raise ProgramError(f"{where}: a varbit field must begin and end on a byte boundary")
    return Run(text, tuple(groups), total)


class WireGen:
    """Generates statements that read and write the headers of a program."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.structs: dict[str, str] = {}

    def struct(self, text: str) -> str:
        """Name of a compiled `struct` format."""
        return self.structs.setdefault(text, f"S{len(self.structs)}")

    def split(self, header: m.Header) -> tuple[Run, m.Field | None, Run]:
        """Fields before and after the variable-length one."""
        fields = list(header.type.fields)
        at = next((i for i, f in enumerate(fields) if f.varbit), None)
        if at is None:
            return make_run(fields, header.name), None, make_run([], header.name)
        return (
            make_run(fields[:at], header.name),
            fields[at],
            make_run(fields[at + 1 :], header.name),
        )

    def read(self, header: m.Header, offset: str, varbit_bytes: str | None = None) -> list[str]:
        """Statements that fill the fields of `header` from `d` at `offset`."""
        before, varbit, after = self.split(header)
        lines = self._read_run(header, before, offset)
        if varbit is not None:
            start = f"{offset} + {before.nbytes}"
            slot = self.layout.slot(header.name, varbit.name)
            size = varbit_bytes or "0"
            lines.append(f"p.{slot} = d[{start}:{start} + {size}]")
            lines += self._read_run(header, after, f"{start} + {size}")
        valid = self.layout.valid(header.name)
        return [*lines, f"p.{valid} = 1"] if valid else lines

    def _read_run(self, header: m.Header, run: Run, offset: str) -> list[str]:
        targets: list[str] = []
        after: list[str] = []
        for fields, sizes in run.groups:
            if len(sizes) == 1 and len(fields) == 1 and not fields[0].signed:
                targets.append(f"p.{self.layout.slot(header.name, fields[0].name)}")
                continue
            names = [f"t{len(targets) + i}" for i in range(len(sizes))]
            targets += names
            whole, shift = [], sum(sizes)
            for name, size in zip(names, sizes, strict=True):
                shift -= size
                whole.append(f"{name} << {shift}" if shift else name)
            total = sum(sizes)
            text = " | ".join(whole)
            if len(fields) > 1 and len(names) > 1:
                after.append(f"t = {text}")
                text = "t"
            left = total
            for f in fields:
                left -= f.width
                value = text if total == f.width else _slice(text, left, f.width, total)
                if f.signed:
                    value = f"two_comp_mod({value}, {f.width})"
                after.append(f"p.{self.layout.slot(header.name, f.name)} = {value}")
        if not targets:
            return []
        call = f"{self.struct(run.format)}.unpack_from(d, {offset})"
        return [f"{', '.join(targets)}, = {call}", *after]

    def write(self, header: m.Header) -> list[str]:
        """Expressions for the bytes of a header, in order."""
        before, varbit, after = self.split(header)
        parts = [self._write_run(header, before)]
        if varbit is not None:
            parts.append(f"p.{self.layout.slot(header.name, varbit.name)}")
            parts.append(self._write_run(header, after))
        return [part for part in parts if part]

    def _write_run(self, header: m.Header, run: Run) -> str:
        arguments: list[str] = []
        for fields, sizes in run.groups:
            left, terms = sum(sizes), []
            for f in fields:
                left -= f.width
                text = f"p.{self.layout.slot(header.name, f.name)}"
                if f.signed:
                    text = f"({text} & {(1 << f.width) - 1:#x})"
                terms.append(f"{text} << {left}" if left else text)
            whole = " | ".join(terms)
            if len(sizes) == 1:
                arguments.append(whole)
                continue
            left = sum(sizes)
            for size in sizes:
                left -= size
                arguments.append(_slice(f"({whole})", left, size, sum(sizes)))
        if not arguments:
            return ""
        return f"{self.struct(run.format)}.pack({', '.join(arguments)})"


def _slice(text: str, shift: int, width: int, total: int) -> str:
    shifted = f"{text} >> {shift}" if shift else text
    if shift + width == total:
        return shifted
    return f"{shifted} & {(1 << width) - 1:#x}"
