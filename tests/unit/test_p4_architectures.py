"""The program for TNA is the twin of that for v1model: what a controller sees is the same.

Read from the sources, so that it needs no compiler of either. Every difference is listed here
with its reason; one that is not there any more has to go from the list as well.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

P4SRC = Path(__file__).resolve().parents[2] / "p4src"

COUNTS = "a direct counter is named in the action, so tables that count share none"
TWO_PARTS = "MAC addresses and VLAN are needed in egress only, and a table is in one of both"
TIME = "a register operation takes two operands, so the present comes from a table"
EACH_SIDE = "a counter is either in ingress or in egress"
ALLOWED = {
    "file checksum.p4: only in v1model": "parsers and deparsers of TNA hold the checksums",
    "file sizes.p4: only in tna": "what is less than in shared/sizes.p4",
    "table clock: only in tna": TIME,
    "table neighbour: only in tna": TWO_PARTS,
    "table next_hop: action leave: parameters": TWO_PARTS,
    "table ike_in: actions": COUNTS,
    "table scramble_high: actions": COUNTS,
    "array late_drop_counter: only in tna": EACH_SIDE,
}

TABLE = re.compile(r"^    @id\((0x\w+)\)\s+table (\w+) \{\n(.*?)^    \}$", re.M | re.S)
KEY = re.compile(r': (\w+)\s+@id\((\d+)\) @name\("(\w+)"\)(?: @format\((\w+)\))?;')
ACTION = re.compile(r"@id\((0x\w+)\)\s+action (\w+)\(([^{]*)\)\s*\{")
PARAMETER = re.compile(r"(?:@id\((\d+)\) )?(?:@format\((\w+)\) )?([\w<>]+) (\w+)$")
ARRAY = re.compile(r"^\s*@id\((0x1[24]\w+)\)\s+\S.*?(\w+);", re.M)


@dataclass(frozen=True)
class Table:
    """What P4Runtime knows of a table, but for widths."""

    id: str
    keys: tuple[tuple[str, ...], ...]
    actions: frozenset[str]
    size: str
    ages: bool


@dataclass(frozen=True)
class Program:
    """What a controller knows of a program: objects by name."""

    files: frozenset[str]
    tables: dict[str, Table]
    actions: dict[str, tuple[str, tuple[tuple[str, ...], ...]]]
    arrays: dict[str, str]
    digests: frozenset[str]


def parse(name: str, text: str) -> Table:
    body = re.sub(r"//.*", "", text)
    listed = re.search(r"actions = \{(.*?)\}", body, re.S)
    assert listed is not None
    size = re.search(r"size = (\w+);", body)
    return Table(
        name,
        tuple(KEY.findall(body)),
        frozenset(re.findall(r"(\w+);", listed[1])),
        size[1] if size and size[1].startswith("SIZE_") else "",
        "_timeout = true" in body,
    )


def read(text: str, files: frozenset[str] = frozenset()) -> Program:
    tables = {name: parse(id_, body) for id_, name, body in TABLE.findall(text)}
    used = frozenset(action for table in tables.values() for action in table.actions)
    actions = {}
    for id_, name, listed in ACTION.findall(text):
        if name in used:
            parameters = [" ".join(p.split()) for p in listed.split(",") if p.strip()]
            found = [PARAMETER.match(p) for p in parameters]
            assert all(found), f"{name}: {parameters}"
            actions[name] = (id_, tuple(match.groups("") for match in found if match))
    return Program(
        files,
        tables,
        actions,
        {name: id_ for id_, name in ARRAY.findall(text)},
        frozenset(re.findall(r"[Dd]igest<(\w+)>", text)),
    )


def program(architecture: str) -> Program:
    paths = sorted((P4SRC / architecture).glob("*.p4"))
    return read("\n".join(p.read_text() for p in paths), frozenset(p.name for p in paths))


@pytest.fixture(scope="module")
def v1model() -> Program:
    return program("v1model")


@pytest.fixture(scope="module")
def tna() -> Program:
    return program("tna")


def only(kind: str, left: frozenset[str], right: frozenset[str]) -> Iterator[str]:
    yield from (f"{kind} {name}: only in v1model" for name in left - right)
    yield from (f"{kind} {name}: only in tna" for name in right - left)


def differences(left: Program, right: Program) -> set[str]:
    found = set(only("file", left.files, right.files))
    found |= set(only("table", frozenset(left.tables), frozenset(right.tables)))
    found |= set(only("array", frozenset(left.arrays), frozenset(right.arrays)))
    found |= set(only("digest", left.digests, right.digests))
    found |= {
        f"array {n}: id"
        for n in left.arrays.keys() & right.arrays.keys()
        if left.arrays[n] != right.arrays[n]
    }
    for name in left.tables.keys() & right.tables.keys():
        ours, theirs = left.tables[name], right.tables[name]
        for what in ("id", "keys", "actions", "size", "ages"):
            if getattr(ours, what) != getattr(theirs, what):
                found.add(f"table {name}: {what}")
        for action in ours.actions & theirs.actions - {"NoAction"}:
            if left.actions[action][0] != right.actions[action][0]:
                found.add(f"table {name}: action {action}: id")
            if left.actions[action][1] != right.actions[action][1]:
                found.add(f"table {name}: action {action}: parameters")
    return found


def test_every_difference_has_a_reason(v1model: Program, tna: Program) -> None:
    assert differences(v1model, tna) == set(ALLOWED)


def named(info: str, *kinds: str) -> set[str]:
    """The names of objects of these kinds in a P4Info."""
    begin = rf"^(?:{'|'.join(kinds)}) \{{\n  preamble \{{\n    id: \d+\n"
    return set(re.findall(begin + r'    name: "[\w.]*?(\w+)"', info, re.M))


def test_the_reader_finds_every_table_and_array(v1model: Program) -> None:
    info = (P4SRC / "artifacts" / "v1model" / "p4alg.p4info.txtpb").read_text()
    assert set(v1model.tables) == named(info, "tables")
    assert set(v1model.arrays) == named(info, "counters", "meters")
    keys = sum(len(table.keys) for table in v1model.tables.values())
    assert keys == info.count("match_fields {")


@pytest.mark.parametrize(
    ("before", "after", "difference"),
    [
        ('@name("dst_id")', '@name("port")', "table policy: keys"),
        ("bit<32> next_hop)", "bit<16> next_hop)", "table route: action via: parameters"),
        ("size = SIZE_IKE", "size = SIZE_ROUTE", "table ike_in: size"),
        ("@id(0x0200000b)", "@id(0x0200000d)", "table peer: id"),
    ],
)
def test_a_change_is_noticed(v1model: Program, before: str, after: str, difference: str) -> None:
    text = "\n".join(p.read_text() for p in sorted((P4SRC / "v1model").glob("*.p4")))
    assert before in text
    assert differences(v1model, read(text.replace(before, after), v1model.files)) == {difference}


def test_the_entries_of_verdict_are_those_of_both() -> None:
    for architecture in ("v1model", "tna"):
        text = (P4SRC / architecture / "verdict.p4").read_text()
        assert text.count('#include "../shared/verdict_entries.p4"') == 1
