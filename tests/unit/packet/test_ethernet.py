"""Ethernet frames, tagged and not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.packet.errors import PacketError
from p4alg.packet.ethernet import ETH_ARP, ETH_IPV4, build_ethernet, parse_ethernet
from tests.unit.packet.frames import MACS

macs = st.integers(0, 2**48 - 1)


@given(macs, macs, st.integers(0, 4095), st.sampled_from([ETH_IPV4, ETH_ARP]), st.binary())
def test_what_is_built_is_read(dst: int, src: int, vlan: int, kind: int, payload: bytes) -> None:
    frame = build_ethernet(dst, src, vlan, kind, payload)
    eth = parse_ethernet(frame)
    assert (eth.dst, eth.src, eth.vlan_id, eth.ether_type) == (dst, src, vlan, kind)
    assert frame[eth.payload_offset :] == payload


def test_priority_and_drop_eligibility_of_a_tag_are_no_part_of_its_vlan() -> None:
    frame = bytearray(build_ethernet(*MACS, 5, ETH_IPV4, b""))
    frame[14] |= 0xF0
    assert parse_ethernet(bytes(frame)).vlan_id == 5


@pytest.mark.parametrize("vlan", [0, 5])
def test_G9_a_truncated_header_is_refused(vlan: int) -> None:
    frame = build_ethernet(*MACS, vlan, ETH_IPV4, b"")
    for size in range(len(frame)):
        with pytest.raises(PacketError, match="frame shorter than"):
            parse_ethernet(frame[:size])
    assert parse_ethernet(frame).payload_offset == len(frame)
