"""One direction: what was sent, what was sent on, and the numbers of both."""

from p4alg.alg.contract import Peer
from p4alg.packet.ipv4 import parse_ipv4
from p4alg.stream.direction import Direction
from p4alg.stream.history import Chunk, Resize
from tests.unit.packet.frames import tcp_segment


def directions(isn: int = 1000) -> tuple[Direction, Direction]:
    one, other = Direction(Peer.CLIENT, 4096), Direction(Peer.SERVER, 4096)
    one.reverse, other.reverse = other, one
    one.begin(isn)
    other.begin(5000)
    return one, other


def held(direction: Direction, data: bytes) -> None:
    """Bytes arrive in order."""
    got, _ = direction.reassembly.add(direction.received, data)
    direction.held += got


def test_bytes_are_released_with_both_their_offsets() -> None:
    one, _ = directions()
    held(one, b"abcdef")
    assert one.received == 7
    assert one.release(2, b"ABCD", edited=True) == Chunk(1, 3, 1, b"ABCD", whole=True)
    assert (one.next_in, one.next_out, one.shift) == (3, 5, 2)
    assert one.release(1, b"c", edited=False) == Chunk(3, 4, 5, b"c")
    assert bytes(one.held) == b"def"


def test_a_fin_takes_one_offset_on_both_sides() -> None:
    one, _ = directions()
    held(one, b"ab")
    assert one.release(2, b"ab", edited=False, fin=True) == Chunk(
        1, 4, 1, b"ab", whole=True, fin=True
    )
    assert (one.next_in, one.next_out) == (3, 4)


def test_what_was_acknowledged_early_is_repeated_whole() -> None:
    one, _ = directions()
    held(one, b"abcd")
    one.acked_early = 3
    assert one.release(3, b"abc", edited=False).whole
    assert not one.release(1, b"d", edited=False).whole


def test_what_is_taken_back_is_held_as_before() -> None:
    one, _ = directions()
    held(one, b"abcdef")
    one.release(1, b"a", edited=False)
    chunk = one.release(2, b"LONGER", edited=True)
    one.take_back(chunk, b"bc")
    assert (bytes(one.held), one.next_in, one.next_out, one.shift) == (b"bcdef", 2, 2, 0)


def test_G6_numbers_are_read_near_what_is_expected_and_wrap() -> None:
    one, _ = directions(isn=(1 << 32) - 2)
    assert one.offset(0) == 2
    assert one.out_number(2) == 0
    held(one, bytes(100))
    assert one.offset((1 << 32) - 1) == 1


def test_G6_an_acknowledgement_is_converted_and_frees_what_is_kept() -> None:
    one, _ = directions()
    held(one, b"abcdef")
    for chunk in (
        one.release(2, b"LONGER", edited=True),
        one.release(4, b"cdef", edited=False),
    ):
        one.history.add(chunk)
    one.history.resized(Resize(1, 3, 0, 4))
    for number, offset in ((1003, 1), (1007, 3), (1003, 1)):
        assert one.acknowledged_to(number) == offset
    one.acknowledge(1003)
    assert (one.acked, one.history.size) == (1, 10)
    one.acknowledge(1007)
    assert (one.acked, one.history.size) == (3, 4)
    one.acknowledge(1003)
    assert one.acked == 3


def test_G9_more_than_was_sent_is_never_acknowledged() -> None:
    one, _ = directions()
    held(one, b"abc")
    one.release(2, b"ab", edited=False)
    one.acknowledge(1000 + 500)
    assert one.acked == 3


def test_segments_acknowledge_what_their_sender_has_or_was_taken_over_for_it() -> None:
    one, other = directions()
    assert one.ack_number == 5001
    other.acked = 8
    assert one.ack_number == 5008
    other.acked_early = 10
    assert one.ack_number == 5010


def test_of_a_frame_only_port_and_headers_are_kept() -> None:
    one, _ = directions()
    packet = tcp_segment(options=b"\x01\x01\x08\x0a" + bytes(8), payload=b"secret" * 100)
    one.remember(7, packet)
    assert one.port == 7
    assert one.model is not None
    assert len(one.model.frame) == 14 + 20 + 20
    assert b"secret" not in one.model.frame
    assert (one.model.src, one.model.dst) == (packet.src, packet.dst)
    assert parse_ipv4(packet.frame).eth == one.model.eth
