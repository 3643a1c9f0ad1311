from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.contract import (
    Detach,
    Endpoint,
    Forward,
    Notice,
    Peer,
    PinholeRequest,
    Refuse,
    SessionFacts,
    Step,
    apply_edits,
)
from p4alg.alg.pptp.alg import PptpAlg, PptpLimits
from p4alg.alg.pptp.messages import SIZES, Kind, read_length
from tests.unit.alg.gateway import Nat, SessionGateway

INSIDE, INSIDE2, VISIBLE, REMOTE = 0x0A00000B, 0x0A00000C, 0xCB007102, 0xC6336401
COOKIE = b"\x1a\x2b\x3c\x4d"
C, S = Peer.CLIENT, Peer.SERVER


class Wire:
    """A control connection: holds back what the ALG has not consumed, as its carrier does."""

    def __init__(
        self,
        inside: Peer = C,
        nat: Nat | None = None,
        host: int = INSIDE,
        limits: PptpLimits | None = None,
        start: bool = True,
    ) -> None:
        client, server = (host, REMOTE) if inside is C else (REMOTE, host)
        facts = SessionFacts(
            6, Endpoint(client, 4000), Endpoint(server, 1723), inside, Endpoint(VISIBLE, 4000)
        )
        self.gate = SessionGateway(facts, nat)
        self.nat = self.gate.nat
        self.alg = PptpAlg(facts, limits)
        self._held = {peer: b"" for peer in Peer}
        self.steps: list[Step] = []
        if start:
            self.say(C, START)
            self.say(S, STARTED)

    def say(self, peer: Peer, data: bytes, size: int = 4096) -> bytes:
        """`peer` says `data`, in segments of `size`; what comes out at the other end."""
        out = b""
        for at in range(0, len(data), size):
            held = self._held[peer] + data[at : at + size]
            for step in self.alg.feed(peer, held, self.gate, 0.0):
                self.steps.append(step)
                edits = step.edits if isinstance(step, Forward) else ()
                out += apply_edits(held[: step.length], edits)
                held = held[step.length :]
            if self.gone:
                out, held = out + held, b""
            self._held[peer] = held
        assert not self.nat.closed, "a call's GRE has to end, not to be withdrawn if unused"
        return out

    @property
    def held(self) -> list[Endpoint]:
        """The inside endpoints that are reserved."""
        return [end for reserved in self.nat.reservations.values() for end in reserved.ends]

    @property
    def gone(self) -> list[Detach]:
        """Why the ALG stepped aside, if it did."""
        return [step for step in self.steps if isinstance(step, Detach)]

    def refusals(self) -> list[str]:
        """The reasons of what was refused."""
        return [step.reason for step in self.steps if isinstance(step, Refuse)]

    def notices(self) -> list[str]:
        """What the ALG told."""
        return [step.event for step in self.steps if isinstance(step, Notice)]

    @property
    def last(self) -> Forward:
        """The last step, which was a message that went on."""
        step = self.steps[-1]
        assert isinstance(step, Forward)
        return step


def message(kind: int, body: bytes = b"", size: int | None = None) -> bytes:
    size = SIZES[Kind(kind)] if size is None else size
    head = size.to_bytes(2, "big") + b"\x00\x01" + COOKIE + kind.to_bytes(2, "big") + b"\x00\x00"
    # No zeros: a byte that is edited by mistake must show.
    return (head + body).ljust(size, b"\x5a")


def ids(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def out_request(call: int) -> bytes:
    return message(7, ids(call))


def out_reply(call: int, peer: int, result: int = 1) -> bytes:
    return message(8, ids(call, peer) + bytes([result]))


def in_request(call: int) -> bytes:
    return message(9, ids(call))


def in_reply(call: int, peer: int, result: int = 1) -> bytes:
    return message(10, ids(call, peer) + bytes([result]))


def connected(peer: int) -> bytes:
    return message(11, ids(peer))


def clear(call: int) -> bytes:
    return message(12, ids(call))


def disconnect(call: int) -> bytes:
    return message(13, ids(call))


def wan_error(peer: int) -> bytes:
    return message(14, ids(peer))


def link_info(peer: int) -> bytes:
    return message(15, ids(peer))


START = message(1, b"\x01\x00")
STARTED = message(2, b"\x01\x00\x01\x00")
STOP, STOPPED = message(3, b"\x01"), message(4, b"\x01")


@dataclass
class Call:
    """A call that was agreed on: the inside host's id, what the outside knows it as, the peer's."""

    wire: Wire
    inside: Peer
    own: int
    shown: int
    peer: int

    @property
    def outside(self) -> Peer:
        return self.inside.other


def shown_id(sent: bytes) -> int:
    return int.from_bytes(sent[12:14], "big")


def call_of_client(wire: Wire, own: int = 5, peer: int = 700) -> Call:
    """An inside client calls out: it is the PNS."""
    shown = shown_id(wire.say(C, out_request(own)))
    assert wire.say(S, out_reply(peer, shown)) == out_reply(peer, own)
    return Call(wire, C, own, shown, peer)


def call_of_server(wire: Wire, own: int = 5, peer: int = 700) -> Call:
    """An outside client calls an inside server, which is the PAC."""
    assert wire.say(C, out_request(peer)) == out_request(peer)
    shown = shown_id(wire.say(S, out_reply(own, peer)))
    return Call(wire, S, own, shown, peer)


def call_into_client(wire: Wire, own: int = 5, peer: int = 700) -> Call:
    """The outside server calls an inside client in: the server is the PAC."""
    assert wire.say(S, in_request(peer)) == in_request(peer)
    shown = shown_id(wire.say(C, in_reply(own, peer)))
    assert wire.say(S, connected(shown)) == connected(own)
    return Call(wire, C, own, shown, peer)


def call_from_server(wire: Wire, own: int = 5, peer: int = 700) -> Call:
    """An inside server calls an outside client in."""
    shown = shown_id(wire.say(S, in_request(own)))
    assert wire.say(C, in_reply(peer, shown)) == in_reply(peer, own)
    assert wire.say(S, connected(peer)) == connected(peer)
    return Call(wire, S, own, shown, peer)


WAYS: list[tuple[Callable[..., Call], Peer]] = [
    (call_of_client, C),
    (call_of_server, S),
    (call_into_client, C),
    (call_from_server, S),
]
each_way = pytest.mark.parametrize(
    ("agree", "inside"), WAYS, ids=["out", "out-to-inside", "in", "in-from-inside"]
)


# P1


@pytest.mark.parametrize("kind", list(Kind))
def test_P1_each_message_has_the_size_the_rfc_gives_it(kind: Kind) -> None:
    # RFC 2637 sections 2.1 to 2.15, in order.
    sizes = [156, 156, 16, 16, 16, 20, 168, 32, 220, 24, 28, 16, 148, 40, 24]
    assert SIZES[kind] == sizes[kind - 1]


def test_P1_an_outgoing_call_is_announced_by_the_visible_id_and_answered_to_the_own() -> None:
    wire = Wire()
    sent = wire.say(C, out_request(5))
    assert sent == out_request(61001)
    assert wire.say(S, out_reply(700, 61001)) == out_reply(700, 5)
    assert wire.refusals() == wire.notices() == []


def test_P1_an_outgoing_call_to_an_inside_server_has_its_own_id_translated() -> None:
    wire = Wire(S)
    assert wire.say(C, out_request(700)) == out_request(700)
    assert wire.say(S, out_reply(5, 700)) == out_reply(61001, 700)


def test_P1_an_incoming_call_is_translated_in_all_three_messages() -> None:
    wire = Wire()
    assert wire.say(S, in_request(700)) == in_request(700)
    assert wire.say(C, in_reply(5, 700)) == in_reply(61001, 700)
    assert wire.say(S, connected(61001)) == connected(5)


def test_P1_an_incoming_call_of_an_inside_server_is_translated_in_all_three_messages() -> None:
    wire = Wire(S)
    assert wire.say(S, in_request(5)) == in_request(61001)
    assert wire.say(C, in_reply(700, 61001)) == in_reply(700, 5)
    assert wire.say(S, connected(700)) == connected(700)


@each_way
@pytest.mark.parametrize("make", [clear, disconnect, wan_error, link_info])
def test_P1_the_inside_id_is_visible_outside_and_own_inside(
    agree: Callable[..., Call], inside: Peer, make: Callable[[int], bytes]
) -> None:
    # By the RFC a call is ended by its sender's id, and spoken of by its receiver's.
    call = agree(Wire(inside))
    if make in (clear, disconnect):
        assert call.wire.say(call.inside, make(call.own)) == make(call.shown)
    else:
        assert call.wire.say(call.outside, make(call.shown)) == make(call.own)
    assert call.wire.last.length == len(make(0))
    assert call.wire.notices() == []


@each_way
@pytest.mark.parametrize("make", [clear, disconnect, wan_error, link_info])
def test_P1_the_outside_id_is_never_changed(
    agree: Callable[..., Call], inside: Peer, make: Callable[[int], bytes]
) -> None:
    call = agree(Wire(inside))
    sender = call.outside if make in (clear, disconnect) else call.inside
    assert call.wire.say(sender, make(call.peer)) == make(call.peer)
    assert call.wire.notices() == []


def test_P1_a_disconnect_by_the_receivers_id_is_understood_too() -> None:
    # As some servers send it.
    call = call_of_client(Wire())
    assert call.wire.say(S, disconnect(call.shown)) == disconnect(call.own)
    assert call.wire.nat.is_empty


def test_P1_of_two_calls_a_disconnect_means_the_one_being_cleared() -> None:
    wire = Wire()
    first = call_of_client(wire, 5, peer=61002)
    second = call_of_client(wire, 6, peer=701)
    assert second.shown == first.peer
    wire.say(C, clear(6))
    assert wire.say(S, disconnect(61002)) == disconnect(6)
    assert wire.held == [Endpoint(INSIDE, 5)]


def test_P1_of_two_calls_a_mention_means_the_receivers_id_and_an_end_the_senders() -> None:
    wire = Wire()
    first = call_of_client(wire, 5, peer=61002)
    second = call_of_client(wire, 6, peer=701)
    assert second.shown == first.peer
    assert wire.say(S, link_info(61002)) == link_info(6)
    assert wire.say(S, wan_error(61002)) == wan_error(6)
    assert wire.say(S, disconnect(61002)) == disconnect(61002)
    assert wire.held == [Endpoint(INSIDE, 6)]


@pytest.mark.parametrize("kind", [Kind.ECHO_REQUEST, Kind.ECHO_REPLY])
def test_P1_what_has_no_call_id_passes_as_it_is(kind: Kind) -> None:
    wire = Wire()
    for peer in Peer:
        assert wire.say(peer, message(kind)) == message(kind)
    assert wire.gone == []


@pytest.mark.parametrize("code", [0, 16, 99, 65535])
def test_P1_unknown_messages_pass_unread_and_are_counted(code: int) -> None:
    wire = Wire()
    data = message(code, ids(5, 5), size=40)
    assert wire.say(C, data) == wire.say(S, data) == data
    assert wire.notices() == ["unknown-message"] * 2
    call_of_client(wire)


def test_P1_an_equal_id_needs_no_edit() -> None:
    wire = Wire()
    assert wire.say(C, out_request(61001)) == out_request(61001)
    assert wire.last.edits == ()


def test_P1_the_summary_tells_the_ids() -> None:
    wire = Wire()
    wire.say(C, out_request(5))
    assert wire.last.summary == "Outgoing-Call-Request: call 5 -> 61001"
    wire.say(S, out_reply(700, 61001))
    assert wire.last.summary == "Outgoing-Call-Reply accepted: call 700, peer call 61001 -> 5"


@pytest.mark.parametrize("make", [clear, disconnect, wan_error, link_info])
@pytest.mark.parametrize("sender", list(Peer))
def test_P1_a_message_of_no_call_passes_and_is_told(
    make: Callable[[int], bytes], sender: Peer
) -> None:
    # The ends of a call may cross on their way.
    wire = Wire()
    assert wire.say(sender, make(9)) == make(9)
    assert wire.notices() == ["unknown-call"]


def test_P1_a_message_of_no_call_must_not_reach_another_one() -> None:
    wire = Wire()
    call = call_of_client(wire)
    wire.say(C, clear(call.shown))
    assert wire.refusals() == ["unknown-call"]
    wire.say(S, link_info(call.own))
    assert wire.refusals() == ["unknown-call"] * 2


# P3


def test_P3_two_clients_with_equal_call_ids_are_told_apart() -> None:
    nat = Nat(VISIBLE)
    one, two = Wire(nat=nat), Wire(nat=nat, host=INSIDE2)
    first, second = call_of_client(one, 5, 700), call_of_client(two, 5, 701)
    assert first.shown != second.shown
    assert one.say(S, link_info(first.shown)) == link_info(5)
    assert two.say(S, link_info(second.shown)) == link_info(5)
    listeners = [request.listen for request in nat.granted]
    assert listeners == [
        Endpoint(INSIDE, 5),
        Endpoint(REMOTE, 700),
        Endpoint(INSIDE2, 5),
        Endpoint(REMOTE, 701),
    ]


def test_P3_several_calls_on_one_control_connection_end_one_by_one() -> None:
    wire = Wire()
    calls = [call_of_client(wire, own, 700 + own) for own in (5, 6, 7)]
    assert len({call.shown for call in calls}) == 3
    wire.say(C, clear(6))
    wire.say(S, disconnect(706))
    assert [listen.port for listen in wire.held] == [5, 7]
    ports = [request.listen.port for request in wire.nat.open.values()]
    assert ports == [5, 705, 7, 707]
    for call in (calls[0], calls[2]):
        assert wire.say(S, link_info(call.shown)) == link_info(call.own)


def test_P3_calls_in_both_directions_on_one_control_connection() -> None:
    wire = Wire()
    out, into = call_of_client(wire, 5, 700), call_into_client(wire, 6, 701)
    assert wire.say(S, link_info(out.shown)) == link_info(5)
    assert wire.say(S, wan_error(into.shown)) == wan_error(6)


@each_way
def test_P3_each_direction_of_a_call_is_opened_to_its_peer_only(
    agree: Callable[..., Call], inside: Peer
) -> None:
    wire = Wire(inside, limits=PptpLimits(pinhole_lifetime=33.0, gre_idle=44.0))
    agree(wire)
    for request, listener, listen, opener in zip(
        wire.nat.granted,
        (inside, inside.other),
        (Endpoint(INSIDE, 5), Endpoint(REMOTE, 700)),
        (REMOTE, INSIDE),
        strict=True,
    ):
        assert request == PinholeRequest(
            47, listener, listen, opener, None, 33.0, label="pptp call", flow_idle=44.0
        )
    assert set(wire.last.grants) == {*wire.nat.reservations, *wire.nat.open}


def test_P3_an_outgoing_call_opens_with_its_reply_and_no_sooner() -> None:
    wire = Wire()
    wire.say(C, out_request(5))
    assert wire.nat.granted == []
    assert set(wire.last.grants) == set(wire.nat.reservations)
    wire.say(S, out_reply(700, 61001))
    assert set(wire.last.grants) == {*wire.nat.reservations, *wire.nat.open}
    assert len(wire.nat.open) == 2


def test_P3_an_incoming_call_opens_when_it_is_connected_and_no_sooner() -> None:
    wire = Wire()
    wire.say(S, in_request(700))
    wire.say(C, in_reply(5, 700))
    assert wire.nat.granted == []
    assert set(wire.last.grants) == set(wire.nat.reservations)
    wire.say(S, connected(61001))
    assert set(wire.last.grants) == {*wire.nat.reservations, *wire.nat.open}
    assert len(wire.nat.open) == 2


def test_P3_the_answering_end_may_have_the_callers_id_by_chance() -> None:
    wire = Wire()
    call = call_of_client(wire, 5, peer=5)
    assert wire.say(S, disconnect(5)) == disconnect(5)
    assert call.wire.nat.is_empty


# P4


@each_way
def test_P4_gre_ends_when_the_call_is_cleared(agree: Callable[..., Call], inside: Peer) -> None:
    call = agree(Wire(inside))
    nat = call.wire.nat
    assert (len(nat.reservations), len(nat.open)) == (1, 2)
    call.wire.say(call.inside, clear(call.own))
    assert len(nat.open) == 2
    call.wire.say(call.outside, disconnect(call.peer))
    assert nat.is_empty
    assert call.wire.refusals() == []


@each_way
def test_P4_gre_ends_when_the_peer_disconnects(agree: Callable[..., Call], inside: Peer) -> None:
    for by_inside in (True, False):
        call = agree(Wire(inside))
        if by_inside:
            call.wire.say(call.inside, disconnect(call.own))
        else:
            call.wire.say(call.outside, disconnect(call.peer))
        assert call.wire.nat.is_empty


@each_way
@pytest.mark.parametrize("stop", [STOP, STOPPED])
@pytest.mark.parametrize("sender", list(Peer))
def test_P4_all_calls_end_with_the_control_connection(
    agree: Callable[..., Call], inside: Peer, stop: bytes, sender: Peer
) -> None:
    wire = Wire(inside)
    agree(wire, 5, 700)
    agree(wire, 6, 701)
    assert wire.say(sender, stop) == stop
    assert wire.nat.is_empty


def test_P4_all_calls_end_when_the_carrier_says_it_is_over() -> None:
    call = call_of_client(Wire())
    call.wire.say(C, out_request(6))
    call.wire.alg.ended(call.wire.gate)
    call.wire.alg.ended(call.wire.gate)
    assert call.wire.nat.is_empty


@pytest.mark.parametrize("result", [0, 2, 3, 7, 255])
def test_P4_a_call_that_is_refused_leaves_nothing(result: int) -> None:
    wire = Wire()
    shown = shown_id(wire.say(C, out_request(5)))
    assert wire.say(S, out_reply(700, shown, result)) == out_reply(700, 5, result)
    assert wire.nat.is_empty
    shown = shown_id(wire.say(C, out_request(5)))
    assert wire.say(S, in_request(701)) == in_request(701)
    assert wire.say(C, in_reply(6, 701, result)) == in_reply(6, 701, result)
    assert wire.held == [Endpoint(INSIDE, 5)]
    assert wire.nat.granted == []
    assert wire.refusals() == []


@each_way
def test_P4_an_id_used_again_ends_the_call_that_had_it(
    agree: Callable[..., Call], inside: Peer
) -> None:
    wire = Wire(inside)
    agree(wire, 5, 700)
    agree(wire, 5, 701)
    assert (len(wire.nat.reservations), len(wire.nat.open)) == (1, 2)
    agree(wire, 6, 701)
    assert wire.held == [Endpoint(INSIDE, 6)]
    ports = [request.listen.port for request in wire.nat.open.values()]
    assert ports == [6, 701]


def test_P4_a_call_aborted_before_its_reply_ends_by_an_id_nobody_knows() -> None:
    wire = Wire()
    wire.say(C, out_request(5) + out_request(6) + clear(5))
    assert wire.say(S, disconnect(700)) == disconnect(700)
    assert wire.held == [Endpoint(INSIDE, 6)]
    assert wire.refusals() == wire.notices() == []


def test_P4_an_unknown_id_ends_neither_a_pending_call_nor_an_answered_one() -> None:
    wire = Wire()
    call_of_client(wire, 5, 700)
    wire.say(C, clear(5) + out_request(6))
    assert wire.say(S, disconnect(65535)) == disconnect(65535)
    assert wire.notices() == ["unknown-call"]
    assert [listen.port for listen in wire.held] == [5, 6]


def test_P4_a_reply_that_crosses_the_abort_is_no_surprise() -> None:
    wire = Wire()
    wire.say(C, out_request(5) + clear(5))
    assert wire.say(S, out_reply(700, 61001)) == out_reply(700, 5)
    wire.say(S, disconnect(700))
    assert wire.nat.is_empty
    assert wire.refusals() == []


def test_P4_a_reply_without_a_request_is_refused() -> None:
    for peer in Peer:
        for reply in (out_reply(700, 9), in_reply(700, 9), connected(9)):
            wire = Wire()
            wire.say(peer, reply)
            assert wire.refusals() == ["no-request"]
            assert wire.nat.is_empty


def test_P4_a_reply_has_to_fit_its_request() -> None:
    wire = Wire()
    shown = shown_id(wire.say(C, out_request(5)))
    wire.say(S, in_reply(700, shown))
    wire.say(S, connected(shown))
    wire.say(C, out_reply(6, shown))
    wire.say(S, in_request(800))
    wire.say(S, connected(shown))
    wire.say(C, out_reply(6, 800))
    assert wire.refusals() == ["no-request"] * 5
    assert wire.nat.granted == []


def test_P4_a_second_reply_is_refused() -> None:
    call = call_of_client(Wire())
    call.wire.say(S, out_reply(701, call.shown))
    assert call.wire.refusals() == ["no-request"]
    assert len(call.wire.nat.open) == 2
    call = call_into_client(Wire())
    call.wire.say(C, in_reply(6, call.peer))
    call.wire.say(S, connected(call.shown))
    assert call.wire.refusals() == ["no-request"] * 2
    assert len(call.wire.nat.open) == 2


# G4


def test_G4_calls_on_a_control_connection_are_limited() -> None:
    wire = Wire(limits=PptpLimits(calls=2))
    call_of_client(wire, 5, 700)
    call_of_client(wire, 6, 701)
    wire.say(C, out_request(7))
    wire.say(S, in_request(702))
    assert wire.refusals() == ["too-many-calls"] * 2
    assert len(wire.nat.reservations) == 2
    wire.say(S, disconnect(700))
    call_of_client(wire, 7, 700)


def test_G4_the_longest_unknown_message_is_the_limit() -> None:
    wire = Wire(limits=PptpLimits(message=100))
    data = message(99, size=100)
    assert wire.say(C, data) == data
    assert wire.gone == []
    wire.say(C, message(99, size=101)[:10])
    assert wire.gone == [Detach("bad-length", True)]


def test_G4_notices_are_limited() -> None:
    wire = Wire(limits=PptpLimits(notices=3))
    data = message(99, size=12) * 10
    assert wire.say(C, data) == data
    assert wire.say(C, link_info(9)) == link_info(9)
    assert wire.notices() == ["unknown-message"] * 3


def test_G4_what_the_gateway_refuses_is_refused_with_its_reason() -> None:
    wire = Wire()
    wire.nat.refuse_with = "no-id"
    wire.say(C, out_request(5))
    wire.say(S, in_request(700))
    wire.say(C, in_reply(5, 700))
    assert wire.refusals() == ["no-id"] * 2
    assert wire.nat.is_empty


@pytest.mark.parametrize("granted", [0, 1])
@pytest.mark.parametrize(
    ("inside", "said"),
    [
        (C, [(C, out_request(5)), (S, out_reply(700, 61001))]),
        (S, [(C, out_request(700)), (S, out_reply(5, 700))]),
        (C, [(S, in_request(700)), (C, in_reply(5, 700)), (S, connected(61001))]),
        (S, [(S, in_request(5)), (C, in_reply(700, 61001)), (S, connected(700))]),
    ],
    ids=["out", "out-to-inside", "in", "in-from-inside"],
)
def test_G4_a_call_half_opened_is_closed_again(
    inside: Peer, said: list[tuple[Peer, bytes]], granted: int
) -> None:
    wire = Wire(inside)
    # The first thing that a call asks for is its id.
    wire.nat.refused_turns = frozenset(range(1 + granted, 100))
    for peer, data in said:
        wire.say(peer, data)
    assert wire.refusals() == ["pinhole-limit"]
    assert len(wire.nat.granted) == granted
    assert wire.nat.is_empty


# G5

DIALOGUE = [
    (C, START),
    (S, STARTED),
    (C, out_request(5) + message(5) + out_request(6)),
    (S, out_reply(700, 61001) + message(6) + out_reply(0, 61002, 2) + in_request(701)),
    (C, link_info(700) + in_reply(8, 701)),
    (S, link_info(61001) + connected(61003) + message(77, size=30) + wan_error(61003)),
    (C, clear(5)),
    (S, disconnect(700)),
    (C, STOP),
    (S, STOPPED),
]


def play(size: int, upto: int = len(DIALOGUE)) -> tuple[Wire, list[bytes]]:
    wire = Wire(start=False)
    return wire, [wire.say(peer, data, size) for peer, data in DIALOGUE[:upto]]


def test_G5_the_dialogue_is_translated_as_a_whole() -> None:
    wire, sent = play(4096)
    assert sent[2] == out_request(61001) + message(5) + out_request(61002)
    expected = out_reply(700, 5) + message(6) + out_reply(0, 6, 2) + in_request(701)
    assert sent[3] == expected
    assert sent[4] == link_info(700) + in_reply(61003, 701)
    assert sent[5] == link_info(5) + connected(8) + message(77, size=30) + wan_error(8)
    assert sent[6] == clear(61001)
    assert wire.refusals() == []
    assert wire.nat.is_empty


@pytest.mark.parametrize("size", [1, 2, 3, 7, 11, 13, 16, 100, 157])
def test_G5_segments_of_any_size_give_the_same(size: int) -> None:
    whole, cut = play(4096), play(size)
    assert cut[1] == whole[1]
    assert cut[0].steps == whole[0].steps
    assert cut[0].nat.granted == whole[0].nat.granted


@pytest.mark.parametrize("turn", range(len(DIALOGUE)))
def test_G5_a_turn_cut_at_every_byte_gives_the_same(turn: int) -> None:
    whole, sent = play(4096, turn + 1)
    peer, data = DIALOGUE[turn]
    for at in range(1, len(data)):
        cut, _ = play(4096, turn)
        assert cut.say(peer, data[:at]) + cut.say(peer, data[at:]) == sent[turn]
        assert cut.steps == whole.steps


# G7


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\n",
        b"POST",
        b"\x00\x9c\x00\x01\x1a\x2b\x3c\x4e",
        message(5),
        message(99, size=20),
        out_request(5),
        STARTED,
    ],
)
def test_G7_a_connection_that_begins_otherwise_is_not_pptp(first: bytes) -> None:
    wire = Wire(start=False)
    assert wire.say(C, first) == first
    assert wire.gone == [Detach("not-pptp", True)]
    wire.say(S, STARTED)
    assert wire.say(C, out_request(5)) == out_request(5)
    assert wire.nat.is_empty


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\n", b"220 hi\r\n", message(6), START])
def test_G7_a_server_that_answers_otherwise_is_not_pptp(first: bytes) -> None:
    wire = Wire(start=False)
    wire.say(C, START)
    wire.say(S, first)
    assert wire.gone == [Detach("not-pptp", True)]


def test_G7_a_server_that_speaks_first_is_not_pptp() -> None:
    wire = Wire(start=False)
    wire.say(S, STARTED)
    assert wire.gone == [Detach("not-pptp", True)]


CALL_MESSAGES = [out_request(5), out_reply(5, 6), in_request(5), in_reply(5, 6), connected(5)]
CALL_MESSAGES += [clear(5), disconnect(5), wan_error(5), link_info(5)]


@pytest.mark.parametrize("early", CALL_MESSAGES)
def test_G7_nothing_of_a_call_is_read_before_the_server_has_accepted(early: bytes) -> None:
    for answer in (b"", message(2, b"\x01\x00\x02\x00")):
        wire = Wire(start=False)
        wire.say(C, START)
        wire.say(S, answer)
        assert wire.say(C, early) == early
        assert wire.gone == [Detach("not-established", True)]
        assert wire.nat.is_empty


def test_G7_after_a_stop_there_are_no_calls() -> None:
    wire = Wire()
    wire.say(C, STOP)
    wire.say(C, out_request(5))
    assert wire.gone == [Detach("not-established", True)]


def test_G7_an_old_server_accepts_by_zero() -> None:
    wire = Wire(start=False)
    wire.say(C, START)
    wire.say(S, message(2, b"\x01\x00\x00\x00"))
    call_of_client(wire)


def test_G7_a_refused_start_may_be_tried_again() -> None:
    wire = Wire(start=False)
    wire.say(C, START)
    wire.say(S, message(2, b"\x01\x00\x05\x00"))
    wire.say(C, START)
    wire.say(S, STARTED)
    call_of_client(wire)


def test_G7_the_start_messages_have_their_sides() -> None:
    for peer, data in ((C, STARTED), (S, START)):
        wire = Wire()
        wire.say(peer, data)
        assert wire.gone == [Detach("wrong-side", True)]


# G9


@pytest.mark.parametrize("sender", list(Peer))
@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("by", [-12, -1, 1, 256])
def test_G9_a_length_that_lies_ends_the_alg(sender: Peer, kind: Kind, by: int) -> None:
    wire = Wire()
    data = message(kind, ids(5, 5), size=SIZES[kind] + by)
    wire.say(sender, data)
    assert wire.gone == [Detach("bad-length", True)]
    call = out_request(5)
    assert wire.say(C, call) == call
    assert wire.nat.is_empty


@pytest.mark.parametrize("size", [0, 1, 10, 11, 2049, 65535])
def test_G9_a_length_no_message_can_have_ends_the_alg(size: int) -> None:
    wire = Wire()
    wire.say(C, size.to_bytes(2, "big") + message(99, size=12)[2:])
    assert wire.gone == [Detach("bad-length", True)]


@pytest.mark.parametrize("at", range(4, 8))
@pytest.mark.parametrize("sender", list(Peer))
@pytest.mark.parametrize("size", [1, 4096])
def test_G9_a_wrong_cookie_ends_the_alg_whole_or_byte_by_byte(
    at: int, sender: Peer, size: int
) -> None:
    wire = Wire()
    broken = bytearray(message(5))
    broken[at] ^= 1
    sent = wire.say(sender, message(5) + bytes(broken) + out_request(5), size)
    assert sent == message(5) + bytes(broken) + out_request(5)
    assert wire.gone == [Detach("bad-cookie", True)]


def test_G9_a_management_message_ends_the_alg() -> None:
    wire = Wire()
    wire.say(C, message(5).replace(b"\x00\x01" + COOKIE, b"\x00\x02" + COOKIE))
    assert wire.gone == [Detach("bad-type", True)]


def test_G9_after_an_error_calls_agreed_on_stay_until_the_connection_ends() -> None:
    wire = Wire()
    call_of_client(wire, 5, 700)
    wire.say(C, out_request(6))
    wire.say(S, b"rubbish")
    assert wire.held == [Endpoint(INSIDE, 5)]
    assert len(wire.nat.open) == 2
    wire.alg.ended(wire.gate)
    assert wire.nat.is_empty


@given(st.sampled_from(list(Peer)), st.lists(st.tuples(st.sampled_from(list(Peer)), st.binary())))
def test_G9_any_bytes_pass_as_they_are(inside: Peer, feeds: list[tuple[Peer, bytes]]) -> None:
    wire = Wire(inside, start=False)
    sent = {peer: b"" for peer in Peer}
    said = {peer: b"" for peer in Peer}
    for peer, data in feeds:
        said[peer] += data
        sent[peer] += wire.say(peer, data)
    for peer in Peer:
        assert said[peer].startswith(sent[peer])
    assert wire.nat.is_empty


NUMBERS = st.sampled_from([0, 5, 6, 700, 61001, 61002, 61003, 61004, 65535])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A message of the protocol, or nearly."""
    kind = draw(st.sampled_from([*Kind, *list(Kind)[6:], *list(Kind)[6:13], 99]))
    body = ids(draw(NUMBERS), draw(NUMBERS)) + bytes([draw(st.sampled_from([1, 1, 1, 2]))])
    data = bytearray(message(kind, body, SIZES[Kind(kind)] if kind != 99 else 30))
    if draw(st.integers(0, 30)) == 0:
        data[draw(st.integers(0, 9))] ^= draw(st.integers(1, 255))
    return bytes(data)


def check(data: bytes, steps: list[Step]) -> None:
    """Same bytes, or an edited message that is as long and is one; or an error that is told."""
    for step in steps:
        taken, data = data[: step.length], data[step.length :]
        if not isinstance(step, Forward):
            continue
        out = apply_edits(taken, step.edits)
        assert len(out) == len(taken) == read_length(out, 0, 2048)
        assert out[:12] + out[16:] == taken[:12] + taken[16:]
        assert bool(step.edits) == (out != taken)
    if steps and isinstance(steps[-1], Detach):
        assert steps[-1].is_error


@given(
    st.sampled_from(list(Peer)),
    st.lists(st.tuples(st.sampled_from(list(Peer)), messages()), max_size=40),
    st.integers(1, 300),
)
def test_G9_messages_in_any_order_are_edited_in_place_or_told(
    inside: Peer, said: list[tuple[Peer, bytes]], size: int
) -> None:
    limits = PptpLimits(calls=4)
    whole, cut = Wire(inside, limits=limits), Wire(inside, limits=limits)
    for peer, data in said:
        was = len(whole.steps)
        assert cut.say(peer, data, size) == whole.say(peer, data)
        if not whole.gone:
            check(data, whole.steps[was:])
        assert len(whole.nat.reservations) <= 4
        assert len(whole.nat.open) <= 2 * len(whole.nat.reservations)
        for request in whole.nat.open.values():
            assert {request.listen.addr, request.opener_addr} == {INSIDE, REMOTE}
    assert cut.steps == whole.steps
    whole.alg.ended(whole.gate)
    assert whole.nat.is_empty
