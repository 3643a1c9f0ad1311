"""What the register operations of `p4src/tna` say, read from their text and carried out.

An operation is the body of a `RegisterAction`: assignments and conditions over one cell, two
words of the packet and constants. Numbers are unsigned and wrap at 32 bits, as the chip's do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

P4SRC = Path(__file__).resolve().parents[2] / "p4src"

_CONTROL = re.compile(r"^control (\w+)", re.M)
_OPERATION = re.compile(
    r"^    RegisterAction<(\w+|bit<\d+>), [^;{]*?>\((\w+)\) (\w+) = \{\n"
    r"        void apply\(inout \S+ (\w+)(?:, out \S+ (\w+))?\) \{(.*?)\}\n    \};",
    re.M | re.S,
)
_NAME = re.compile(r"[A-Za-z_][\w.]*(?:\[\d+:0\])?")
_STATEMENT = re.compile(
    r"\s*(if \((?P<when>.*?)\) \{|\} else \{|\}|(?P<to>[\w.]+) = (?P<what>.*?);)"
)
_NUMBER = re.compile(r"(?:#define|const \S+)\s+(\w+)\s+(?:=\s+)?(0x[0-9a-fA-F]+|\d+)\b")


class TextError(ValueError):
    """The text has something that is not understood here."""


class Word(int):
    """An unsigned number of 32 bits."""

    def __add__(self, other: int) -> Word:
        return Word(int(self) + int(other) & 0xFFFFFFFF)

    def __sub__(self, other: int) -> Word:
        return Word(int(self) - int(other) & 0xFFFFFFFF)


@dataclass(frozen=True)
class Operation:
    """One `RegisterAction`: its place, the names in it, and its body as Python."""

    control: str
    register: str
    name: str
    cell: str
    result: str
    operands: tuple[str, ...]
    code: str

    def run(
        self, cell: Mapping[str, int], operands: Mapping[str, int]
    ) -> tuple[dict[str, int], int]:
        """The cell afterwards and what is handed to the packet (0 if it is not set)."""
        values: dict[str, int] = {n: Word(v) for n, v in {**cell, **operands}.items()}
        values[self.result] = 0
        exec(self.code, {"value": values, "max": max, "min": min})
        return {name: int(values[name]) for name in cell}, int(values[self.result])

    def fields(self) -> tuple[str, ...]:
        """The words of the cell, by their names in the text."""
        found = {n for n in _NAME.findall(self.code) if n.split(".")[0] == self.cell}
        return tuple(sorted(found - {self.cell})) or (self.cell,)


def numbers() -> dict[str, int]:
    """The constants of the program."""
    text = "\n".join(p.read_text() for p in sources())
    return {name: int(value, 0) for name, value in _NUMBER.findall(text)}


def sources() -> list[Path]:
    """The files of the program."""
    return sorted([*(P4SRC / "shared").glob("*.p4"), *(P4SRC / "tna").glob("*.p4")])


def _expression(text: str, known: Mapping[str, int], used: set[str]) -> str:
    """A P4 expression in Python; adds the variables in it to `used`."""
    if re.search(r"[^\w\s.()\[\]:<>=!&|+,-]|\?", text):
        raise TextError(text)

    def name(match: re.Match[str]) -> str:
        word = match[0].split("[")[0]
        if word in ("max", "min"):
            return word
        if word in known:
            return str(known[word])
        used.add(word)
        return f"value[{word!r}]"

    python = _NAME.sub(name, text)
    return python.replace("&&", " and ").replace("||", " or ")


def _python(body: str, known: Mapping[str, int]) -> tuple[str, set[str]]:
    """A body in Python, and the variables in it."""
    lines: list[str] = []
    used: set[str] = set()
    depth = 0
    rest = re.sub(r"//.*", "", body).strip()
    while rest:
        match = _STATEMENT.match(rest)
        if match is None:
            raise TextError(rest)
        text = match[1]
        if match["when"] is not None:
            lines.append(" " * depth + f"if {_expression(match['when'], known, used)}:")
            depth += 1
        elif text.startswith("} else"):
            lines.append(" " * (depth - 1) + "else:")
        elif text == "}":
            depth -= 1
        else:
            used.add(match["to"])
            value = _expression(match["what"], known, used)
            lines.append(" " * depth + f"value[{match['to']!r}] = {value}")
        rest = rest[match.end() :].strip()
    return "\n".join(lines), used


def operations() -> list[Operation]:
    """Every `RegisterAction` of the program; `TextError` if one is not understood."""
    known = numbers()
    found = []
    count = 0
    for path in sources():
        text = path.read_text()
        count += len(re.findall(r"RegisterAction<", text))
        controls = [(m.start(), m[1]) for m in _CONTROL.finditer(text)]
        for match in _OPERATION.finditer(text):
            control = [name for start, name in controls if start < match.start()][-1]
            _, register, name, cell, result, body = match.groups()
            code, used = _python(body, known)
            operands = {n for n in used if n.split(".")[0] in ("meta", "hdr")}
            found.append(
                Operation(
                    control, register, name, cell, result or "", tuple(sorted(operands)), code
                )
            )
    if len(found) != count:
        raise TextError(f"{count} register actions, {len(found)} read")
    return found
