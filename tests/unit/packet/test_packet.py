"""Frames: what is built parses, checksums hold when summed independently, and no bytes raise
anything but PacketError."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.packet import icmp, tcp
from p4alg.packet.arp import arp_reply, arp_request, parse_arp
from p4alg.packet.checksum import total, transport_checksum
from p4alg.packet.errors import PacketError
from p4alg.packet.ethernet import BROADCAST, build_ethernet, parse_ethernet
from p4alg.packet.ipv4 import build_ipv4, fragment_ipv4, parse_ipv4, replace_ipv4
from p4alg.packet.transport import transport_ids

MACS = (0x020000000001, 0x020000000002)
SRC, DST = 0x0A00000B, 0xC6336401
addresses = st.integers(0x01000000, 0x7EFFFFFF)
ports = st.integers(0, 65535)


def segment(options=b"", payload=b"", flags=tcp.ACK, seq=1, ack=2):
    head = struct.pack(
        "!HHIIBBHHH", 40000, 21, seq, ack, (20 + len(options)) << 2, flags, 501, 0, 0
    )
    body = head + options + payload
    filled = body[:16] + transport_checksum(SRC, DST, 6, body).to_bytes(2, "big") + body[18:]
    return parse_ipv4(build_ipv4(MACS, 0, SRC, DST, 6, filled))


def tcp_is_right(frame):
    packet = parse_ipv4(frame)
    pseudo = struct.pack("!IIHH", packet.src, packet.dst, 6, len(packet.payload))
    header = packet.frame[packet.l3 : packet.l4]
    return total(pseudo + packet.payload) == 0xFFFF and total(header) == 0xFFFF


@given(st.binary(max_size=200))
def test_G9_no_bytes_raise_anything_but_a_packet_error(data):
    for parse in (parse_ethernet, parse_arp, parse_ipv4):
        try:
            parse(data)
        except PacketError:
            continue


@given(st.binary(max_size=120), st.integers(0, 255))
def test_G9_no_datagram_raises_in_its_transport(data, proto):
    packet = parse_ipv4(build_ipv4(MACS, 0, SRC, DST, proto, data))
    transport_ids(packet)
    icmp.icmp_error(packet, src_addr=1, type_=3, code=1)
    for parse in (tcp.parse_tcp, tcp.sanitised_syn, tcp.mss_option, icmp.parse_icmp):
        try:
            parse(packet)
        except PacketError:
            continue


@given(addresses, addresses, st.integers(0, 4095), st.binary(max_size=99), st.binary(max_size=99))
def test_ipv4_survives_building_and_replacing(src, dst, vlan, payload, other):
    packet = parse_ipv4(build_ipv4(MACS, vlan, src, dst, 17, payload) + b"padding")
    assert (packet.src, packet.dst, packet.eth.vlan_id) == (src, dst, vlan)
    assert packet.payload == payload
    changed = parse_ipv4(replace_ipv4(packet, other))
    assert changed.payload == other
    assert total(changed.frame[changed.l3 : changed.l4]) == 0xFFFF


@given(st.binary(min_size=1, max_size=4000), st.integers(68, 1500), st.booleans())
def test_N4787_13_fragments_join_to_the_datagram(payload, mtu, with_options):
    whole = build_ipv4(MACS, 0, SRC, DST, 17, payload)
    head = bytearray(whole[:34])
    if with_options:
        # One option that fragments repeat (loose source route) and one they do not.
        head += bytes([0x83, 3, 4, 7, 4, 5, 0, 0])
        head[14] = 0x47
    head[20:22] = b"\0\0"
    struct.pack_into("!H", head, 16, len(head) - 14 + len(payload))
    packet = parse_ipv4(bytes(head) + payload)
    pieces = [parse_ipv4(piece) for piece in fragment_ipv4(packet, mtu)]
    joined = bytearray(len(payload))
    for piece in pieces:
        assert piece.end - piece.l3 <= mtu
        assert total(piece.frame[piece.l3 : piece.l4]) == 0xFFFF
        joined[piece.offset : piece.offset + len(piece.payload)] = piece.payload
    assert bytes(joined) == payload
    assert [piece.more_fragments for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    if with_options and len(pieces) > 1:
        later = pieces[1]
        assert later.frame[later.l3 + 20 : later.l4] == bytes([0x83, 3, 4, 0])


def test_what_must_not_be_fragmented_is_not():
    packet = parse_ipv4(build_ipv4(MACS, 0, SRC, DST, 17, bytes(2000)))
    with pytest.raises(PacketError):
        fragment_ipv4(packet, 1500)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=300))
def test_replaced_segments_have_right_checksums(seq, ack, payload):
    packet = segment(options=b"\x01\x01\x08\x0a" + bytes(8), payload=b"old")
    frame = tcp.replace_tcp(packet, seq=seq, ack=ack, flags=tcp.ACK | tcp.PSH, payload=payload)
    found = tcp.parse_tcp(parse_ipv4(frame))
    assert (found.seq, found.ack, found.payload, found.header_len) == (seq, ack, payload, 20)
    assert tcp_is_right(frame)


def test_G6_a_syn_keeps_mss_and_window_scale_and_nothing_else():
    options = b"\x02\x04\x05\xb4" + b"\x04\x02" + b"\x08\x0a" + bytes(8) + b"\x01\x03\x03\x07"
    packet = segment(options=options, payload=b"fast open", flags=tcp.SYN)
    frame = tcp.sanitised_syn(packet)
    clean = parse_ipv4(frame)
    expected = b"\x02\x04\x05\xb4" + b"\x01" * 13 + b"\x03\x03\x07"
    assert clean.payload[20:] == expected
    assert tcp.mss_option(clean) == 1460
    assert tcp_is_right(frame)


@given(st.binary(max_size=40).map(lambda data: data + b"\0" * (-len(data) % 4)))
def test_G6_malformed_options_never_survive_as_sack(options):
    clean = parse_ipv4(tcp.sanitised_syn(segment(options=options, flags=tcp.SYN)))
    body = clean.payload
    at = 20
    while at < len(body):
        assert body[at] in (1, 2, 3)
        at += 1 if body[at] == 1 else body[at + 1]


@given(addresses, addresses, st.integers(1, 2**48 - 1), st.integers(0, 4095))
def test_arp_questions_and_answers(asker, asked, mac, vlan):
    request = parse_arp(arp_request(mac, vlan, asker, asked))
    assert request.is_request
    assert (request.sender_addr, request.target_addr) == (asker, asked)
    reply = parse_arp(arp_reply(request, 0x020000000009))
    assert not reply.is_request
    assert (reply.sender_addr, reply.sender_mac) == (asked, 0x020000000009)
    assert (reply.target_addr, reply.target_mac, reply.vlan_id) == (asker, mac, vlan)
    assert parse_ethernet(arp_request(mac, vlan, asker, asked)).dst == BROADCAST


def echo(kind=8, ident=77):
    body = struct.pack("!BBHHH", kind, 0, 0, ident, 5) + b"data"
    return parse_ipv4(build_ipv4(MACS, 0, SRC, DST, 1, body))


def test_echo_requests_are_answered():
    reply = parse_ipv4(icmp.echo_reply(echo()))
    assert (reply.src, reply.dst, reply.eth.dst) == (DST, SRC, MACS[1])
    assert icmp.parse_icmp(reply) == (0, 0, 77, 5)
    assert total(reply.payload) == 0xFFFF


def test_errors_quote_the_packet_and_go_to_its_sender():
    packet = parse_ipv4(build_ipv4(MACS, 7, SRC, DST, 17, bytes(1400)))
    frame = icmp.icmp_error(packet, src_addr=9, type_=3, code=4, mtu=1300)
    error = parse_ipv4(frame)
    assert (error.src, error.dst, error.eth.vlan_id) == (9, SRC, 7)
    assert error.end - error.l3 <= 576
    assert total(error.payload) == 0xFFFF
    assert error.payload[6:8] == (1300).to_bytes(2, "big")
    assert error.payload[8:28] == packet.frame[packet.l3 : packet.l3 + 20]


def test_no_errors_about_errors_broadcasts_or_later_fragments():
    body = struct.pack("!BBHHH", 3, 1, 0, 0, 0) + bytes(28)
    assert errs(build_ipv4(MACS, 0, SRC, DST, 1, body)) is None
    assert errs(build_ipv4((BROADCAST, MACS[1]), 0, SRC, DST, 17, b"")) is None
    assert errs(build_ipv4(MACS, 0, SRC, 0xE0000001, 17, b"")) is None
    assert errs(build_ipv4(MACS, 0, 0, DST, 17, b"")) is None
    later = bytearray(build_ipv4(MACS, 0, SRC, DST, 17, b"x"))
    later[20:22] = b"\0\x01"
    assert errs(bytes(later)) is None
    assert errs(build_ipv4(MACS, 0, SRC, DST, 17, b"x")) is not None


def errs(frame):
    return icmp.icmp_error(parse_ipv4(frame), src_addr=1, type_=11, code=0)


def test_flow_identifiers():
    assert transport_ids(segment()) == (40000, 21)
    assert transport_ids(echo()) == (77, 77)
    assert transport_ids(echo(kind=3)) is None
    gre = parse_ipv4(build_ethernet(*MACS, 0, 0x0800, segment().frame[14:23] + b"\x2f" + bytes(30)))
    assert transport_ids(gre) is None


@given(ports, ports, st.binary(max_size=50))
def test_a_udp_checksum_is_never_zero(source, target, data):
    body = struct.pack("!HHHH", source, target, 8 + len(data), 0) + data
    assert transport_checksum(SRC, DST, 17, body) != 0
