"""Generates calculations: hashes and Internet checksums over fields, headers and payload.

The Internet checksum is computed most often, so it has a fast form. A sum of 16-bit words can be
computed modulo 65535, where 2**16 equals 1: each field is shifted to its place within a 16-bit word
and added, and no bytes are built. This needs headers that may be absent, and variable-length
fields, to be a whole number of words long. Otherwise the generated code gathers the bytes first.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4softswitch.errors import ProgramError
from p4softswitch.executor.exprgen import WIDE, Code, ExprGen, carrier, literal
from p4softswitch.executor.layout import Layout, comment, identifier
from p4softswitch.executor.wiregen import WireGen
from p4softswitch.program import model as m

HASHES = {
    "crc16": ("p4_crc16", 16),
    "crc16_custom": ("p4_crc16", 16),
    "crc32": ("p4_crc32", 32),
    "crc32_custom": ("p4_crc32", 32),
    "crcCCITT": ("p4_crcCCITT", 16),
    "csum16": ("p4_csum16", 16),
    "cksum16": ("p4_csum16", 16),
    "xor16": ("p4_xor16", 16),
    "identity": ("p4_identity", 64),
}
"""The function of each algorithm, and the bits that its result fits in."""


@dataclass(frozen=True, slots=True)
class _Item:
    header: str | None  # None: always there
    text: str  # in the carrier of its width
    width: int | None  # None: variable length


class CalcGen:
    """Generates one function `calc_…(p)` for every calculation."""

    def __init__(self, layout: Layout, wire: WireGen) -> None:
        self.layout = layout
        self.wire = wire
        self.gen = ExprGen(layout)
        used: set[str] = set()
        self.names = {
            name: identifier(f"calc_{name}", used) for name in layout.program.calculations
        }

    def call(self, name: str) -> Code:
        """The result of a calculation in generated code that has a packet `p`."""
        calc = self.layout.program.calculations[name]
        if calc.algo not in HASHES:
            raise ProgramError(f"hash algorithm '{calc.algo}' is not supported")
        return Code(f"{self.names[name]}(p)", "u64", 0, (1 << HASHES[calc.algo][1]) - 1)

    def source(self) -> list[str]:
        """Source lines of all calculations."""
        lines: list[str] = []
        for calc in self.layout.program.calculations.values():
            self.call(calc.name)
            lines += [
                f"/* {comment(calc.algo)}{', with the payload' if calc.with_payload else ''} */",
                f"static P4_UNUSED u64 {self.names[calc.name]}(struct p4_packet *p) {{",
                *(f"    {line}" for line in self._body(calc)),
                "}",
                "",
            ]
        return lines

    def _body(self, calc: m.Calculation) -> list[str]:
        items = self._items(calc)
        lines: list[str] = []
        if calc.algo in ("csum16", "cksum16"):
            lines = self._fast_checksum(items, calc.with_payload)
            if lines and lines[-1].startswith("return"):
                return lines
        return lines + self._gathered(calc, items)

    def _items(self, calc: m.Calculation) -> list[_Item]:
        items: list[_Item] = []
        for source, width in zip(calc.inputs, calc.widths, strict=True):
            match source:
                case m.Const(value):
                    value &= (1 << width) - 1
                    if carrier(width) == WIDE:
                        self.layout.need_bits(width + 1)
                    items.append(_Item(None, literal(value, carrier(width)), width))
                case m.FieldRef(header, name):
                    items.append(self._item(header, name))
                case m.HeaderRef(header):
                    fields = self.layout.header(header).type.fields
                    items += [self._item(header, f.name) for f in fields]
        return items

    def _item(self, header: str, name: str) -> _Item:
        f = self.layout.field(m.FieldRef(header, name))
        owner = header if self.layout.valid(header) else None
        if f.varbit:
            return _Item(owner, self.layout.place(header, name), None)
        return _Item(owner, self.gen.fitted(m.FieldRef(header, name), f.width), f.width)

    def _gathered(self, calc: m.Calculation, items: list[_Item]) -> list[str]:
        """Fields of invalid headers are left out, and the fixed part is padded with zero bits to
        a whole byte, as in BMv2."""
        function, _ = HASHES[calc.algo]
        fixed = sum(item.width or 0 for item in items)
        varbits = [item.text for item in items if item.width is None]
        optional = any(item.header for item in items)
        if not optional and not varbits and not calc.with_payload:
            return self._fixed(function, items, fixed)
        room = " + ".join(
            [str((fixed + 7) // 8), *(f"{text}.length" for text in varbits)]
            + (["p->c.payload.length"] if calc.with_payload else [])
        )
        lines = [
            f"u64 room = {room};",
            "u8 *b = p4_scratch(p->c.worker, room + 1);",
            "size_t at = 0; /* in bits */",
            "if (!b)",
            "    return 0;",
            "memset(b, 0, room + 1);",
        ]
        for item in items:
            pad = "    " if item.header else ""
            if item.header:
                lines.append(f"if ({self.layout.valid(item.header)}) {{")
            if item.width is None:
                lines += [
                    f"{pad}for (u32 i = 0; i < {item.text}.length; i++, at += 8)",
                    f"{pad}    p4_put_bits(b, at, 8, {item.text}.data[i]);",
                ]
            else:
                lines += [pad + x for x in self.wire.put_bits("b", "at", item.text, item.width)]
                lines.append(f"{pad}at += {item.width};")
            if item.header:
                lines.append("}")
        lines.append("at = (at + 7) / 8;")
        if calc.with_payload:
            lines += [
                "if (p->c.payload.length)",
                "    memcpy(b + at, p->c.payload.data, p->c.payload.length);",
                "at += p->c.payload.length;",
            ]
        return [*lines, f"return {function}(b, at);"]

    def _fixed(self, function: str, items: list[_Item], bits: int) -> list[str]:
        nbytes = (bits + 7) // 8
        if not nbytes:
            return ["(void)p;", f"return {function}(NULL, 0);"]
        if bits <= 64:
            left, terms = nbytes * 8, []
            for item in items:
                left -= item.width or 0
                terms.append(f"{item.text} << {left}" if left else item.text)
            return [
                "(void)p;",
                f"u8 b[{nbytes}];",
                f"p4_store(b, {nbytes}, {' | '.join(terms)});",
                f"return {function}(b, {nbytes});",
            ]
        lines, at = ["(void)p;", f"u8 b[{nbytes}] = {{0}};"], 0
        for item in items:
            width = item.width or 0
            if at % 8 == 0 and width % 8 == 0 and width <= 64:
                lines.append(f"p4_store(b + {at // 8}, {width // 8}, {item.text});")
            elif at % 8 == 0 and width % 8 == 0:
                # Whole bytes, which are stored in pieces of at most eight.
                words = self.gen.words(item.text, width)
                place, left = at // 8, width
                while left:
                    bits_here = left % 64 or 64
                    left -= bits_here
                    lines.append(f"p4_store(b + {place}, {bits_here // 8}, {words[left // 64]});")
                    place += bits_here // 8
            else:
                lines += self.wire.put_bits("b", str(at), item.text, width)
            at += width
        return [*lines, f"return {function}(b, {nbytes});"]

    def _fast_checksum(self, items: list[_Item], with_payload: bool) -> list[str]:
        runs: list[tuple[str | None, list[_Item]]] = []
        for item in items:
            if runs and runs[-1][0] == item.header:
                runs[-1][1].append(item)
            else:
                runs.append((item.header, [item]))
        offset, terms, needs = 0, [], []
        for header, run in runs:
            valid = self.layout.valid(header) if header else None
            start, parts = offset, []
            for item in run:
                if item.width is None:
                    if offset % 8:
                        return []
                    needs.append(f"!({item.text}.length & 1)")
                    odd = int(offset % 16 == 8)
                    parts.append(f"p4_words({item.text}.data, {item.text}.length, {odd})")
                    continue
                offset += item.width
                text = item.text
                if item.width > 128:
                    text = f"wide_half({text})"
                elif item.width > 32:
                    text = f"p4_half{64 if item.width <= 64 else 128}({text})"
                shift = -offset % 16
                parts.append(f"({text} << {shift})" if shift else text)
            text = " + ".join(parts)
            if valid is not None and (offset - start) % 16 == 0:
                terms.append(f"({valid} ? {text} : 0)")
            else:
                terms.append(text)
                if valid is not None:
                    needs.append(valid)
        if with_payload:
            if offset % 8:
                return []
            odd = int(offset % 16 == 8)
            terms.append(f"p4_words(p->c.payload.data, p->c.payload.length, {odd})")
        lines = ["u64 total = 0;", *(f"total += {term};" for term in terms)]
        if not needs:
            return [*lines, "return p4_fold(total);"]
        inner = [f"    {line}" for line in [*lines, "return p4_fold(total);"]]
        return [f"if ({' && '.join(needs)}) {{", *inner, "}"]
