"""G5 and G6: whatever the network does to its segments, a control connection carries what the
ALG made of it, and both ends only ever see numbers that they know."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from p4alg.alg.contract import Peer
from p4alg.packet.ipv4 import parse_ipv4
from p4alg.packet.tcp import ACK, FIN, RST, SYN, parse_tcp
from p4alg.stream.effects import Detached, Dropped, Shift
from p4alg.stream.tcp import StreamFollower, StreamLimits
from tests.conftest import examples
from tests.unit.stream.network import (
    LIMITS,
    Connection,
    LineAlg,
    a_gateway,
    carried,
    payloads,
    push,
    started,
)

CLIENT = b"USER x\r\nP 10,0,0,1\r\n+5 grow\nNOOP\r\n- this line will shrink\nP again\nQUIT\r\n"
SERVER = b"220 hi\r\n331 ok\n+9 more\n200 yes\r\n-shorter than it was\n221 bye\r\n"
lines = st.lists(
    st.tuples(st.sampled_from([b"+3", b"+9", b"-", b"P", b"N", b"2"]), st.integers(0, 60)),
    max_size=12,
).map(lambda parts: b"".join(kind + b"x" * size + b"\n" for kind, size in parts))
seeds = st.integers(0, 1 << 30)
isns = st.tuples(*2 * [st.sampled_from([0, 7, (1 << 31) - 30, (1 << 32) - 40, (1 << 32) - 1])])


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
@examples(200)
def test_G5_G6_reordered_doubled_lost_and_repeated_segments_change_nothing(
    client: bytes, server: bytes, seed: int, isn: tuple[int, int], mss: int, biggest: int
) -> None:
    rng = random.Random(seed)
    connection = Connection(client, server, isns=isn, mss=mss)
    connection.handshake()
    connection.misbehave(rng, 120, biggest)
    connection.finish(rng, biggest)
    carried(connection)


# The client's last segment arrived, all acknowledgements of it were lost, and the server is done.
@example(client=b"-\n", seed=2097151)
@given(lines, seeds)
@example(b"+3\n", 156)  # The client has finished, and its last acknowledgement was lost.
@examples(60)
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


def test_G5_data_without_a_handshake_is_passed_and_never_read() -> None:
    connection = Connection(b"", b"")
    client = connection.ends[Peer.CLIENT]
    frame = client.frame(ACK, 1, b"P 1\n")
    assert connection.switch.packet(frame) == [frame]
    assert connection.switch.ended == [Detached("no-handshake", True)]
    assert connection.switch.seen == []


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
    frame[50:52] = (0xFFFF & int.from_bytes(frame[50:52], "big") - 4).to_bytes(2, "big")
    out = connection.switch.packet(bytes(frame))
    assert [parse_tcp(parse_ipv4(f)).urgent for f in out] == [4]


@given(st.lists(st.tuples(st.sampled_from(list(Peer)), st.binary(max_size=90)), max_size=20))
def test_G9_no_frames_raise(frames: list[tuple[Peer, bytes]]) -> None:
    stream = StreamFollower(LineAlg(), LIMITS)
    for peer, frame in frames:
        stream.packet(peer, 1, frame, a_gateway(), 0.0)


@given(seeds, st.integers(1, 60))
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


def test_G5_a_connection_has_one_beginning() -> None:
    connection = Connection(b"", b"")
    client = connection.ends[Peer.CLIENT]
    follower = connection.switch.stream
    assert len(connection.switch.packet(client.syn())) == 1
    # Repeated, it is passed again; from another beginning, or with a FIN or RST, it is not.
    assert len(connection.switch.packet(client.syn())) == 1
    for flags, offset in ((SYN, 1), (SYN | FIN, 0), (SYN | RST, 0)):
        assert connection.switch.packet(client.frame(flags, offset)) == []
    assert connection.switch.dropped == {"unexpected-syn": 3}
    assert not follower.detached


def test_G5_what_was_not_followed_from_its_beginning_never_is() -> None:
    connection = Connection(b"", b"")
    client = connection.ends[Peer.CLIENT]
    for frame in (client.frame(ACK, 1, b"P early\n"), client.syn()):
        assert len(connection.switch.packet(frame)) == 1
    assert connection.switch.ended == [Detached("no-handshake", True)]
    assert connection.switch.seen == []


def test_an_rst_without_a_handshake_is_passed_as_it_is() -> None:
    connection = Connection(b"", b"")
    frame = connection.ends[Peer.SERVER].frame(RST, 5)
    assert connection.switch.packet(frame) == [frame]
    assert not connection.switch.stream.is_over


def test_G9_a_frame_that_is_no_segment_is_counted_and_dropped() -> None:
    connection = started()
    frame = connection.ends[Peer.CLIENT].frame(ACK, 1, b"P 1\n")
    assert connection.switch.stream.packet(Peer.CLIENT, 1, frame[:30], a_gateway(), 0.0) == [
        Dropped("malformed")
    ]


def test_G4_more_held_than_the_limits_is_dropped() -> None:
    # Held bytes pile up behind a message that waits for its tables.
    connection = started(limits=StreamLimits(100, 200))
    push(connection, Peer.CLIENT, b"P waits\n")
    for n in range(4):
        assert push(connection, Peer.CLIENT, b"%d" % n + b"x" * 98 + b"\n") == []
    assert connection.switch.dropped == {"stream-limit": 1}
    out = connection.switch.write_tables()
    assert [d[:1] for _, d in payloads(out)] == [b"P", b"0"]


def test_G6_the_correction_is_that_of_the_latest_resized_message() -> None:
    connection = started(isns=((1 << 32) - 1, 9))
    stream = connection.switch.stream
    assert (stream.resized, stream.shift(Peer.CLIENT)) == (False, Shift(0, 0, 0))
    push(connection, Peer.CLIENT, b"N 1\n+5 x\n")
    connection.switch.write_tables()
    assert (stream.resized, stream.shift(Peer.CLIENT)) == (True, Shift(4, 0, 5))
    push(connection, Peer.CLIENT, b"P 1\n")
    connection.switch.write_tables()
    assert stream.shift(Peer.CLIENT) == Shift(9, 5, 7)
    assert stream.shift(Peer.SERVER) == Shift(0, 0, 0)


def test_G4_what_is_far_behind_is_dropped() -> None:
    connection = started()
    client = connection.ends[Peer.CLIENT]
    out = connection.switch.packet(client.frame(ACK, -(1 << 20) - 9, b"N 1\n"))
    assert [data for _, data in payloads(out)] == [b""], "a challenge"
    assert connection.switch.dropped == {"out-of-window": 1}
