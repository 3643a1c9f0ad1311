"""The program for TNA is the twin of that for v1model: what a controller sees is the same.

Every difference is listed here with its reason; one that is not there any more has to go from
the list as well.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from finsy.proto import p4i
from google.protobuf import text_format

ARTIFACTS = Path(__file__).resolve().parents[2] / "p4src" / "artifacts"

COUNTS = "a direct counter is named in the action, so tables that count share none"
TWO_PARTS = "MAC addresses and VLAN are needed in egress only, and a table is in one of both"
TIME = "a register operation takes two operands, so the present comes from a table"
SMALLER = "what fits a pipe (docs/tofino.md)"
EACH_SIDE = "a counter is either in ingress or in egress"
NUMBERS = "the compiler gives arrays numbers of its own; a controller finds them by name"
FIXED = "its entries are the program's own"
ALLOWED = {
    "table clock: only in tna": TIME,
    "table neighbour: only in tna": TWO_PARTS,
    "table next_hop: action leave: parameters vlan_id, src_mac, dst_mac: only in v1model": (
        TWO_PARTS
    ),
    "table ike_in: action set_inside: only in v1model": COUNTS,
    "table ike_in: action set_ike_inside: only in tna": COUNTS,
    "table scramble_high: action scramble: only in v1model": COUNTS,
    "table scramble_high: action scramble_more: only in tna": COUNTS,
    "counter late_drop_counter: only in tna": EACH_SIDE,
    **{
        f"{name}: id": NUMBERS
        for name in (
            *("counter drop_counter", "counter punt_counter", "meter claim_meter"),
            *("meter port_meter", "meter punt_meter", "meter source_meter"),
        )
    },
    "table port_zone: keys": "a parser cannot widen a port, which has nine bits",
    "table gateway: size": FIXED,
    "table verdict: size": FIXED,
    **{
        f"table {name}: size": SMALLER
        for name in (
            *("policy", "map_out", "map_in", "addr_map_out", "addr_map_in", "ike_in", "peer"),
            *("session", "pinhole", "sequence", "block", "route", "next_hop", "timer"),
        )
    },
}


def load(path: Path) -> p4i.P4Info:
    return text_format.Parse(path.read_text(), p4i.P4Info())


@pytest.fixture(scope="module")
def v1model() -> p4i.P4Info:
    return load(ARTIFACTS / "v1model" / "p4alg.p4info.txtpb")


@pytest.fixture(scope="module")
def tna() -> p4i.P4Info:
    return load(ARTIFACTS / "tna" / "p4alg.p4info.txtpb")


def short(preamble: p4i.Preamble) -> str:
    """The name without the controls it is in, which are those of the stages."""
    return str(preamble.name).rsplit(".", 1)[-1]


def only(kind: str, left: set[str], right: set[str]) -> Iterator[str]:
    yield from (f"{kind} {name}: only in v1model" for name in sorted(left - right))
    yield from (f"{kind} {name}: only in tna" for name in sorted(right - left))


def actions(info: p4i.P4Info, table: p4i.Table) -> dict[str, p4i.Action]:
    known = {action.preamble.id: action for action in info.actions}
    return {short(known[ref.id].preamble): known[ref.id] for ref in table.action_refs}


def action_differences(left: p4i.Action, right: p4i.Action) -> Iterator[str]:
    if left.preamble.id != right.preamble.id:
        yield "id"
    ours = {p.name: (p.id, p.bitwidth) for p in left.params}
    theirs = {p.name: (p.id, p.bitwidth) for p in right.params}
    for missing, where in (
        (ours.keys() - theirs.keys(), "v1model"),
        (theirs.keys() - ours.keys(), "tna"),
    ):
        if missing:
            names = [p.name for p in (*left.params, *right.params) if p.name in missing]
            yield f"parameters {', '.join(names)}: only in {where}"
    yield from (f"parameter {n}" for n in ours.keys() & theirs.keys() if ours[n] != theirs[n])


def table_differences(
    v1model: p4i.P4Info, left: p4i.Table, tna: p4i.P4Info, right: p4i.Table
) -> Iterator[str]:
    name = f"table {short(left.preamble)}"
    if left.preamble.id != right.preamble.id:
        yield f"{name}: id"
    keys = [
        [(k.id, k.name, k.bitwidth, k.match_type) for k in t.match_fields] for t in (left, right)
    ]
    if keys[0] != keys[1]:
        yield f"{name}: keys"
    if left.size != right.size:
        yield f"{name}: size"
    if left.idle_timeout_behavior != right.idle_timeout_behavior:
        yield f"{name}: ageing"
    ours, theirs = actions(v1model, left), actions(tna, right)
    yield from only(f"{name}: action", set(ours), set(theirs))
    for action in ours.keys() & theirs.keys():
        for what in action_differences(ours[action], theirs[action]):
            yield f"{name}: action {action}: {what}"


def differences(v1model: p4i.P4Info, tna: p4i.P4Info) -> set[str]:
    """What a controller has to know beyond the names of the architectures."""
    ours = {short(t.preamble): t for t in v1model.tables}
    theirs = {short(t.preamble): t for t in tna.tables}
    found = set(only("table", set(ours), set(theirs)))
    for name in ours.keys() & theirs.keys():
        found |= set(table_differences(v1model, ours[name], tna, theirs[name]))
    for kind in ("counter", "meter"):
        left = {short(o.preamble): o for o in getattr(v1model, f"{kind}s")}
        right = {short(o.preamble): o for o in getattr(tna, f"{kind}s")}
        found |= set(only(kind, set(left), set(right)))
        for name in left.keys() & right.keys():
            if left[name].preamble.id != right[name].preamble.id:
                found.add(f"{kind} {name}: id")
            if left[name].size != right[name].size:
                found.add(f"{kind} {name}: size")
    found |= set(only("digest", *({short(d.preamble) for d in i.digests} for i in (v1model, tna))))
    headers = [
        {
            short(h.preamble): [(m.name, m.bitwidth) for m in h.metadata]
            for h in i.controller_packet_metadata
        }
        for i in (v1model, tna)
    ]
    if headers[0] != headers[1]:
        found.add("headers of the controller's packets")
    return found


def test_every_difference_has_a_reason(v1model: p4i.P4Info, tna: p4i.P4Info) -> None:
    assert differences(v1model, tna) == set(ALLOWED)


def test_a_key_of_another_width_is_noticed(v1model: p4i.P4Info) -> None:
    changed = p4i.P4Info()
    changed.CopyFrom(v1model)
    table = next(t for t in changed.tables if short(t.preamble) == "policy")
    table.match_fields[0].bitwidth += 1
    assert differences(v1model, changed) == {"table policy: keys"}


def test_a_parameter_that_is_gone_is_noticed(v1model: p4i.P4Info) -> None:
    changed = p4i.P4Info()
    changed.CopyFrom(v1model)
    action = next(a for a in changed.actions if short(a.preamble) == "via")
    del action.params[:]
    assert differences(v1model, changed) == {
        "table route: action via: parameters next_hop: only in v1model"
    }


def test_digests_carry_the_same_fields(v1model: p4i.P4Info, tna: p4i.P4Info) -> None:
    digests = {short(digest.preamble) for digest in v1model.digests}

    def fields(info: p4i.P4Info) -> dict[str, list[tuple[str, int]]]:
        return {
            name: [(m.name, m.type_spec.bitstring.bit.bitwidth) for m in struct.members]
            for name, struct in info.type_info.structs.items()
            if name in digests
        }

    assert fields(v1model) == fields(tna)
