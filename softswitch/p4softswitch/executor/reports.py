"""Reports of a packet's way: what generated code tells of it, if it was asked to when generated.

Each place that tells something is a point. Generated code puts out the number of the point and some
words, in order with the frames that leave. Code that was generated without reports has none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Told(Enum):
    """What a point tells, and the values that it gives."""

    STAGE = "stage"
    """The architecture does something with the packet; one number, see `STAGES`."""
    STATE = "state"
    """The parser enters a state; no value."""
    PARSED = "parsed"
    """The parser is done; the number of the error."""
    CONDITION = "condition"
    """A branch in a control; whether it is true."""
    TABLE = "table"
    """A table was applied; packed key, whether it hit, the entry's handle, number of its action."""
    ASSIGN = "assign"
    """A field got a value; the value."""
    READ = "read"
    """A cell of a register was read; index and value."""
    WRITE = "write"
    """A cell of a register was written; index and value."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the program that tells something.

    `name` is that of the state, table, field ("header.field"), register or stage; `where` its place
    in the P4 source, empty if that is not known. `widths` are the bits of its values, each of which
    takes as many words as it needs, least significant first.
    """

    told: Told
    name: str
    where: str
    widths: tuple[int, ...]


STAGES = (
    "ingress", "egress", "drop at ingress", "drop at egress", "clone", "resubmit", "recirculate",
    "multicast",
)  # fmt: skip
"""The stages by their number, as v1model.h has them. Each gives the number of the port, clone
session or multicast group; 0 where there is none."""

_AT = """\
#define P4_AT(p, what, value) do { const u64 told_[] = {(value)}; \\
    p4_emit_words((p)->c.worker, P4_REPORT, (what), told_, 1, (p)->c.now); } while (0)"""


class Reports:
    """The points of a program, as they are generated; none if reports are not wanted."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self.points: list[Point] = []
        if wanted:
            self.points += [Point(Told.STAGE, name, "", (64,)) for name in STAGES]

    def tell(
        self, told: Told, name: str, where: str, widths: Sequence[int], words: Sequence[str]
    ) -> list[str]:
        """Statements that tell something of packet `p`; `words` are C text of its words."""
        if not self.wanted:
            return []
        number = len(self.points)
        self.points.append(Point(told, name, where, tuple(widths)))
        values = ", ".join(f"(u64)({word})" for word in words) or "0"
        emit = f"p4_emit_words(p->c.worker, P4_REPORT, {number}, told_, {len(words)}, p->c.now);"
        return [f"{{ const u64 told_[] = {{{values}}}; {emit} }}"]

    def head(self) -> list[str]:
        """Lines for v1model.h, which tells stages."""
        return [_AT] if self.wanted else []
