"""Formats rows as aligned columns of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from p4alg.printable import printable

Row = Mapping[str, object]


def text(value: object) -> str:
    """A value as text for people: yes or no, lists with commas, `-` for nothing."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(text(part) for part in value) or "-"
    return printable(str(value)) if value not in ("", None) else "-"


def render(rows: Sequence[Row], columns: Mapping[str, str]) -> list[str]:
    """A line of headings, and a line for each row. `columns` maps keys to headings, in order."""
    cells = [list(columns.values())]
    cells += [[text(row.get(key)) for key in columns] for row in rows]
    widths = [max(len(line[n]) for line in cells) for n in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
