"""Generates calculations: hashes and Internet checksums over fields, headers and payload.

The Internet checksum is computed most often, so it has a fast form. A sum of 16-bit words can be
computed modulo 65535, where 2**16 equals 1: each field is shifted to its place within a 16-bit word
and added, and no bytes are built. This needs headers that may be absent, and variable-length
fields, to be a whole number of words long. Otherwise the generated code gathers the bytes first.

A hash of metadata only, which is what p4c makes of the arguments of `hash`, is generated where it
is used: its bytes are one number, of shifted fields, in the order of the network.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4softswitch.errors import ProgramError
from p4softswitch.executor.exprgen import Code
from p4softswitch.executor.layout import Layout
from p4softswitch.executor.support import HASH_BITS, HASHES
from p4softswitch.program import model as m

_DIRECT = {"crc32": "crc32", "crc32_custom": "crc32", "crc16": "crc16", "crc16_custom": "crc16"}
"""Names in generated code of the hashes that are worth it."""


@dataclass(frozen=True, slots=True)
class _Item:
    header: str | None
    slot: str | int
    width: int | None  # None: variable length
    signed: bool = False


class CalcGen:
    """Generates one function `calc_<n>(p)` for every calculation."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.names = {name: f"calc_{i}" for i, name in enumerate(layout.program.calculations)}

    def calls(self) -> dict[str, Code]:
        """How each calculation is made in generated code that has a packet `p`."""
        return {
            calc.name: Code(
                self._inline(calc) or f"{self.names[calc.name]}(p)", HASH_BITS[calc.algo]
            )
            for calc in self.layout.program.calculations.values()
        }

    def _inline(self, calc: m.Calculation) -> str | None:
        """A hash of fields that are always there, as one expression; None for others."""
        function = _DIRECT.get(calc.algo)
        items = self._items(calc)
        if function is None or calc.with_payload:
            return None
        terms, left = [], sum(item.width or 0 for item in items)
        nbytes = (left + 7) // 8
        left += -left % 8
        for item in items:
            if item.header or item.width is None or item.signed:
                return None
            left -= item.width
            text = f"p.{item.slot}" if isinstance(item.slot, str) else str(item.slot)
            terms.append(f"{text} << {left}" if left else text)
        if not nbytes:
            return None
        return f"{function}(({' | '.join(terms)}).to_bytes({nbytes}, 'big'))"

    def source(self) -> list[str]:
        """Source lines of all calculations."""
        lines: list[str] = []
        for calc in self.layout.program.calculations.values():
            lines += [*self._function(calc), "", ""]
        return lines

    def _function(self, calc: m.Calculation) -> list[str]:
        if calc.algo not in HASHES:
            raise ProgramError(f"hash algorithm '{calc.algo}' is not supported")
        items = self._items(calc)
        name = self.names[calc.name]
        table = tuple(
            (self.layout.valid(i.header) if i.header else None, i.slot, i.width) for i in items
        )
        payload = "p.payload" if calc.with_payload else "b''"
        lines = [f"{name}_items = {table!r}", "", f"def {name}(p):", f"    # {calc.name}"]
        if calc.algo in ("csum16", "cksum16"):
            lines += self._fast_checksum(items, calc.with_payload)
        return [*lines, f"    return HASHES[{calc.algo!r}](gather(p, {name}_items, {payload}))"]

    def _items(self, calc: m.Calculation) -> list[_Item]:
        items: list[_Item] = []
        for source, width in zip(calc.inputs, calc.widths, strict=True):
            match source:
                case m.Const(value):
                    items.append(_Item(None, value, width))
                case m.FieldRef(header, name):
                    items.append(self._item(header, name))
                case m.HeaderRef(header):
                    fields = self.layout.header(header).type.fields
                    items += [self._item(header, f.name) for f in fields]
        return items

    def _item(self, header: str, name: str) -> _Item:
        f = self.layout.field(m.FieldRef(header, name))
        width = None if f.varbit else f.width
        wire = header if self.layout.valid(header) else None
        return _Item(wire, self.layout.slot(header, name), width, f.signed)

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
                    needs.append(f"not len(p.{item.slot}) & 1")
                    parts.append(f"words(p.{item.slot}, {offset % 16 == 8})")
                    continue
                offset += item.width
                text = f"p.{item.slot}" if isinstance(item.slot, str) else str(item.slot)
                if item.signed:
                    text = f"({text} & {(1 << item.width) - 1:#x})"
                shift = -offset % 16
                parts.append(f"({text} << {shift})" if shift else text)
            text = " + ".join(parts)
            if valid is not None and (offset - start) % 16 == 0:
                terms.append(f"({text} if p.{valid} else 0)")
            else:
                terms.append(text)
                if valid is not None:
                    needs.append(f"p.{valid}")
        if with_payload:
            if offset % 8:
                return []
            terms.append(f"words(p.payload, {offset % 16 == 8})")
        result = f"return fold({' + '.join(terms) or '0'})"
        if not needs:
            return [f"    {result}"]
        return [f"    if {' and '.join(needs)}:", f"        {result}"]
