"""Flow state in registers on the executor: what BMv2 is compared with, without BMv2."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest

from .helpers import Bench, config
from .stateful_compare import (
    CLAIM,
    HASH,
    LONG,
    LOOKUP,
    PAUSE,
    REST,
    ROUND,
    SESSION,
    answer,
    entries,
    request,
)

TICK = (1 << 17) * 1000  # ns


@pytest.fixture
def ask() -> Callable[..., dict[str, int]]:
    bench = Bench(message=config(name="stateful"))
    assert set(bench.controller.write(*entries(bench))) == {0}
    bench.receive(1, request(0))
    bench.now += PAUSE

    def run(op: int, *, ticks: int = 0, **fields: int) -> dict[str, int]:
        bench.now += ticks * TICK
        ((port, frame),) = bench.receive(2, request(op, **fields))
        assert port == 2
        return answer(frame)

    return run


def test_crc32_of_a_field_is_that_of_its_bytes(ask: Callable[..., dict[str, int]]) -> None:
    for tag in (0, 1, 0x12345678, 0xFFFFFFFF):
        got = ask(HASH, tag=tag, number=1000)
        assert got["crc32"] == zlib.crc32(tag.to_bytes(4, "big"))
        assert 1000 <= got["range32"] < 2000
        assert 7 <= got["range16"] < 1008


def test_a_range_of_no_values_is_its_base(ask: Callable[..., dict[str, int]]) -> None:
    assert [ask(HASH, tag=tag, number=0)["range32"] for tag in (1, 2, 3)] == [1000] * 3


def test_a_cell_is_mine_until_it_has_ended_and_rested(ask: Callable[..., dict[str, int]]) -> None:
    # Three owners whose tags have the same two low bits of CRC, and one too many.
    same = [t for t in range(1, 60) if zlib.crc32(t.to_bytes(4, "big")) & 3 == 1][:4]
    assert [ask(CLAIM, tag=t, number=1, index=5)["result"] for t in same] == [0, 1, 2, 3]
    assert [ask(CLAIM, tag=t, number=1, index=5)["result"] for t in same] == [0, 1, 2, 3]
    # Ends in five ticks, and rests two.
    assert ask(CLAIM, ticks=5 + REST, tag=same[3], number=1, index=5)["result"] == 3
    assert ask(CLAIM, ticks=1, tag=same[3], number=1, index=LONG)["result"] == 0
    assert ask(CLAIM, tag=same[0], number=1, index=5)["result"] == 1


def test_phases_are_gathered_and_the_last_cuts_time_short(
    ask: Callable[..., dict[str, int]],
) -> None:
    def phase(bits: int, ticks: int = 0) -> tuple[int, int]:
        got = ask(SESSION, ticks=ticks, wide=7, index=2, number=LONG, bits=bits)
        return got["result"], got["bits"]

    assert [phase(1), phase(2), phase(8)] == [(3, 1), (1, 3), (1, 11)]
    assert phase(0x80) == (1, 0x8B)
    assert phase(0x80, ticks=4) == (1, 0x8B)
    assert phase(4, ticks=1) == (2, 4)


def test_the_longest_prefix_wins_among_entries_of_one_exact_value(
    ask: Callable[..., dict[str, int]],
) -> None:
    asked = [(0x0A0B0C0D, 1), (0x0A0B0000, 1), (0x0A000000, 1), (0, 1), (0x0A0B0C0D, 2), (0, 2)]
    got = [ask(LOOKUP, index=index, bits=bits)["result"] for index, bits in asked]
    assert got == [3, 2, 1, 0, 4, 255]


def test_a_packet_goes_round_with_the_fields_of_its_list(
    ask: Callable[..., dict[str, int]],
) -> None:
    got = ask(ROUND, index=1, number=10)
    assert got["number"] == 13  # three rounds more
    # Only the first pass knows when the packet came in.
    assert got["cell"] == 0b0111
