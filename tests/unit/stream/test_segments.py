"""Segments from chunks: cut, joined, numbered."""

import pytest

from p4alg.alg.contract import Peer
from p4alg.packet.ipv4 import parse_ipv4
from p4alg.packet.tcp import ACK, FIN, PSH, RST, URG, Tcp, parse_tcp
from p4alg.stream.direction import Direction
from p4alg.stream.history import Chunk
from p4alg.stream.segments import MAX_MSS, Segment, data_segments, empty_segment
from tests.unit.packet.frames import ip_header_is_right, tcp_segment, transport_is_right


def direction(mss: int = 1460) -> Direction:
    """From an end with initial sequence number 1000 to one with 5000 that takes `mss` bytes."""
    one, other = Direction(Peer.CLIENT, 4096), Direction(Peer.SERVER, 4096)
    one.reverse, other.reverse = other, one
    one.begin(1000)
    other.begin(5000)
    other.mss = mss
    one.remember(3, tcp_segment(payload=b"old"))
    return one


def read(segments: list[Segment]) -> list[Tcp]:
    packets = [parse_ipv4(segment.frame) for segment in segments]
    assert all(transport_is_right(p) and ip_header_is_right(p) for p in packets)
    assert {segment.port for segment in segments} <= {3}
    return [parse_tcp(packet) for packet in packets]


@pytest.mark.parametrize(("mss", "size"), [(100, 100), (9000, MAX_MSS)])
def test_no_segment_is_larger_than_its_receiver_takes(mss: int, size: int) -> None:
    data = bytes(range(256)) * 20
    found = read(data_segments(direction(mss), [Chunk(1, 1 + len(data), 1, data)]))
    assert b"".join(tcp.payload for tcp in found) == data
    assert {len(tcp.payload) for tcp in found[:-1]} == {size}
    assert [tcp.seq - 1001 for tcp in found] == [size * n for n in range(len(found))]
    assert {tcp.ack for tcp in found} == {5001}


def test_only_the_last_segment_pushes_and_ends() -> None:
    found = read(data_segments(direction(4), [Chunk(1, 11, 1, b"abcdefghi", fin=True)]))
    assert [tcp.payload for tcp in found] == [b"abcd", b"efgh", b"i"]
    assert [tcp.flags for tcp in found] == [ACK, ACK, ACK | PSH | FIN]


def test_chunks_that_follow_each_other_share_segments() -> None:
    chunks = [Chunk(1, 3, 1, b"ab"), Chunk(3, 4, 3, b"LONG"), Chunk(4, 5, 7, b"", fin=True)]
    (found,) = read(data_segments(direction(), chunks))
    assert (found.payload, found.flags & FIN) == (b"abLONG", FIN)


def test_chunks_with_a_gap_between_them_do_not() -> None:
    chunks = [Chunk(1, 3, 1, b"ab"), Chunk(5, 7, 5, b"ef")]
    found = read(data_segments(direction(), chunks))
    assert [(tcp.seq, tcp.payload) for tcp in found] == [(1001, b"ab"), (1005, b"ef")]


def test_a_message_of_which_nothing_is_left_needs_no_segment() -> None:
    assert data_segments(direction(), [Chunk(1, 3, 1, b"")]) == []


def test_G6_urgent_data_is_pointed_at_from_each_segment_before_its_end() -> None:
    one = direction(4)
    one.urgent = 7
    found = read(data_segments(one, [Chunk(1, 13, 1, b"abcdefghijkl")]))
    assert [tcp.urgent for tcp in found] == [6, 2, 0]
    assert [bool(tcp.flags & URG) for tcp in found] == [True, True, False]


def test_an_empty_segment_has_the_numbers_it_is_to_have() -> None:
    one = direction()
    one.reverse.acked = 9
    (found,) = read([empty_segment(one, RST | ACK, 12)])
    assert (found.seq, found.ack, found.flags) == (1012, 5009, RST | ACK)
    assert (found.payload, found.src_port, found.dst_port, found.window) == (b"", 40000, 21, 501)
