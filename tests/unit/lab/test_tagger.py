"""Tags are put on and taken off; frames of others are none of ours."""

from __future__ import annotations

import pytest

from p4alg.lab.tagger import tag, untag

MACS = bytes(range(12))
FRAME = MACS + b"\x08\x00" + b"payload"


@pytest.mark.parametrize("vlan", [1, 20, 4094])
def test_what_was_tagged_comes_back_as_it_was(vlan: int) -> None:
    tagged = tag(FRAME, vlan)
    assert tagged == MACS + b"\x81\x00" + vlan.to_bytes(2, "big") + FRAME[12:]
    assert untag(tagged, vlan) == FRAME


def test_the_priority_is_no_part_of_the_number() -> None:
    assert untag(MACS + b"\x81\x00\xe0\x14" + FRAME[12:], 20) == FRAME


@pytest.mark.parametrize("frame", [FRAME, tag(FRAME, 21), b"", tag(FRAME, 20)[:15]])
def test_frames_of_others_are_left_alone(frame: bytes) -> None:
    assert untag(frame, 20) is None
