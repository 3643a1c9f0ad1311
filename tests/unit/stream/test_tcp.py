"""G5 and G6: whatever the network does to its segments, a control connection carries what the
ALG made of it, and both ends only ever see numbers that they know."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p4alg.alg.contract import Peer
from p4alg.packet.ipv4 import parse_ipv4
from p4alg.packet.tcp import ACK, FIN, RST, parse_tcp
from p4alg.stream.effects import Detached
from p4alg.stream.tcp import StreamFollower, StreamLimits
from tests.unit.stream.network import (
    LIMITS,
    Connection,
    LineAlg,
    NoGateway,
    edited_stream,
)

CLIENT = b"USER x\r\nP 10,0,0,1\r\n+5 grow\nNOOP\r\n- this line will shrink\nP again\nQUIT\r\n"
SERVER = b"220 hi\r\n331 ok\n+9 more\n200 yes\r\n-shorter than it was\n221 bye\r\n"
lines = st.lists(
    st.tuples(st.sampled_from([b"+3", b"+9", b"-", b"P", b"N", b"2"]), st.integers(0, 60)),
    max_size=12,
).map(lambda parts: b"".join(kind + b"x" * size + b"\n" for kind, size in parts))
seeds = st.integers(0, 1 << 30)
isns = st.tuples(*2 * [st.sampled_from([0, 7, (1 << 31) - 30, (1 << 32) - 40, (1 << 32) - 1])])


def carried(connection: Connection) -> None:
    """Assert that both ends got what the ALG made of the other's stream, and ended."""
    ends = connection.ends
    for peer in Peer:
        assert bytes(ends[peer.other].got) == edited_stream(ends[peer].stream)
        assert ends[peer].is_done
        assert ends[peer].fin_got


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_G5_G6_a_dialogue_arrives_edited_however_it_is_cut(size: int) -> None:
    connection = Connection(CLIENT, SERVER)
    connection.handshake()
    while any(end.nxt <= end.end for end in connection.ends.values()):
        for end in connection.ends.values():
            if end.nxt <= end.end:
                connection.to_switch.append(end.send(end.nxt, size))
                connection.settle()
    connection.finish(random.Random(1), size)
    carried(connection)


@given(lines, lines, seeds, isns, st.sampled_from([64, 100, 1460]), st.sampled_from([1, 9, 400]))
@settings(max_examples=200, deadline=None)
def test_G5_G6_reordered_doubled_lost_and_repeated_segments_change_nothing(
    client: bytes, server: bytes, seed: int, isn: tuple[int, int], mss: int, biggest: int
) -> None:
    rng = random.Random(seed)
    connection = Connection(client, server, isns=isn, mss=mss)
    connection.handshake()
    connection.misbehave(rng, 120, biggest)
    connection.finish(rng, biggest)
    carried(connection)


@given(lines, seeds)
@settings(max_examples=60, deadline=None)
def test_G5_what_was_read_does_not_depend_on_the_cuts(client: bytes, seed: int) -> None:
    def read(size: int | None) -> list[tuple[Peer, bytes, bytes]]:
        rng = random.Random(seed)
        connection = Connection(client, b"220 hi\n")
        connection.handshake()
        if size is None:
            connection.misbehave(rng, 100, 20)
        connection.finish(rng, size or 7)
        seen = [s for s in connection.switch.seen if s.verdict != "held"]
        return [(s.sender, s.before, s.after) for s in seen if s.sender is Peer.CLIENT]

    assert read(None) == read(1) == read(5000)


def started(client: bytes = b"", server: bytes = b"", **more) -> Connection:
    connection = Connection(client, server, **more)
    connection.handshake()
    return connection


def push(connection: Connection, peer: Peer, data: bytes) -> list[bytes]:
    """`peer` sends `data` next; what the switch sends on."""
    end = connection.ends[peer]
    start = max(end.nxt, 1)
    end.nxt = start + len(data)
    return connection.switch.packet(end.frame(ACK, start, data))


def payloads(frames: list[bytes]) -> list[tuple[int, bytes]]:
    return [(p.src, parse_tcp(p).payload) for p in map(parse_ipv4, frames)]


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


def test_F4_a_refused_message_resets_both_ends_with_the_numbers_they_expect() -> None:
    connection = started()
    push(connection, Peer.SERVER, b"+9 grow\n")
    for frame in connection.switch.write_tables():
        connection.from_switch.append(frame)
    connection.settle()
    for frame in push(connection, Peer.CLIENT, b"NOOP\nX no\n"):
        connection.from_switch.append(frame)
    while connection.from_switch:
        connection.arrive(0)
    assert all(end.reset for end in connection.ends.values())


def test_G5_an_end_that_resets_is_heard_exactly_although_bytes_are_held() -> None:
    connection = started()
    push(connection, Peer.CLIENT, b"P incompl")
    client = connection.ends[Peer.CLIENT]
    out = connection.switch.packet(client.frame(RST | ACK, client.nxt))
    connection.from_switch += out
    connection.arrive(0)
    assert connection.ends[Peer.SERVER].reset


def test_G5_held_bytes_go_on_with_the_fin() -> None:
    connection = started(client=b"QUI")
    connection.to_switch.append(connection.ends[Peer.CLIENT].send(1, 3))
    connection.settle()
    assert bytes(connection.ends[Peer.SERVER].got) == b"QUI"
    assert connection.ends[Peer.SERVER].fin_got


def test_G5_data_without_a_handshake_is_passed_and_never_read() -> None:
    connection = Connection(b"", b"")
    client = connection.ends[Peer.CLIENT]
    frame = client.frame(ACK, 1, b"P 1\n")
    assert connection.switch.packet(frame) == [frame]
    assert connection.switch.ended == [Detached("no-handshake", True)]
    assert connection.switch.seen == []


def test_detaching_lets_everything_held_go_on() -> None:
    connection = started()
    push(connection, Peer.CLIENT, b"P half")
    stream = connection.switch.stream
    out = connection.switch.detach()
    assert [d for _, d in payloads(out)] == [b"P half"]
    assert not stream.may_leave_to_switch
    connection.from_switch += out
    connection.arrive(0)
    # The peer's answer proves that it has what its sender will not repeat.
    server = connection.ends[Peer.SERVER]
    connection.switch.packet(server.frame(ACK, 1, b"200\n"))
    assert stream.may_leave_to_switch
    assert [d for _, d in payloads(push(connection, Peer.CLIENT, b"P x\n"))] == [b"P x\n"]


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


def test_G4_what_is_kept_is_bounded() -> None:
    limits = StreamLimits(2048, 4096)
    connection = started(limits=limits)
    client = connection.ends[Peer.CLIENT]
    for n in range(200):
        connection.switch.packet(client.frame(ACK, 100 + 50 * n, b"y" * 20))
        connection.switch.packet(client.frame(ACK, (1 << 22) + n, b"y" * 20))
    assert connection.switch.stream.bytes_held <= 4096
    assert connection.switch.dropped["out-of-order-limit"] > 0
    assert connection.switch.dropped["out-of-window"] == 200
    for _ in range(300):
        push(connection, Peer.SERVER, b"z" * 99 + b"\n")
    assert connection.switch.stream.bytes_held <= 2 * 4096


def test_G6_urgent_data_stays_urgent() -> None:
    connection = started()
    client = connection.ends[Peer.CLIENT]
    frame = bytearray(client.frame(ACK | 32, 1, b"\xff\xf4\xff\xf2ABOR\r\n"))
    frame[52:54] = b"\0\4"
    out = connection.switch.packet(bytes(frame))
    assert [parse_tcp(parse_ipv4(f)).urgent for f in out] == [4]


def test_an_inconsistent_repetition_does_not_change_what_arrives() -> None:
    connection = started()
    connection.from_switch += push(connection, Peer.CLIENT, b"N 1\n")
    client = connection.ends[Peer.CLIENT]
    out = connection.switch.packet(client.frame(ACK, 1, b"P 1\n"))
    assert [d for _, d in payloads(out)] == [b"N 1\n"]


@given(st.lists(st.tuples(st.sampled_from(list(Peer)), st.binary(max_size=90)), max_size=20))
def test_G9_no_frames_raise(frames: list[tuple[Peer, bytes]]) -> None:
    stream = StreamFollower(LineAlg(), LIMITS)
    for peer, frame in frames:
        stream.packet(peer, 1, frame, NoGateway(), 0.0)


@given(seeds, st.integers(1, 60))
@settings(deadline=None)
def test_G9_no_segments_raise(seed: int, count: int) -> None:
    rng = random.Random(seed)
    connection = started() if rng.random() < 0.8 else Connection(b"", b"")
    for _ in range(count):
        end = connection.ends[rng.choice(list(Peer))]
        flags = rng.choice([ACK, ACK, ACK | FIN, RST, RST | ACK, 2, 18, 0, 63])
        body = rng.choice([b"", b"P 1\n", b"+4\n", b"half", b"X\n", b"D\n", rng.randbytes(30)])
        connection.switch.packet(end.frame(flags, rng.randint(-5, 40), body))
        if connection.switch.waiting is not None and rng.random() < 0.5:
            connection.switch.write_tables(rng.random() < 0.5)


def test_G6_a_gap_behind_what_the_sender_repeats_is_closed() -> None:
    # Several resized lines, of which the peer has the first two only: what it
    # acknowledges, the switch cannot tell the sender exactly.
    rng = random.Random(1971)
    line = b"xxxxxxxxxxxxxxxxxxxxxxxx\n"
    connection = started(b"+3\nN" + line[1:] + b"+3\n+3\n+3\n+3" + line, b"220 hi\n")
    connection.misbehave(rng, 100, 20)
    connection.finish(rng, 7)
    carried(connection)
