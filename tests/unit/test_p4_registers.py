"""Each register operation of the program for Tofino does what its reference here says.

Nothing of it runs without a chip: the operations are read from the text of the program. Where
an operation is a step of what the model of plain flows does (tests/dataplane/reference.py), it
is held to that model, which the program for v1model is held to packet by packet.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from p4alg.p4constants import GRACE_TICKS, Class, FilterMode, Phase
from tests.dataplane import reference

from .p4_registers import P4SRC, Operation, TextError, numbers, operations

Cell = tuple[int, ...]
Reference = Callable[..., tuple[Cell, int]]

ALL = {(o.control, o.name): o for o in operations()}
# Few numbers, so that they are often the same; the largest and neighbours, for limits.
POOL = (0, 1, 2, 31, 32, 33, 0xBF, 0xC0, 0xC1, 0xFF, 240000, 240001, 0xFFFFFFFE, 0xFFFFFFFF)
FRAGMENT_STAMPS = 240000


def own(high: int, low: int, owner: int, tag: int) -> tuple[Cell, int]:
    """Whether a slot is an endpoint's."""
    return (high, low), int((low, high) == (tag, owner))


def find(high: int, low: int, tag: int) -> tuple[Cell, int]:
    """Whose a slot is; 0: another tag's."""
    return (high, low), high if low == tag else 0


def claim(high: int, low: int, new_high: int, new_low: int) -> tuple[Cell, int]:
    """A cell gets its owner, in the second pass."""
    return (new_high, new_low), 1


def find_session(high: int, low: int, remote: int, who: int) -> tuple[Cell, int]:
    """Whether a session's cell is this flow's."""
    return (high, low), int((low, high) == (remote, who))


def claim_session(high: int, low: int, remote: int, who: int) -> tuple[Cell, int]:
    """A session's cell gets its flow, in the second pass."""
    return (who, remote), 1


def prolong(end: int, now: int, until: int) -> tuple[Cell, int]:
    """What lives lives at least until then; what is over stays so."""
    return (max(end, until),) if end >= now else (end,), int(end >= now)


def refresh(end: int, until: int) -> tuple[Cell, int]:
    """Lives until then, over or not."""
    return (max(end, until),), 1


def cut(end: int, now: int, until: int) -> tuple[Cell, int]:
    """Lives no longer than until then."""
    return (min(end, until),), int(end >= now)


def reserve(holder: int, end: int, now: int, who: int) -> tuple[Cell, int]:
    """A cell that is over, or that one has reserved before, is one's own for a moment."""
    if end < now or holder == who:
        return (who, now + GRACE_TICKS & 0xFFFFFFFF), 1
    return (holder, end), 0


def advance(phase: int, event: int, event_open: int) -> tuple[Cell, int]:
    """What is seen is added; an ACK counts after both SYNs."""
    both = phase & reference.BOTH_SYN == reference.BOTH_SYN
    after = phase | (event_open if both else event)
    return (after,), after


def restart(phase: int, event: int) -> tuple[Cell, int]:
    """A session begins."""
    return (event,), event


def note(number: int, acknowledged: int) -> tuple[Cell, int]:
    """What the inside host acknowledged last."""
    return (acknowledged,), 0


def prove(number: int, sequence: int) -> tuple[Cell, int]:
    """Whether a reset has the number that was acknowledged last (RFC 5961)."""
    return (number,), Phase.RESET if number == sequence else 0


def begin(flow: int, pinhole: int, new_flow: int, new_pinhole: int) -> tuple[Cell, int]:
    """The first flow of a pinhole takes it; no other one does."""
    if pinhole == new_pinhole and flow != new_flow:
        return (flow, pinhole), 0
    return (new_flow, new_pinhole), 1


def go_on(flow: int, pinhole: int, new_flow: int, new_pinhole: int) -> tuple[Cell, int]:
    """Only the flow that took a pinhole goes on in it."""
    return (flow, pinhole), int((flow, pinhole) == (new_flow, new_pinhole))


def learn_two(high: int, low: int, new_high: int, new_low: int) -> tuple[Cell, int]:
    """Both words are replaced."""
    return (new_high, new_low), 0


def find_ends(high: int, low: int, destination: int, source: int) -> tuple[Cell, int]:
    """Whether a fragment's ends are those of the first one."""
    return (high, low), int((low, high) == (source, destination))


def learn_one(old: int, new: int) -> tuple[Cell, int]:
    """The word is replaced."""
    return (new,), 0


def read_one(old: int) -> tuple[Cell, int]:
    """The word as it is."""
    return (old,), old


def find_time(word: int, since: int, fragment: int, stamp: int) -> tuple[Cell, int]:
    """Whether the first fragment of this datagram came a moment ago."""
    age = stamp - since & 0xFFFFFFFF
    return (word, since), int(age < FRAGMENT_STAMPS and word == fragment)


# Words of the cell, then operands, each by the alphabet.
REFERENCES: dict[tuple[str, str], Reference] = {
    ("FlowKey", "learn_ends"): learn_two,
    ("FlowKey", "find_ends"): find_ends,
    ("FlowKey", "learn_src"): learn_one,
    ("FlowKey", "find_src"): read_one,
    ("FlowKey", "learn_dst"): learn_one,
    ("FlowKey", "find_dst"): read_one,
    ("FlowKey", "learn_time"): learn_two,
    ("FlowKey", "find_time"): find_time,
    ("SlotWay", "own"): own,
    ("SlotWay", "find"): find,
    ("SlotWay", "claim"): claim,
    ("SessionWay", "find"): find_session,
    ("SessionWay", "claim"): claim_session,
    ("Session", "begin"): begin,
    ("Session", "go_on"): go_on,
    ("SlotTime", "prolong"): prolong,
    ("SlotTime", "refresh"): refresh,
    ("SlotTime", "reserve"): reserve,
    ("SessionTime", "prolong"): prolong,
    ("SessionTime", "refresh"): refresh,
    ("SessionTime", "cut"): cut,
    ("SessionTime", "reserve"): reserve,
    ("Lifetime", "advance"): advance,
    ("Lifetime", "restart"): restart,
    ("Lifetime", "note"): note,
    ("Lifetime", "prove"): prove,
}


def test_every_operation_has_a_reference() -> None:
    assert set(ALL) == set(REFERENCES)


def test_no_operation_takes_more_than_the_chip_has() -> None:
    """Two words of a cell, two of the packet over all operations of an array."""
    taken: dict[tuple[str, str], set[str]] = {}
    for operation in ALL.values():
        assert len(operation.fields()) <= 2
        place = (operation.control, operation.register)
        taken.setdefault(place, set()).update(operation.operands)
    assert {place: names for place, names in taken.items() if len(names) > 2} == {}


@pytest.mark.parametrize("key", sorted(REFERENCES), ids=lambda key: "-".join(key))
def test_an_operation_does_what_its_reference_says(key: tuple[str, str]) -> None:
    operation, expected = ALL[key], REFERENCES[key]
    rng = random.Random(str(key))
    for _ in range(3000):
        pool = [n & 0xFF for n in POOL] if operation.register == "phases" else POOL
        cell = {name: rng.choice(pool) for name in operation.fields()}
        operands = {name: rng.choice(pool) for name in operation.operands}
        after, result = operation.run(cell, operands)
        words = expected(*cell.values(), *operands.values())
        assert (tuple(after.values()), result) == words, (cell, operands)


def test_a_way_that_reserves_takes_the_cells_that_the_model_takes() -> None:
    operation = ALL["SlotTime", "reserve"]
    end = reference.Endpoint(Class.UDP, 7, 4000)
    sub = reference.Subscriber(7, 1, 2, 4096, 4096, 0)
    for rest in (0, 12):
        for now in range(40, 60):
            model = nat(rest)
            (cell, port), *_ = model._candidates(sub, end)
            for ended in range(20, 60):
                other = reference.Endpoint(Class.UDP, 8, 5000)
                model.mappings = {cell: reference.Mapping(other, port, ended)}
                taken = model._claim_mapping(sub, end, now) == cell
                _, won = operation.run(
                    {"cell.low": ended, "cell.high": 1},
                    {"meta.slot_now": now - rest, "meta.slot_operand": 2},
                )
                assert won == taken, (rest, now, ended)


def nat(rest: int) -> reference.Nat:
    timers = reference.Timers(rest=rest)
    byte = (0,) * 256
    return reference.Nat(reference.Sizes(4, 4, 3), timers, FilterMode.ADDRESS_AND_PORT, byte, byte)


@cache
def events() -> list[tuple[str, bool | None, int, int, tuple[int, int]]]:
    """The entries of `event`: side, whether TCP, flags and their mask, what is seen."""
    text = (P4SRC / "tna" / "lifetime.p4").read_text()
    names = numbers() | {"IN_ACK": int(Phase.ESTABLISHED)}
    body = text[text.index("table event {") :]
    body = body[: body.index("size =")]
    found = []
    for side, tcp, flags, action in re.findall(
        r"^ +\((\w+), (\w+), ([^)]+)\) *: ([^;]+);", body, re.M
    ):
        value, mask = 0, 0
        if flags != "_":
            value, mask = (int(n, 0) for n in flags.split("&&&"))
        seen = (0, 0)
        if action.startswith("set_event"):
            one, two = action.removeprefix("set_event(").removesuffix(")").split(",")
            seen = (bits(one, names), bits(two, names))
        found.append((side, None if tcp == "_" else tcp == "true", value, mask, seen))
    assert len(found) >= 10
    return found


def bits(text: str, names: dict[str, int]) -> int:
    total = 0
    for word in text.split("|"):
        total |= names.get(word.strip()) or int(names.get(word.strip(), word.strip()))
    return total


def event(is_tcp: bool, inside: bool, flags: int) -> tuple[int, int]:
    side = "SIDE_INSIDE" if inside else "SIDE_OUTSIDE"
    for of, tcp, value, mask, seen in events():
        if of in (side, "_") and tcp in (is_tcp, None) and flags & mask == value:
            return seen
    return (0, 0)


def segments() -> Iterator[tuple[bool, int, Phase]]:
    both = [True, False]
    flags = [f for f in range(32) if not f & (reference.RST | 8)]
    parts = [p for p in Phase if p not in (Phase.NONE, Phase.TABLE, Phase.RESET)]
    for number in range(1 << len(parts)):
        phase = Phase.NONE
        for bit, part in enumerate(parts):
            if number >> bit & 1:
                phase |= part
        yield from ((inside, f, phase) for inside in both for f in flags)


def test_a_segment_advances_a_session_as_in_the_model() -> None:
    """But for resets, which the chip does not keep (docs/tofino.md)."""
    operation = ALL["Lifetime", "advance"]
    flow = reference.Flow(reference.Endpoint(Class.TCP, 1, 2000), 3, 80)
    for inside, flags, phase in segments():
        session = reference.Session(flow, 100, phase)
        step = reference._from_inside if inside else reference._from_outside
        step(session, reference.Segment(flags))
        closed, opened = event(True, inside, flags)
        operands = {"meta.event": closed, "meta.event_open": opened}
        after, _ = operation.run({"phase": phase}, operands)
        assert Phase(after["phase"]) == session.phase, (inside, flags, phase)


def test_a_reset_counts_for_inside_only_if_it_is_proved() -> None:
    assert event(True, True, reference.RST) == event(True, False, reference.RST) == (0, 0)


@pytest.mark.parametrize("inside", [True, False])
def test_a_datagram_counts_as_a_syn(inside: bool) -> None:
    syn = Phase.INSIDE_SYN if inside else Phase.OUTSIDE_SYN
    assert event(False, inside, 0) == (syn, syn)


def test_a_changed_operation_is_noticed() -> None:
    operation = ALL["SlotTime", "prolong"]
    changed = Operation(
        *(operation.control, operation.register, operation.name, operation.cell),
        *(operation.result, operation.operands, operation.code.replace(">=", ">")),
    )
    cell = {"cell.low": 5}
    operands = {"meta.slot_now": 5, "meta.slot_operand": 9}
    assert operation.run(cell, operands) != changed.run(cell, operands)


def test_text_that_is_not_understood_is_no_operation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.p4").write_text("RegisterAction<bit<8>, bit<4>, bit<1>>(x) f = { odd };\n")
    monkeypatch.setattr("tests.unit.p4_registers.sources", lambda: [tmp_path / "one.p4"])
    with pytest.raises(TextError, match="1 register actions, 0 read"):
        operations()
