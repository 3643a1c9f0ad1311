"""Datagrams for an ALG: whole, undamaged ones are messages; the rest passes unread (G7)."""

import struct
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.contract import Detach, Edit, Forward, Gateway, Notice, Peer, Refuse, Step
from p4alg.packet.ipv4 import build_ipv4, parse_ipv4
from p4alg.packet.udp import is_intact, parse_udp
from p4alg.stream.datagram import DatagramFollower
from p4alg.stream.effects import Answer, Barrier, Detached, Dropped, Effect, Noticed, Seen, Send
from tests.unit.packet.frames import udp_datagram as datagram
from tests.unit.stream.network import a_gateway

C = Peer.CLIENT
GATE: Gateway = a_gateway()


class Echo:
    """Answers with the steps that the datagram's first byte asks for."""

    def __init__(self) -> None:
        self.read: list[bytes] = []

    def receive(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        self.read.append(data)
        size = len(data)
        match data[:1]:
            case b"r":
                return [Refuse(size, "no")]
            case b"a":
                return [Refuse(size, "no", answer=b"why")]
            case b"d":
                return [Detach("enough")]
            case b"n":
                return [Notice("told", "something"), Forward(size)]
            case b"p":
                return [Forward(size, grants=(7,))]
            case b"P":
                return [Forward(size, grants=(7,), answer=b"cannot")]
            case b"e":
                return [Forward(size, (Edit(0, 1, b"EDITED"),))]
        return [Forward(size)]


def control(**more: bool) -> tuple[DatagramFollower, Echo]:
    echo = Echo()
    return DatagramFollower(echo, pass_refused=more.get("pass_refused", False)), echo


def sent(effects: list[Effect]) -> list[bytes]:
    return [s.frame for e in effects if isinstance(e, Send | Barrier) for s in e.segments]


def test_a_datagram_is_a_message() -> None:
    carrier, echo = control()
    frame = datagram(b"hello")
    assert sent(carrier.packet(C, 1, frame, GATE, 0.0)) == [frame]
    assert echo.read == [b"hello"]


def test_an_edited_one_is_right_in_every_length_and_may_be_fragmented() -> None:
    carrier, _ = control()
    (frame,) = sent(carrier.packet(C, 1, datagram(b"edit"), GATE, 0.0))
    packet = parse_ipv4(frame)
    assert parse_udp(packet).payload == b"EDITEDdit"
    assert is_intact(packet)
    assert not packet.dont_fragment
    assert packet.ident != 0


def test_rule_2_one_with_pinholes_waits_for_its_tables() -> None:
    carrier, _ = control()
    effects = carrier.packet(C, 1, datagram(b"pinhole"), GATE, 0.0)
    assert isinstance(effects[-1], Barrier)
    assert carrier.blocked
    assert carrier.resume(True, GATE, 0.0) == []
    assert not carrier.blocked


def test_rule_2_without_its_tables_it_is_refused() -> None:
    carrier, _ = control()
    carrier.packet(C, 1, datagram(b"pinhole"), GATE, 0.0)
    (seen,) = carrier.resume(False, GATE, 0.0)
    assert isinstance(seen, Seen)
    assert (seen.verdict, seen.reason) == ("refused", "tables")


def test_a_refused_one_is_dropped_or_passed_as_configured() -> None:
    for passes in (False, True):
        carrier, _ = control(pass_refused=passes)
        frame = datagram(b"refuse")
        assert sent(carrier.packet(C, 1, frame, GATE, 0.0)) == ([frame] if passes else [])


def test_a_refused_one_may_be_answered_in_the_other_end_s_name() -> None:
    came = parse_ipv4(datagram(b"ask"))
    follower = DatagramFollower(Echo(), pass_refused=False)
    seen, told = follower.packet(C, 3, came.frame, GATE, 0.0)
    assert isinstance(seen, Seen)
    assert isinstance(told, Answer)
    assert told.segment.port == 3
    back = parse_ipv4(told.segment.frame)
    assert (back.src, back.dst) == (came.dst, came.src)
    assert (back.eth.src, back.eth.dst) == (came.eth.dst, came.eth.src)
    asked, said = parse_udp(came), parse_udp(back)
    assert (said.src_port, said.dst_port, said.payload) == (asked.dst_port, asked.src_port, b"why")
    assert is_intact(back)
    passing = DatagramFollower(Echo(), pass_refused=True).packet(C, 3, came.frame, GATE, 0.0)
    assert not any(isinstance(effect, Answer) for effect in passing)


def test_rule_2_the_sender_of_one_without_its_tables_is_told() -> None:
    carrier = DatagramFollower(Echo(), pass_refused=False)
    carrier.packet(C, 3, datagram(b"Pinhole"), GATE, 0.0)
    _, told = carrier.resume(False, GATE, 0.0)
    assert isinstance(told, Answer)
    assert parse_udp(parse_ipv4(told.segment.frame)).payload == b"cannot"
    carrier.packet(C, 3, datagram(b"Pinhole"), GATE, 0.0)
    assert carrier.resume(True, GATE, 0.0) == []


def test_a_notice_is_told() -> None:
    carrier, _ = control()
    effects = carrier.packet(C, 1, datagram(b"notice"), GATE, 0.0)
    assert Noticed(C, "told", "something") in effects


def test_after_detaching_nothing_is_read() -> None:
    carrier, echo = control()
    frame = datagram(b"detach")
    effects = carrier.packet(C, 1, frame, GATE, 0.0)
    assert Detached("enough", False) in effects
    assert sent(effects) == [frame]
    assert sent(carrier.packet(C, 1, datagram(b"more"), GATE, 0.0))
    assert echo.read == [b"detach"]
    assert carrier.may_leave_to_switch


def test_G7_nothing_is_read_from_a_fragment() -> None:
    carrier, echo = control()
    whole = bytearray(datagram(b"hello"))
    struct.pack_into("!H", whole, 14 + 6, 0x2000)
    assert sent(carrier.packet(C, 1, bytes(whole), GATE, 0.0)) == [bytes(whole)]
    assert echo.read == []


def test_G7_nothing_is_read_from_a_damaged_datagram() -> None:
    carrier, echo = control()
    frame = datagram(b"hello", b"\x12\x34")
    assert sent(carrier.packet(C, 1, frame, GATE, 0.0)) == [frame]
    assert echo.read == []


@given(st.binary(max_size=60))
def test_G9_no_frame_raises(body: bytes) -> None:
    carrier, _ = control()
    carrier.packet(C, 1, body, GATE, 0.0)
    effects = carrier.packet(C, 1, build_ipv4((2, 1), 0, 1, 2, 17, body), GATE, 0.0)
    assert effects
    assert isinstance(effects[-1], Send | Dropped | Barrier | Seen)
