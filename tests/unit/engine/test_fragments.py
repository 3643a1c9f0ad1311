"""Later fragments that the switch knows no ports of are held for a moment, and only for that."""

from __future__ import annotations

import struct

import pytest

from p4alg.engine.actions import PacketOut, Remind
from p4alg.engine.fragments import (
    HOLD,
    MAX_DATAGRAMS,
    MAX_EARLY,
    MAX_OF_SOURCE,
    SETTLE,
    Fragments,
)
from p4alg.packet.ipv4 import Ipv4, parse_ipv4
from tests.unit.engine.harness import INSIDE, REMOTE, datagram
from tests.unit.engine.parts import NOW, Parts, frames


def packet(ident: int = 7, source: int = INSIDE) -> Ipv4:
    frame = bytearray(datagram(source, 5000, REMOTE, 80))
    frame[18:20] = struct.pack("!H", ident)
    return parse_ipv4(bytes(frame))


class Desk:
    """Fragments, and what they decide on."""

    def __init__(self) -> None:
        self.parts = Parts()
        parts = self.parts
        self.fragments = Fragments(parts.outbox, parts.counters, parts.log)
        self.reminders: list[float] = []

    def _sent(self) -> list[bytes]:
        actions = self.parts.answer()
        self.reminders += [action.seconds for action in actions if isinstance(action, Remind)]
        return frames(actions)

    def later(
        self, name: bytes, ident: int = 7, now: float = NOW, source: int = INSIDE, port: int = 1
    ) -> list[bytes]:
        self.fragments.later(packet(ident, source), PacketOut(name, port), now)
        return self._sent()

    def first(self, ident: int = 7, now: float = NOW) -> list[bytes]:
        self.fragments.first(packet(ident), now)
        return self._sent()

    def retry(self, now: float) -> list[bytes]:
        self.fragments.retry(now)
        return self._sent()


def test_N4787_14_what_overtook_the_first_goes_once_more_after_a_moment() -> None:
    desk = Desk()
    assert desk.later(b"third") == []
    assert desk.later(b"second", now=NOW + HOLD / 2) == []
    assert desk.reminders == [HOLD]
    assert desk.retry(NOW + HOLD - 0.01) == []
    assert desk.retry(NOW + HOLD) == [b"third", b"second"]
    # It costs nothing any more.
    assert len(desk.fragments) == 0
    assert desk.retry(NOW + 9.0) == []


def test_N4787_14_what_waits_follows_a_first_fragment_that_the_controller_sends() -> None:
    desk = Desk()
    desk.later(b"third")
    assert desk.first(8) == []
    # Right behind the first one, it would be in the switch before its ports are remembered.
    assert desk.first() == []
    assert desk.reminders == [HOLD, SETTLE]
    assert desk.later(b"second", now=NOW + SETTLE / 2) == []
    assert desk.retry(NOW + SETTLE - 0.01) == []
    assert desk.retry(NOW + SETTLE) == [b"third", b"second"]
    assert desk.first() == []
    assert desk.retry(NOW + HOLD) == []


def test_a_first_fragment_that_nothing_waits_for_leaves_nothing() -> None:
    desk = Desk()
    desk.fragments.first_waits(packet(), 1, NOW)
    assert len(desk.fragments) == 1
    assert desk.first() == []
    assert len(desk.fragments) == 0
    assert desk.reminders == []


def test_each_datagram_waits_for_its_own_time() -> None:
    desk = Desk()
    desk.later(b"one", 1)
    desk.later(b"two", 2, now=NOW + 0.1)
    assert desk.retry(NOW + HOLD) == [b"one"]
    assert desk.retry(NOW + 0.1 + HOLD) == [b"two"]


def test_N4787_14_how_many_of_a_datagram_wait_is_bounded() -> None:
    desk = Desk()
    for _ in range(MAX_EARLY + 3):
        desk.later(b"x")
    assert desk.parts.count("fragments.dropped") == 3
    assert len(desk.retry(NOW + HOLD)) == MAX_EARLY


def test_one_source_has_its_share_and_no_more() -> None:
    desk = Desk()
    for ident in range(MAX_OF_SOURCE + 5):
        desk.later(b"x", ident)
    assert desk.parts.count("fragments.dropped") == 5
    desk.later(b"y", source=REMOTE)
    assert len(desk.fragments) == MAX_OF_SOURCE + 1
    desk.retry(NOW + HOLD)
    desk.later(b"x", 1000)
    assert len(desk.fragments) == 1


def test_forged_sources_behind_one_port_leave_room_for_the_others() -> None:
    desk = Desk()
    for source in range(2 * MAX_DATAGRAMS):
        desk.later(b"x", source=INSIDE + source)
    assert len(desk.fragments) == MAX_DATAGRAMS // 2
    for source in range(MAX_DATAGRAMS // 4):
        desk.later(b"y", source=REMOTE + source, port=3)
    assert len(desk.fragments) == MAX_DATAGRAMS * 3 // 4


@pytest.mark.parametrize("ports", [2, 50])
def test_all_together_are_bounded(ports: int) -> None:
    desk = Desk()
    for number in range(10 * MAX_DATAGRAMS):
        desk.later(b"x", source=INSIDE + number, port=number % ports)
    assert len(desk.fragments) <= MAX_DATAGRAMS
