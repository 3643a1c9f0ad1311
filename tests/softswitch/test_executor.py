"""The executor on the test program: what simple_switch would do with each packet."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from p4softswitch.errors import ProgramError
from p4softswitch.executor.v1model import V1ModelExecutor
from p4softswitch.program.bmv2_json import load_program
from p4softswitch.state.digests import DigestConfig
from p4softswitch.state.entry import Exact, Masked, Match, Prefix, Range
from p4softswitch.state.meters import MeterConfig
from p4softswitch.state.replication import CloneSession, MulticastGroup, Replica

from .helpers import action_id, csum, ethernet, executor, ipv4, program_text, udp, udp_frame

CPU = 510
ANY8 = Masked(0, 0)


@pytest.fixture
def ex() -> V1ModelExecutor:
    ex = executor()
    add(ex, "dmac", (Exact(2),), "forward", (2,))
    return ex


def add(
    ex: V1ModelExecutor,
    table: str,
    matches: tuple[Match, ...],
    action: str,
    args: tuple[int, ...] = (),
    priority: int = 0,
) -> Any:
    name = f"SwitchIngress.{table}"
    return ex.state.tables[name].insert(matches, priority, action_id(name, action), args, 0)


def acl(ex: V1ModelExecutor, action: str, args: tuple[int, ...] = (), **match: Match) -> Any:
    key = (
        match.get("src", ANY8),
        match.get("dst", Prefix(0, 0)),
        match.get("is_ip", Exact(1)),
        match.get("protocol", ANY8),
        match.get("round", ANY8),
    )
    return add(ex, "acl", key, action, args, priority=10)


def test_a_known_destination_is_forwarded_unchanged(ex: V1ModelExecutor) -> None:
    frame = udp_frame(b"x" * 30)
    assert ex.process(1, frame, 0) == [(2, frame)]


def test_an_unknown_destination_is_dropped_by_the_default_action(ex: V1ModelExecutor) -> None:
    assert ex.process(1, udp_frame(dmac=9), 0) == []
    assert ex.stats.dropped_ingress == 1


@pytest.mark.parametrize("size", range(0, 70))
def test_no_length_of_packet_is_too_short(ex: V1ModelExecutor, size: int) -> None:
    frame = udp_frame(b"abc" * 10)[:size]
    out = ex.process(1, frame, 0)
    # Without a whole Ethernet header there is no destination to look up.
    assert out == [] if size < 14 else all(port == 2 for port, _ in out)


def test_options_are_kept_and_covered_by_the_checksum(ex: V1ModelExecutor) -> None:
    options = bytes.fromhex("9404000001010100")
    frame = udp_frame(options=options)
    assert ex.process(1, frame, 0) == [(2, frame)]


def test_a_wrong_ip_version_ends_the_parser_with_the_error_of_the_program(
    ex: V1ModelExecutor,
) -> None:
    frame = ethernet(b"\x65" + ipv4(b"")[1:], 2, 1)
    assert ex.process(1, frame, 0) == []
    assert ex.stats.parser_errors == 1


def test_a_header_length_below_five_words_is_a_parser_error_but_goes_on(
    ex: V1ModelExecutor,
) -> None:
    body = ipv4(b"12345678")
    frame = ethernet(b"\x44" + body[1:], 2, 1)
    ((port, out),) = ex.process(1, frame, 0)
    assert port == 2
    assert out[:24] == frame[:24]


def test_a_wrong_checksum_on_the_way_in_is_right_on_the_way_out(ex: V1ModelExecutor) -> None:
    ((_, out),) = ex.process(1, udp_frame(bad_checksum=True), 0)
    assert csum(out[14:34]) == 0


def test_routing_rewrites_headers_and_both_checksums(ex: V1ModelExecutor) -> None:
    add(ex, "routes", (Prefix(0x0A000000, 8),), "route", (0xAABBCCDDEEFF, 3))
    ((port, out),) = ex.process(1, udp_frame(b"odd", dmac=7, ttl=9), 0)
    assert port == 3
    assert out[:12] == bytes.fromhex("aabbccddeeff000000000007")
    assert out[22] == 8
    assert csum(out[14:34]) == 0
    pseudo = out[26:34] + struct.pack(">BBH", 0, 17, 11)
    assert csum(pseudo + out[34:]) == 0


def test_the_longest_prefix_wins(ex: V1ModelExecutor) -> None:
    add(ex, "routes", (Prefix(0x0A000000, 8),), "route", (1, 3))
    add(ex, "routes", (Prefix(0x0A000002, 32),), "route", (1, 4))
    assert ex.process(1, udp_frame(), 0)[0][0] == 4


def test_a_zero_udp_checksum_stays_zero(ex: V1ModelExecutor) -> None:
    ((_, out),) = ex.process(1, udp_frame(zero_checksum=True), 0)
    assert out[40:42] == b"\0\0"


def test_exit_in_an_action_ends_ingress(ex: V1ModelExecutor) -> None:
    acl(ex, "deny", src=Masked(0x0A000001, 0xFFFFFFFF))
    assert ex.process(1, udp_frame(), 0) == []
    assert ex.process(1, udp_frame(src=0x0A000009), 0) != []


def test_optional_and_lpm_keys_of_one_ternary_table(ex: V1ModelExecutor) -> None:
    acl(ex, "deny", protocol=Masked(6, 255), dst=Prefix(0x0A000000, 24))
    assert ex.process(1, udp_frame(), 0) != []
    assert ex.process(1, ethernet(ipv4(bytes(20), protocol=6), 2, 1), 0) == []
    outside = ipv4(bytes(20), protocol=6, dst=0x0B000000)
    assert ex.process(1, ethernet(outside, 2, 1), 0) != []


def test_direct_counters_count_hits_with_the_length_on_the_wire(ex: V1ModelExecutor) -> None:
    entry = acl(ex, "permit")
    frames = [udp_frame(b"a" * n) for n in (10, 20)]
    for frame in frames:
        ex.process(1, frame, 0)
    assert (entry.packets, entry.bytes) == (2, sum(map(len, frames)))


def test_indirect_counters_count_on_the_port(ex: V1ModelExecutor) -> None:
    frame = udp_frame()
    ex.process(1, frame, 0)
    assert ex.state.counters["SwitchIngress.port_counter"].read(1) == (1, len(frame))
    assert ex.state.counters["SwitchEgress.egress_counter"].read(2) == (1, len(frame))


def test_multicast_floods_to_all_but_the_source(ex: V1ModelExecutor) -> None:
    add(ex, "dmac", (Exact(0xFFFFFFFFFFFF),), "flood", (1,))
    ex.state.replication.insert_group(MulticastGroup(1, tuple(Replica(p, 0) for p in (1, 2, 3))))
    frame = udp_frame(dmac=0xFFFFFFFFFFFF)
    assert ex.process(1, frame, 0) == [(2, frame), (3, frame)]
    assert ex.stats.dropped_egress == 1


def test_a_group_that_does_not_exist_sends_nothing(ex: V1ModelExecutor) -> None:
    add(ex, "dmac", (Exact(5),), "flood", (99,))
    assert ex.process(1, udp_frame(dmac=5), 0) == []


def test_an_ingress_clone_carries_the_packet_as_it_came_and_the_preserved_fields(
    ex: V1ModelExecutor,
) -> None:
    ex.state.replication.insert_session(CloneSession(7, (Replica(CPU, 0),)))
    add(ex, "routes", (Prefix(0, 0),), "route", (1, 3))
    acl(ex, "punt", (42,))
    # Metadata that the parser set is lost in a clone, as on BMv2; a checksum update that uses it
    # would go wrong there, so this frame has none.
    frame = udp_frame(zero_checksum=True)
    clone, routed = ex.process(4, frame, 0)
    assert clone == (CPU, struct.pack(">H", 4 << 7 | 42) + frame)
    assert routed[0] == 3
    assert routed[1] != frame


def test_a_clone_session_can_truncate(ex: V1ModelExecutor) -> None:
    ex.state.replication.insert_session(CloneSession(7, (Replica(CPU, 0),), truncate_to=20))
    acl(ex, "punt", (1,))
    clone, whole = ex.process(1, udp_frame(), 0)
    assert len(clone[1]) == 20
    assert len(whole[1]) > 20


def test_a_clone_to_a_missing_session_leaves_the_packet_alone(ex: V1ModelExecutor) -> None:
    acl(ex, "punt", (1,))
    assert len(ex.process(1, udp_frame(), 0)) == 1


def test_resubmission_keeps_the_fields_of_its_list(ex: V1ModelExecutor) -> None:
    acl(ex, "again", round=Masked(0, 255))
    entry = acl(ex, "permit", round=Masked(1, 255))
    frame = udp_frame()
    assert ex.process(1, frame, 0) == [(2, frame)]
    assert entry.packets == 1


def test_endless_resubmission_is_cut_off_and_counted(ex: V1ModelExecutor) -> None:
    acl(ex, "again")
    assert ex.process(1, udp_frame(), 0) == []
    assert ex.stats.loop_limit == 1


def test_recirculation_runs_the_packet_again_as_it_left(ex: V1ModelExecutor) -> None:
    add(ex, "dmac", (Exact(0xAA),), "forward", (4,))
    add(ex, "routes", (Prefix(0x0B000000, 8),), "route", (2, 3))
    acl(ex, "around", dst=Prefix(0x0B000000, 8))
    frame = udp_frame(dst=0x0B000001, ttl=100)
    ((port, out),) = ex.process(1, frame, 0)
    assert port == 3
    assert out[22] == 96  # routed in each of four rounds


def test_a_header_stack_takes_two_tags_and_reports_the_third(ex: V1ModelExecutor) -> None:
    inner = ipv4(udp(b"d"))
    tag = struct.pack(">HH", 5, 0x8100)
    for count in (1, 2):
        body = tag * (count - 1) + struct.pack(">HH", 5, 0x0800) + inner
        frame = ethernet(body, 2, 1, 0x8100)
        assert ex.process(1, frame, 0) == [(2, frame)]
    assert ex.stats.parser_errors == 0
    body = tag * 2 + struct.pack(">HH", 5, 0x0800) + inner
    frame = ethernet(body, 2, 1, 0x8100)
    assert ex.process(1, frame, 0) == [(2, frame)]
    assert ex.stats.parser_errors == 1


def test_push_front_adds_a_tag(ex: V1ModelExecutor) -> None:
    frame = udp_frame(dport=7777)
    ((_, out),) = ex.process(1, frame, 0)
    assert out[12:14] == b"\x81\x00"
    assert out[16:18] == b"\x08\x00"
    assert out[18:] == frame[14:]


def test_truncate_and_packet_length_and_signed_arithmetic(ex: V1ModelExecutor) -> None:
    frame = udp_frame(b"z" * 100, dport=7778)
    ((_, out),) = ex.process(1, frame, 0)
    assert len(out) == 60
    assert out[18:20] == struct.pack(">H", len(frame))
    assert out[15] == (2 - 100) & 0xFF  # `forward` saturates: 2 |-| 100


def test_constant_entries_in_order_of_the_program(ex: V1ModelExecutor) -> None:
    for tos, ttl, tag in ((0x15, 9, 11), (0x25, 9, 12), (0x20, 8, 13)):
        ((_, out),) = ex.process(1, udp_frame(tos=tos, ttl=ttl, dport=7777), 0)
        assert out[14] >> 5 == tag & 7


def test_ranges_and_priorities(ex: V1ModelExecutor) -> None:
    def classify(low: int, high: int, cls: int, priority: int) -> None:
        key = (Range(low, high), Range(0, 65535), Masked(0, 0))
        add(ex, "classify", key, "set_class", (cls,), priority)

    classify(1000, 2000, 1, 5)
    classify(1500, 1600, 2, 9)
    for sport, cls in ((999, 0), (1000, 1), (1550, 2), (2000, 1), (2001, 0)):
        ((_, out),) = ex.process(1, udp_frame(sport=sport, dport=7777), 0)
        assert out[14] >> 5 == cls


def test_a_red_packet_is_dropped_by_the_program(ex: V1ModelExecutor) -> None:
    meter = ex.state.meters["SwitchIngress.port_meter"]
    meter.configure(1, MeterConfig(1, 1, 1, 1), 0)
    assert len(ex.process(1, udp_frame(), 0)) == 1
    assert ex.process(1, udp_frame(), 0) == []
    assert len(ex.process(3, udp_frame(), 0)) == 1
    assert len(ex.process(1, udp_frame(), 1_000_000_000)) == 1


def test_registers_count_per_flow(ex: V1ModelExecutor) -> None:
    outs = [ex.process(1, udp_frame(dport=7778), 0)[0][1] for _ in range(3)]
    assert [out[34:36] for out in outs] == [b"\0\1", b"\0\2", b"\0\3"]


def test_a_digest_holds_the_fields_of_the_packet(ex: V1ModelExecutor) -> None:
    (store,) = ex.state.digests.values()
    store.configure(DigestConfig())
    ex.process(3, udp_frame(smac=0x1234), 0)
    assert [d.samples for d in store.due(0)] == [((0x1234, 3),)]


def test_a_known_source_is_not_learned_again(ex: V1ModelExecutor) -> None:
    (store,) = ex.state.digests.values()
    store.configure(DigestConfig())
    add(ex, "smac", (Exact(1), Exact(3)), "known")
    ex.process(3, udp_frame(), 0)
    assert store.due(0) == []


def test_a_packet_out_leaves_by_its_port_without_its_header(ex: V1ModelExecutor) -> None:
    frame = udp_frame(dmac=99)
    assert ex.process(CPU, struct.pack(">H", 3 << 7) + frame, 0) == [(3, frame)]


def test_packets_do_not_leave_traces_in_the_next_one(ex: V1ModelExecutor) -> None:
    plain = ethernet(b"payload", 2, 1, 0x9999)
    first = ex.process(1, plain, 0)
    ex.process(1, udp_frame(dport=7777, options=bytes(8)), 0)
    assert ex.process(1, plain, 0) == first == [(2, plain)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not BMv2 JSON"),
        ("[]", "not an object"),
        ("{}", "malformed"),
        ('{"header_unions": [{"name": "u"}]}', "header unions"),
        ("[" * 100000, "not BMv2 JSON"),
    ],
)
def test_a_malformed_program_is_refused_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(ProgramError) as refused:
        load_program(text)
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("victim", ["mark_to_drop", "clone_ingress_pkt_to_egress", "push"])
def test_an_unknown_primitive_is_refused_by_name(victim: str) -> None:
    text = program_text().replace(f'"op" : "{victim}"', '"op" : "fly_away"')
    with pytest.raises(ProgramError, match="fly_away"):
        V1ModelExecutor(load_program(text))


def test_an_unknown_field_is_refused_by_name() -> None:
    text = program_text().replace('"ethernet", "dst"', '"ethernet", "nowhere"')
    with pytest.raises(ProgramError, match="nowhere"):
        V1ModelExecutor(load_program(text))


def test_what_a_parser_cannot_do_is_named_with_its_state() -> None:
    root = json.loads(program_text("stress"))
    state = next(s for s in root["parsers"][0]["parse_states"] if s["name"] == "option")
    state["transition_key"] = [{"type": "expression", "value": {"type": "bool", "value": True}}]
    with pytest.raises(ProgramError, match=r"parser select on .* \(parser state 'option'\)"):
        load_program(json.dumps(root))
