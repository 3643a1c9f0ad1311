"""ARP requests and replies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.packet.arp import arp_reply, arp_request, parse_arp
from p4alg.packet.errors import PacketError
from p4alg.packet.ethernet import BROADCAST, parse_ethernet

addresses = st.integers(0x01000000, 0x7EFFFFFF)


@given(addresses, addresses, st.integers(1, 2**48 - 1), st.integers(0, 4095))
def test_questions_and_answers(asker: int, asked: int, mac: int, vlan: int) -> None:
    frame = arp_request(mac, vlan, asker, asked)
    request = parse_arp(frame)
    assert request.is_request
    assert (request.sender_addr, request.target_addr) == (asker, asked)
    assert parse_ethernet(frame).dst == BROADCAST
    answer = arp_reply(request, 0x020000000009)
    reply = parse_arp(answer)
    assert not reply.is_request
    assert (reply.sender_addr, reply.sender_mac) == (asked, 0x020000000009)
    assert (reply.target_addr, reply.target_mac, reply.vlan_id) == (asker, mac, vlan)
    assert parse_ethernet(answer).dst == mac


REQUEST = arp_request(0x020000000001, 0, 1, 2)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        pytest.param(12, 0x08, id="another ether type"),
        pytest.param(15, 6, id="another hardware"),
        pytest.param(16, 0x86, id="another protocol"),
        pytest.param(18, 8, id="longer hardware addresses"),
        pytest.param(19, 16, id="longer protocol addresses"),
        pytest.param(21, 3, id="another operation"),
    ],
)
def test_G9_what_is_no_arp_for_ipv4_is_refused(at: int, value: int) -> None:
    frame = bytearray(REQUEST)
    frame[at : at + 1] = bytes([value])
    if at == 12:
        frame[13] = 0
    with pytest.raises(PacketError):
        parse_arp(bytes(frame))


def test_G9_a_truncated_one_is_refused() -> None:
    for size in range(len(REQUEST)):
        with pytest.raises(PacketError):
            parse_arp(REQUEST[:size])
    assert parse_arp(REQUEST + b"padding") == parse_arp(REQUEST)


@given(st.binary(max_size=200))
def test_G9_no_bytes_raise_anything_but_a_packet_error(data: bytes) -> None:
    try:
        parse_arp(data)
    except PacketError:
        return
