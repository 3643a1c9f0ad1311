from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peers import ppp_frames
from peers.ppp_frames import Decoder, check_sequence, encode

FRAME = b"\xff\x03\xc0\x21\x01\x01\x00\x04"
"""An empty LCP Configure-Request."""


def test_the_check_sequence_is_that_of_the_RFC() -> None:
    # CRC-16/X-25, which FCS-16 is, has this well-known check value.
    assert check_sequence(b"123456789") ^ 0xFFFF == 0x906E


def test_a_frame_with_its_check_sequence_comes_to_the_constant_of_the_RFC() -> None:
    fcs = (check_sequence(FRAME) ^ 0xFFFF).to_bytes(2, "little")
    assert check_sequence(FRAME + fcs) == 0xF0B8


def test_flags_escapes_and_control_characters_are_escaped() -> None:
    coded = encode(b"\xff\x03\x7e\x7d\x1f\x20")
    assert coded.startswith(b"\x7e\xff\x7d\x23\x7d\x5e\x7d\x5d\x7d\x3f\x20")
    assert coded.endswith(b"\x7e")
    assert coded.count(b"\x7e") == 2


@given(st.lists(st.binary(min_size=2, max_size=300), max_size=5), st.integers(1, 50))
def test_frames_survive_however_they_are_cut(frames: list[bytes], size: int) -> None:
    wire = b"".join(map(encode, frames))
    decoder = Decoder()
    got = [f for at in range(0, len(wire), size) for f in decoder.feed(wire[at : at + size])]
    assert got == frames
    assert decoder.bad == 0


def test_one_flag_between_frames_is_enough() -> None:
    assert Decoder().feed(encode(FRAME) + encode(FRAME)[1:]) == [FRAME, FRAME]


@given(st.integers(1, len(encode(FRAME)) - 2))
def test_a_damaged_frame_is_dropped_and_the_next_one_is_read(at: int) -> None:
    wire = bytearray(encode(FRAME))
    wire[at] ^= 0x80
    decoder = Decoder()
    assert decoder.feed(bytes(wire) + encode(b"\xff\x03ok")) == [b"\xff\x03ok"]
    assert decoder.bad == 1


def test_an_escape_before_the_flag_aborts_the_frame() -> None:
    decoder = Decoder()
    assert decoder.feed(encode(FRAME)[:-1] + b"\x7d\x7e" + encode(FRAME)) == [FRAME]
    assert decoder.bad == 1


def test_a_stream_without_flags_is_bounded() -> None:
    decoder = Decoder()
    for _ in range(10):
        assert decoder.feed(b"x" * ppp_frames.LONGEST) == []
    assert decoder.feed(encode(FRAME)) == [FRAME]
    assert decoder.bad == 1


@given(st.binary(max_size=500))
def test_no_input_raises(data: bytes) -> None:
    decoder = Decoder()
    decoder.feed(data)
    decoder.feed(b"\x7e")
    assert decoder.feed(encode(FRAME)) == [FRAME]
