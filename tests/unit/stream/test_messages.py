"""Messages: held until they are complete, sent on as the ALG decides, after their tables."""

from collections.abc import Sequence

import pytest

from p4alg.alg.contract import Edit, Forward, Gateway, Notice, Peer, Step
from p4alg.packet.ipv4 import parse_ipv4
from p4alg.packet.tcp import ACK, RST, parse_tcp
from p4alg.stream.effects import Detached, Noticed, Seen
from p4alg.stream.tcp import StreamLimits
from tests.unit.stream.network import a_gateway, payloads, push, started


def test_G5_an_incomplete_message_is_held_and_acknowledged_to_its_sender() -> None:
    connection = started()
    client = connection.ends[Peer.CLIENT]
    out = push(connection, Peer.CLIENT, b"P 10,0")
    assert payloads(out) == [(0xC633640B, b"")]
    client.receive(out[0])
    assert client.una == 1 + len(b"P 10,0")
    assert connection.switch.seen[-1].verdict == "held"
    assert push(connection, Peer.CLIENT, b",0,1\n") == []
    assert [d for _, d in payloads(connection.switch.write_tables())] == [b"P=P 10,0,0,1\n"]


def test_rule_2_nothing_of_a_message_leaves_before_its_tables_are_written() -> None:
    connection = started()
    assert push(connection, Peer.CLIENT, b"P secret\n") == []
    client = connection.ends[Peer.CLIENT]
    for start in (1, 3):
        repeat = client.frame(ACK, start, b"P secret\n"[start - 1 :])
        assert connection.switch.packet(repeat) == []
    assert push(connection, Peer.SERVER, b"200 meanwhile\n") == []
    out = connection.switch.write_tables()
    assert [d for _, d in payloads(out)] == [b"P=P secret\n", b"200 meanwhile\n"]


def test_rule_2_a_message_whose_tables_fail_is_refused_by_reset() -> None:
    connection = started()
    push(connection, Peer.CLIENT, b"P secret\nP next\n")
    out = connection.switch.write_tables(ok=False)
    assert [parse_tcp(parse_ipv4(f)).flags & RST for f in out] == [RST, RST]
    for frame in out:
        connection.from_switch.append(frame)
        connection.arrive(0)
    assert all(end.reset for end in connection.ends.values())
    assert connection.switch.seen[-1].reason == "tables"
    assert push(connection, Peer.CLIENT, b"NOOP\n") == []


def test_F4_refused_messages_are_passed_as_they_are_if_so_configured() -> None:
    limits = StreamLimits(2048, 65536, reset_on_refusal=False)
    connection = started(limits=limits)
    assert [d for _, d in payloads(push(connection, Peer.CLIENT, b"X no\nN\n"))] == [b"X no\nN\n"]
    push(connection, Peer.CLIENT, b"P secret\nP next\n")
    out = connection.switch.write_tables(ok=False)
    assert b"".join(d for _, d in payloads(out)) == b"P secret\nP next\n"
    assert connection.switch.stream.shift(Peer.CLIENT).after == 0


def test_an_alg_that_detaches_leaves_the_rest_unread() -> None:
    connection = started()
    out = push(connection, Peer.CLIENT, b"+5 x\nD\nP unread\n")
    out += connection.switch.write_tables()
    assert b"".join(d for _, d in payloads(out)) == b"+++++" + b"+5 x\nD\nP unread\n"
    assert connection.switch.stream.detached


def test_G4_a_message_without_end_is_refused() -> None:
    connection = started()
    out = push(connection, Peer.CLIENT, b"x" * 1400)
    out = push(connection, Peer.CLIENT, b"x" * 1400)
    assert all(parse_tcp(parse_ipv4(frame)).flags & RST for frame in out)
    assert connection.switch.seen[-1].reason == "message-too-long"


class Scripted:
    """An ALG that answers with the steps it was given, and records what it was fed."""

    def __init__(self, *steps: list[Step]) -> None:
        self.steps = list(steps)
        self.fed: list[tuple[Peer, bytes]] = []

    def feed(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        self.fed.append((sender, data))
        return self.steps.pop(0) if self.steps else []


def test_an_edit_of_the_same_length_needs_no_tables() -> None:
    alg = Scripted([Forward(4, (Edit(0, 2, b"PQ"),))])
    connection = started(alg=alg)
    out = push(connection, Peer.CLIENT, b"ab c")
    assert [d for _, d in payloads(out)] == [b"PQ c"]
    assert connection.switch.waiting is None
    assert not connection.switch.stream.resized
    assert connection.switch.seen[-1].verdict == "rewritten"


def test_messages_before_one_that_waits_leave_at_once_and_those_behind_it_after_it() -> None:
    connection = started()
    out = push(connection, Peer.CLIENT, b"N 1\nN 2\nP 3\nN 4\n+5\n")
    assert [d for _, d in payloads(out)] == [b"N 1\nN 2\n"]
    barrier = connection.switch.waiting
    assert barrier is not None
    assert (barrier.grants, barrier.resized) == ((7,), True)
    out = connection.switch.write_tables()
    assert [d for _, d in payloads(out)] == [b"P=P 3\n", b"N 4\n"]
    assert connection.switch.waiting is not None
    assert [d for _, d in payloads(connection.switch.write_tables())] == [b"+++++" + b"+5\n"]


def test_bytes_that_are_no_message_are_not_counted_as_one() -> None:
    connection = started(alg=Scripted([Forward(3, is_message=False), Notice("told", "why")]))
    follower = connection.switch.stream
    frame = connection.ends[Peer.CLIENT].frame(ACK, 1, b"abc")
    effects = follower.packet(Peer.CLIENT, 1, frame, a_gateway(), 0.0)
    assert [e for e in effects if isinstance(e, Seen | Noticed)] == [
        Noticed(Peer.CLIENT, "told", "why")
    ]


def test_an_incomplete_message_is_reported_once() -> None:
    connection = started()
    for part in (b"P 1", b"0,", b"0", b"\n"):
        push(connection, Peer.CLIENT, part)
    connection.switch.write_tables()
    push(connection, Peer.CLIENT, b"N")
    held = [s.before for s in connection.switch.seen if s.verdict == "held"]
    assert held == [b"P 1", b"N"]


def test_what_one_end_says_may_decide_on_what_the_other_said() -> None:
    alg = Scripted([], [Forward(3)], [Forward(4)])
    connection = started(alg=alg)
    push(connection, Peer.CLIENT, b"abcd")
    out = push(connection, Peer.SERVER, b"xyz")
    assert alg.fed == [(Peer.CLIENT, b"abcd"), (Peer.SERVER, b"xyz"), (Peer.CLIENT, b"abcd")]
    assert [d for _, d in payloads(out) if d] == [b"xyz", b"abcd"]


def test_rule_2_what_was_not_written_was_not_resized() -> None:
    limits = StreamLimits(2048, 65536, reset_on_refusal=False)
    connection = started(limits=limits)
    push(connection, Peer.CLIENT, b"+9 x\n")
    connection.switch.write_tables()
    before = connection.switch.stream.shift(Peer.CLIENT)
    push(connection, Peer.CLIENT, b"P y\nN z\n")
    out = connection.switch.write_tables(ok=False)
    assert [d for _, d in payloads(out)] == [b"P y\nN z\n"]
    assert connection.switch.stream.shift(Peer.CLIENT) == before
    assert [s.verdict for s in connection.switch.seen[-2:]] == ["refused", "forwarded"]


def test_an_outcome_that_nothing_waits_for_has_no_effect() -> None:
    connection = started()
    for ok in (True, False):
        assert connection.switch.stream.resume(ok, a_gateway(), 0.0) == []
    assert [d for _, d in payloads(push(connection, Peer.CLIENT, b"N 1\n"))] == [b"N 1\n"]


@pytest.mark.parametrize("ok", [True, False])
def test_an_outcome_after_a_reset_has_no_effect(ok: bool) -> None:
    connection = started()
    push(connection, Peer.CLIENT, b"P waits\nN more\n")
    stream = connection.switch.stream
    connection.switch.packet(connection.ends[Peer.SERVER].frame(RST | ACK, 1))
    assert stream.is_over
    assert stream.blocked
    kept = stream.bytes_held
    assert stream.resume(ok, a_gateway(), 0.0) == []
    assert not stream.blocked
    assert stream.bytes_held == kept


def test_G4_a_message_without_end_is_passed_unread_if_so_configured() -> None:
    connection = started(limits=StreamLimits(100, 65536, reset_on_refusal=False))
    out = push(connection, Peer.CLIENT, b"N 1\n" + b"x" * 101)
    assert b"".join(d for _, d in payloads(out)) == b"N 1\n" + b"x" * 101
    assert connection.switch.ended == [Detached("message-too-long", True)]


class Telling:
    """An ALG that never decides on any byte, and has something to say each time it is fed."""

    def feed(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        return [Notice("told", "why")]


def test_an_alg_that_decides_nothing_is_fed_again_only_with_more_bytes() -> None:
    connection = started(alg=Telling())
    client = connection.ends[Peer.CLIENT]
    for start in (1, 4):
        frame = client.frame(ACK, start, b"abc")
        effects = connection.switch.stream.packet(Peer.CLIENT, 1, frame, a_gateway(), 0.0)
        assert [e for e in effects if isinstance(e, Noticed)] == [
            Noticed(Peer.CLIENT, "told", "why")
        ]
