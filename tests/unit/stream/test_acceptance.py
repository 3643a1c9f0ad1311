"""What somebody who does not see a connection can do to it: nothing (RFC 5961, 9293)."""

from __future__ import annotations

import random
import struct

import pytest

from p4alg.alg.contract import Peer
from p4alg.packet.ipv4 import parse_ipv4
from p4alg.packet.tcp import ACK, FIN, RST, SYN, parse_tcp
from p4alg.stream.acceptance import MAX_CHALLENGES
from p4alg.stream.effects import Closed
from tests.unit.stream.network import Connection, payloads, push, started

CLIENT, SERVER = Peer.CLIENT, Peer.SERVER


def flags(frames: list[bytes]) -> list[int]:
    return [parse_tcp(parse_ipv4(frame)).flags for frame in frames]


def goes_on(connection: Connection) -> None:
    """What both ends say next arrives."""
    for peer in Peer:
        out = push(connection, peer, b"N next\n")
        assert (b"N next\n") in [data for _, data in payloads(out)]
        connection.from_switch += out
        connection.settle()
        assert bytes(connection.ends[peer.other].got).endswith(b"N next\n")


@pytest.mark.parametrize("away", [1, -1, 2, 100, 60000, 1 << 20, 1 << 30, -(1 << 30)])
def test_a_blind_reset_ends_nothing_and_its_sender_is_challenged(away: int) -> None:
    connection = started()
    connection.from_switch += push(connection, SERVER, b"N 220\n")
    connection.settle()
    server = connection.ends[SERVER]
    out = connection.switch.packet(server.frame(RST, server.nxt + away))
    assert flags(out) == [ACK], "to the server, in the client's name"
    assert payloads(out)[0][0] == parse_ipv4(connection.ends[CLIENT].syn()).src
    assert connection.switch.ended == []
    goes_on(connection)


def test_an_end_that_knows_nothing_of_the_connection_resets_it_after_a_challenge() -> None:
    connection = started()
    push(connection, SERVER, b"N 220\n")
    server = connection.ends[SERVER]
    (challenge,) = connection.switch.packet(server.frame(RST, server.nxt + 500))
    expected = parse_tcp(parse_ipv4(challenge)).ack
    (out,) = connection.switch.packet(server.frame(RST, expected - server.isn))
    assert parse_tcp(parse_ipv4(out)).flags & RST
    assert connection.switch.ended == [Closed("reset")]


def test_challenges_are_bounded() -> None:
    connection = started()
    server = connection.ends[SERVER]
    out = [connection.switch.packet(server.frame(RST, 5 + n)) for n in range(100)]
    assert sum(len(frames) for frames in out) == MAX_CHALLENGES


@pytest.mark.parametrize("peer", list(Peer))
def test_a_blind_SYN_begins_nothing_anew_and_its_sender_is_challenged(peer: Peer) -> None:
    connection = started()
    end = connection.ends[peer]
    isn, end.isn = end.isn, 123456789
    out = connection.switch.packet(end.frame(SYN, 0))
    end.isn = isn
    assert flags(out) == [ACK]
    goes_on(connection)


@pytest.mark.parametrize("size", [1, 7, 1000, 50000])
def test_a_blind_FIN_truncates_nothing(size: int) -> None:
    connection = started()
    client = connection.ends[CLIENT]
    connection.switch.packet(client.frame(ACK | FIN, 1 + size))
    for _ in range(3):
        goes_on(connection)
    assert not connection.ends[SERVER].fin_got


def test_segments_without_an_acknowledgement_are_ignored() -> None:
    connection = started()
    client = connection.ends[CLIENT]
    assert connection.switch.packet(client.frame(0, 1, b"N forged\n")) == []
    assert connection.switch.dropped == {"no-ack": 1}
    assert connection.switch.seen == []


@pytest.mark.parametrize("beyond", [1, 1000, 1 << 30, -(1 << 21), -(1 << 30)])
def test_what_acknowledges_more_than_was_sent_is_neither_read_nor_believed(beyond: int) -> None:
    connection = started()
    push(connection, SERVER, b"N 220\n")
    client, server = connection.ends[CLIENT], connection.ends[SERVER]
    client.peer_isn, client.assembly.next = server.isn, server.nxt + beyond
    out = connection.switch.packet(client.frame(ACK, 1, b"N forged\n"))
    assert payloads(out) == [(payloads(out)[0][0], b"")]
    assert flags(out) == [ACK]
    assert not any(b"forged" in seen.before for seen in connection.switch.seen)
    client.assembly.next = 1
    # What the client lacks is still kept, and comes when the server repeats it.
    again = connection.switch.packet(server.frame(ACK, 1, b"N 220\n"))
    assert b"N 220\n" in [data for _, data in payloads(again)]


def test_a_wrong_checksum_is_neither_believed_nor_mended() -> None:
    connection = started()
    client = connection.ends[CLIENT]
    for flag in (ACK, ACK | FIN, RST, SYN):
        frame = bytearray(client.frame(flag, 1, b"N forged\n" if flag == ACK else b""))
        frame[50] ^= 0x55
        assert connection.switch.packet(bytes(frame)) == []
    assert connection.switch.dropped == {"bad-checksum": 4}
    assert connection.switch.seen == []
    goes_on(connection)


def test_no_more_is_accepted_ahead_than_the_receiver_takes() -> None:
    connection = Connection(b"", b"")
    connection.to_switch.append(connection.ends[CLIENT].syn())
    connection.settle()
    syn = bytearray(connection.ends[SERVER].syn())
    # The server takes 1000 bytes.
    old, new = struct.unpack_from("!H", syn, 48)[0], 1000
    check = struct.unpack_from("!H", syn, 50)[0] + old - new
    struct.pack_into("!HH", syn, 48, new, (check & 0xFFFF) + (check >> 16) & 0xFFFF)
    connection.to_switch.append(bytes(syn))
    connection.settle()
    client = connection.ends[CLIENT]
    connection.switch.packet(client.frame(ACK, 1 + 2000, b"N far\n"))
    assert connection.switch.dropped == {"out-of-window": 1}
    connection.switch.packet(client.frame(ACK, 1 + 900, b"N near\n"))
    assert connection.switch.dropped == {"out-of-window": 1}
    assert connection.switch.stream.bytes_held == len(b"N near\n")


def test_a_forged_answer_to_the_SYN_is_dropped() -> None:
    connection = Connection(b"", b"")
    client, server = connection.ends[CLIENT], connection.ends[SERVER]
    connection.to_switch.append(client.syn())
    connection.settle()
    server.isn, isn = 4711, server.isn
    server.peer_isn, server.assembly.next = client.isn, 99
    assert connection.switch.packet(server.syn()) == []
    assert connection.switch.dropped == {"bad-ack": 1}
    server.isn, server.assembly.next = isn, 1
    connection.to_switch.append(server.syn())
    connection.settle()
    goes_on(connection)


def test_blind_segments_during_the_handshake_change_nothing() -> None:
    connection = Connection(b"", b"")
    client, server = connection.ends[CLIENT], connection.ends[SERVER]
    connection.to_switch.append(client.syn())
    connection.settle()
    for forged in (
        client.frame(ACK, 1, b"N early\n"),
        client.frame(RST, 700),
        server.frame(RST | ACK, 0) if server.peer_isn is None else server.frame(RST, 700),
    ):
        assert connection.switch.packet(forged) == []
    assert connection.switch.ended == []
    connection.to_switch.append(server.syn())
    connection.settle()
    goes_on(connection)


def test_a_server_that_refuses_is_heard() -> None:
    connection = Connection(b"", b"")
    client, server = connection.ends[CLIENT], connection.ends[SERVER]
    connection.to_switch.append(client.syn())
    connection.settle()
    server.peer_isn, server.assembly.next = client.isn, 1
    assert len(connection.switch.packet(server.frame(RST | ACK, 0))) == 1


@pytest.mark.parametrize("seed", range(30))
def test_a_flood_of_blind_segments_does_not_change_what_either_end_gets(seed: int) -> None:
    """Any flags and numbers, in the names of both ends, while they talk."""
    rng = random.Random(seed)
    connection = started(b"N one\n+3 two\nP three\n", b"N 220\n-less of this\n")
    expected = Connection(b"N one\n+3 two\nP three\n", b"N 220\n-less of this\n")
    expected.handshake()
    expected.finish(random.Random(1), 9)
    for step in range(300):
        end = connection.ends[rng.choice(list(Peer))]
        forged = rng.choice([ACK, FIN | ACK, RST, RST | ACK, SYN, SYN | ACK, 0])
        kept = end.assembly.next
        # A blind sender knows neither number; it may come as near as 20 to one of them.
        end.assembly.next = rng.choice([-20, 1 << 22, rng.getrandbits(31)])
        at = rng.choice([40000, 1 << 19, -1000, rng.getrandbits(31)])
        # What has none of these flags and no data stays in the switch.
        said = rng.choice([b"", b"P forged\n"]) if forged & (SYN | FIN | RST) else b"P forged\n"
        frame = end.frame(forged, at, said)
        end.assembly.next = kept
        for answer in connection.switch.packet(frame):
            assert parse_tcp(parse_ipv4(answer)).flags in (ACK, SYN, SYN | ACK)
        if step % 20 == 0:
            busy = [e for e in connection.ends.values() if e.nxt < e.end]
            for e in busy[:1]:
                connection.to_switch.append(e.send(max(e.nxt, 1), 5))
                connection.settle()
    connection.finish(rng, 9)
    for peer in Peer:
        assert connection.ends[peer].got == expected.ends[peer].got
        assert not connection.ends[peer].reset
