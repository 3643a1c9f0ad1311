"""Formats rows as aligned columns of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from p4alg.printable import LONGEST, printable

Row = Mapping[str, object]


def text(value: object) -> str:
    """A value as text for people: yes or no, lists with commas, `-` for nothing."""
    if isinstance(value, str):
        return printable(value) if value else "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(text(part) for part in value) or "-"
    return printable(str(value)) if value is not None else "-"


def _texts(values: list[object]) -> list[str]:
    """As `text` has it; faster where there is nothing to change, which is nearly always."""
    texts = [value for value in values if isinstance(value, str) and value]
    is_whole = len(texts) == len(values) and max(map(len, texts), default=0) <= LONGEST
    return texts if is_whole and "".join(texts).isprintable() else list(map(text, values))


def render(rows: Sequence[Row], columns: Mapping[str, str]) -> list[str]:
    """A line of headings, and a line for each row. `columns` maps keys to headings, in order."""
    # By columns: there may be 100 000 rows.
    padded = []
    for key, heading in columns.items():
        cells = [heading, *_texts([row.get(key) for row in rows])]
        width = max(map(len, cells))
        padded.append([cell.ljust(width) for cell in cells])
    return ["  ".join(line).rstrip() for line in zip(*padded, strict=True)]
