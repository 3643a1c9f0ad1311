"""Generates extraction of headers from bytes and their way back.

Fields are gathered into the smallest groups that begin and end on byte boundaries; a group of at
most 64 bits is one load or store.
"""

from __future__ import annotations

from p4softswitch.errors import ProgramError
from p4softswitch.executor.exprgen import ExprGen, carrier
from p4softswitch.executor.layout import Layout
from p4softswitch.program import model as m

Group = list[m.Field]


def groups_of(fields: list[m.Field], where: str) -> list[Group]:
    """Group fields; `ProgramError` if they do not fill whole bytes together."""
    groups: list[Group] = []
    current: Group = []
    for f in fields:
        if f.width == 0:
            continue
        current.append(f)
        if sum(x.width for x in current) % 8 == 0:
            groups.append(current)
            current = []
    if current:
        raise ProgramError(f"{where}: a varbit field must begin and end on a byte boundary")
    return groups


def pieces(width: int) -> list[tuple[int, int]]:
    """A field of `width` bits in pieces of at most 64, highest first: (bits below it, bits)."""
    result = []
    left = width
    while left:
        bits = left % 64 or 64
        left -= bits
        result.append((left, bits))
    return result


class WireGen:
    """Generates statements that read and write the headers of a program."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.gen = ExprGen(layout)

    def split(self, header: m.Header) -> tuple[list[Group], m.Field | None, list[Group]]:
        """Fields before and after the variable-length one."""
        fields = list(header.type.fields)
        at = next((i for i, f in enumerate(fields) if f.varbit), None)
        if at is None:
            return groups_of(fields, header.name), None, []
        before, after = fields[:at], fields[at + 1 :]
        return groups_of(before, header.name), fields[at], groups_of(after, header.name)

    def read(self, header: m.Header) -> list[str]:
        """Statements that fill `header` from `d + o`, move `o` behind it and make it valid.

        A variable-length field takes `n` bytes. That there are enough has been checked.
        """
        before, varbit, after = self.split(header)
        lines = self._read_groups(header, before)
        if varbit is not None:
            place = self.layout.place(header.name, varbit.name)
            lines += [f"{place} = (struct p4_bytes){{d + o, (u32)n}};", "o += (u32)n;"]
            lines += self._read_groups(header, after)
        return [*lines, f"{self.layout.valid(header.name)} = 1;"]

    def _read_groups(self, header: m.Header, groups: list[Group]) -> list[str]:
        lines, at = [], 0
        for group in groups:
            total = sum(f.width for f in group)
            left = total
            for f in group:
                left -= f.width
                place = self.layout.place(header.name, f.name)
                if total <= 64:
                    text = f"p4_load(d + o + {at}, {total // 8})"
                    text = f"({text} >> {left})" if left else text
                    bounds = (0, (1 << total - left) - 1)
                else:
                    text = self._read_bits(8 * at + total - left - f.width, f.width)
                    bounds = (0, (1 << f.width) - 1)
                lines.append(f"{place} = {self.gen.cut(text, bounds, f.width, f.signed)};")
            at += total // 8
        return [*lines, f"o += {at};"] if at else lines

    def _read_bits(self, start: int, width: int) -> str:
        words = [
            f"p4_load(d + o + {(start + width - low - bits) // 8}, 8)"
            if bits == 64 and (start + width - low) % 8 == 0
            else f"p4_peek(d, len, (size_t)o * 8 + {start + width - low - bits}, {bits})"
            for low, bits in pieces(width)
        ][::-1]
        kind = carrier(width)
        if kind == "u64":
            return words[0]
        if kind == "u128":
            return f"P4_U128({words[1]}, {words[0]})"
        return f"wide_words((const u64[]){{{', '.join(words)}}}, {len(words)})"

    def write(self, header: m.Header) -> list[str]:
        """Statements that append a header at `out` and move `out` behind it."""
        before, varbit, after = self.split(header)
        lines = self._write_groups(header, before)
        if varbit is not None:
            place = self.layout.place(header.name, varbit.name)
            lines += [
                f"if ({place}.length)",
                f"    memcpy(out, {place}.data, {place}.length);",
                f"out += {place}.length;",
            ]
            lines += self._write_groups(header, after)
        return lines

    def _write_groups(self, header: m.Header, groups: list[Group]) -> list[str]:
        lines, at = [], 0
        for group in groups:
            total = sum(f.width for f in group)
            if total <= 64:
                left, terms = total, []
                for f in group:
                    left -= f.width
                    text = self._unsigned(header, f)
                    terms.append(f"{text} << {left}" if left else text)
                lines.append(f"p4_store(out + {at}, {total // 8}, {' | '.join(terms)});")
            else:
                lines.append(f"memset(out + {at}, 0, {total // 8});")
                start = 8 * at
                for f in group:
                    lines += self.put_bits("out", str(start), self._unsigned(header, f), f.width)
                    start += f.width
            at += total // 8
        return [*lines, f"out += {at};"] if at else lines

    def put_bits(self, buffer: str, start: str, text: str, width: int) -> list[str]:
        """Statements that put a value of `width` bits, in its carrier, at bit `start`."""
        words = self.gen.words(text, width)
        lines = []
        for low, bits in pieces(width):
            word, behind = words[low // 64], width - low - bits
            at = f"{start} + {behind}" if behind else start
            lines.append(f"p4_put_bits({buffer}, {at}, {bits}, {word});")
        return lines

    def _unsigned(self, header: m.Header, f: m.Field) -> str:
        return self.gen.fitted(m.FieldRef(header.name, f.name), f.width)
