"""Fragments wait for the first of their datagram, and for no longer than they may."""

from __future__ import annotations

import struct

from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.fragments import MAX_DATAGRAMS, MAX_EARLY, Fragments
from p4alg.engine.tables import Op, Update
from p4alg.packet.ipv4 import Ipv4, parse_ipv4
from tests.unit.engine.harness import INSIDE, REMOTE, UDP, datagram
from tests.unit.engine.parts import NOW, Parts, frames, updates

LIFETIME = 30.0
IDS = (5000, 80)


def packet(ident: int = 7) -> Ipv4:
    frame = bytearray(datagram(INSIDE, IDS[0], REMOTE, IDS[1]))
    frame[18:20] = struct.pack("!H", ident)
    return parse_ipv4(bytes(frame))


class Desk:
    """Fragments, and what they decide on."""

    def __init__(self) -> None:
        self.parts = Parts()
        parts = self.parts
        self.fragments = Fragments(LIFETIME, parts.outbox, parts.counters, parts.log)

    def later(self, name: bytes, ident: int = 7, now: float = NOW) -> list[bytes]:
        self.fragments.later(packet(ident), PacketOut(name), now)
        return frames(self.parts.answer())

    def first(self, *names: bytes, ident: int = 7, reason: str | None = None) -> list[Update]:
        self.fragments.first(packet(ident), IDS, [PacketOut(name) for name in names], NOW)
        actions = self.parts.answer(reason)
        self.sent = frames(actions)
        return updates(actions)


def test_N4787_14_the_first_is_written_and_those_that_waited_follow_it() -> None:
    desk = Desk()
    assert desk.later(b"third") == []
    assert desk.later(b"second") == []
    written = desk.first(b"first")
    entry = t.Fragment(INSIDE, REMOTE, UDP, 7, *IDS, idle_timeout=LIFETIME)
    assert written == [Update(Op.INSERT, entry)]
    assert desk.sent == [b"first", b"third", b"second"]
    assert desk.later(b"fourth") == [b"fourth"]


def test_a_first_fragment_that_is_repeated_is_sent_and_not_written_again() -> None:
    desk = Desk()
    desk.first(b"first")
    assert desk.first(b"again") == []
    assert desk.sent == [b"again"]


def test_datagrams_are_told_apart_by_their_identification() -> None:
    desk = Desk()
    desk.later(b"of 7", 7)
    desk.first(b"of 8", ident=8)
    assert desk.sent == [b"of 8"]
    assert desk.later(b"of 7 too", 7) == []


def test_what_the_switch_refuses_is_forgotten_and_may_come_again() -> None:
    desk = Desk()
    desk.first(b"first", reason="full")
    assert desk.parts.count("fragments.failed") == 1
    assert desk.later(b"second") == []
    assert len(desk.first(b"first")) == 1
    assert desk.sent == [b"first", b"second"]


def test_N4787_14_how_many_wait_is_bounded() -> None:
    desk = Desk()
    for number in range(MAX_EARLY + 3):
        desk.later(b"%d" % number)
    assert desk.parts.count("fragments.dropped") == 3
    desk.first(b"first")
    assert desk.sent == [b"first", *(b"%d" % number for number in range(MAX_EARLY))]
    for ident in range(100, 100 + MAX_DATAGRAMS):
        desk.later(b"x", ident)
    assert desk.parts.count("fragments.dropped") == 4
    assert desk.first(b"first", ident=9999) == []
    assert desk.sent == []


def test_N4787_14_how_long_they_wait_is_bounded() -> None:
    desk = Desk()
    desk.first(b"whole", ident=1)
    desk.later(b"early", 2)
    desk.later(b"later", 3, NOW + 1.0)
    desk.fragments.expire(NOW + LIFETIME - 0.1)
    assert desk.parts.answer() == []
    desk.fragments.expire(NOW + LIFETIME)
    (gone,) = updates(desk.parts.answer())
    assert gone.op is Op.DELETE
    assert isinstance(gone.entry, t.Fragment)
    assert gone.entry.ident == 1
    assert desk.parts.count("fragments.incomplete") == 1
    desk.fragments.expire(NOW + LIFETIME + 1.0)
    assert desk.parts.count("fragments.incomplete") == 2
    assert desk.later(b"early", 2) == []
