"""Repetitions: what a sender repeats is repeated as it was sent on; held bytes are acknowledged."""

import random

import pytest

from p4alg.alg.contract import Peer
from p4alg.packet.ipv4 import parse_ipv4
from p4alg.packet.tcp import ACK, FIN, parse_tcp
from p4alg.stream.tcp import StreamLimits
from tests.unit.stream.network import (
    Connection,
    carried,
    payloads,
    push,
    started,
)


def test_an_inconsistent_repetition_does_not_change_what_arrives() -> None:
    connection = started()
    connection.from_switch += push(connection, Peer.CLIENT, b"N 1\n")
    client = connection.ends[Peer.CLIENT]
    out = connection.switch.packet(client.frame(ACK, 1, b"P 1\n"))
    assert [d for _, d in payloads(out)] == [b"N 1\n"]


def test_G6_a_gap_behind_what_the_sender_repeats_is_closed() -> None:
    # Several resized lines, of which the peer has the first two only: what it
    # acknowledges, the switch cannot tell the sender exactly.
    rng = random.Random(1971)
    line = b"xxxxxxxxxxxxxxxxxxxxxxxx\n"
    connection = started(b"+3\nN" + line[1:] + b"+3\n+3\n+3\n+3" + line, b"220 hi\n")
    connection.misbehave(rng, 100, 20)
    connection.finish(rng, 7)
    carried(connection)


def arrive_all(connection: Connection, frames: list[bytes]) -> None:
    connection.from_switch += frames
    connection.settle()


@pytest.mark.parametrize(("start", "end"), [(1, 3), (3, 9), (1, 9)])
def test_rule_2_an_edited_message_is_repeated_whole(start: int, end: int) -> None:
    connection = started()
    message = b"P secret\n"
    push(connection, Peer.CLIENT, message)
    connection.switch.write_tables()
    again = connection.ends[Peer.CLIENT].frame(ACK, start, message[start - 1 : end])
    assert [d for _, d in payloads(connection.switch.packet(again))] == [b"P=" + message]


def test_of_what_was_not_edited_that_part_is_repeated_that_the_sender_repeats() -> None:
    connection = started()
    push(connection, Peer.CLIENT, b"N 1\nN 2\n")
    client = connection.ends[Peer.CLIENT]
    (again,) = connection.switch.packet(client.frame(ACK, 3, b"1\nN"))
    tcp = parse_tcp(parse_ipv4(again))
    assert tcp.payload == b"1\nN"
    assert tcp.seq == client.isn + 3


def test_G5_what_follows_a_resized_message_is_repeated_with_it() -> None:
    # The switch cannot tell the sender exactly what its peer has, so it may repeat too little.
    connection = started()
    push(connection, Peer.CLIENT, b"N 1\n")
    push(connection, Peer.CLIENT, b"+5 x\n")
    connection.switch.write_tables()
    again = connection.ends[Peer.CLIENT].frame(ACK, 9, b"\n")
    out = connection.switch.packet(again)
    assert b"".join(d for _, d in payloads(out)) == b"N 1\n" + b"+++++" + b"+5 x\n"


def test_held_bytes_are_not_acknowledged_before_the_peer_has_all_before_them() -> None:
    connection = started()
    out = push(connection, Peer.CLIENT, b"N 1\nP 10,")
    assert [d for _, d in payloads(out)] == [b"N 1\n"]
    server = connection.ends[Peer.SERVER]
    server.receive(out[0])
    # The server's own message says that it has them.
    out = connection.switch.packet(server.frame(ACK, 1, b"200 ok\n"))
    to_client = [parse_tcp(p) for p in map(parse_ipv4, out) if p.src == 0xC633640B]
    assert [tcp.payload for tcp in to_client] == [b"200 ok\n", b""]
    client = connection.ends[Peer.CLIENT]
    assert to_client[1].ack == client.isn + 1 + len(b"N 1\nP 10,")


def test_held_bytes_that_are_repeated_are_acknowledged_again() -> None:
    connection = started()
    client = connection.ends[Peer.CLIENT]
    first = push(connection, Peer.CLIENT, b"P 10,")
    again = connection.switch.packet(client.frame(ACK, 1, b"P 10,"))
    assert [parse_tcp(parse_ipv4(f)).ack for f in first + again] == [client.isn + 6] * 2


def test_held_bytes_repeated_alone_prove_that_the_peer_has_all_before_them() -> None:
    connection = started()
    client = connection.ends[Peer.CLIENT]
    push(connection, Peer.CLIENT, b"N 1\nP 10,")
    (answer,) = connection.switch.packet(client.frame(ACK, 5, b"P 10,"))
    tcp = parse_tcp(parse_ipv4(answer))
    assert (tcp.payload, tcp.ack) == (b"", client.isn + 10)


def test_bytes_that_the_peer_has_and_nobody_remembers_are_answered_by_the_peer() -> None:
    connection = started()
    arrive_all(connection, push(connection, Peer.CLIENT, b"N 1\n"))
    server = connection.ends[Peer.SERVER]
    arrive_all(connection, connection.switch.packet(server.send(1, 0)))
    arrive_all(connection, push(connection, Peer.SERVER, b"200\n"))
    (probe,) = connection.switch.packet(connection.ends[Peer.CLIENT].frame(ACK, 1, b"N 1\n"))
    assert parse_tcp(parse_ipv4(probe)).payload == b""
    answers = server.receive(probe)
    assert [parse_tcp(parse_ipv4(f)).ack for f in answers] == [connection.ends[Peer.CLIENT].isn + 5]


def test_G4_forgotten_bytes_that_the_peer_lacks_are_passed_as_their_sender_repeats_them() -> None:
    connection = started(limits=StreamLimits(2048, 20))
    client = connection.ends[Peer.CLIENT]
    for n in range(4):
        push(connection, Peer.CLIENT, b"N %d.......\n" % n)
    out = connection.switch.packet(client.frame(ACK, 1, b"N 0.......\n"))
    assert [d for _, d in payloads(out)] == [b"N 0.......\n"]
    assert parse_tcp(parse_ipv4(out[0])).seq == client.isn + 1


def test_a_fin_is_repeated_with_what_was_before_it() -> None:
    connection = started(client=b"N 1\n")
    client = connection.ends[Peer.CLIENT]
    first = connection.switch.packet(client.send(1, 4))
    again = connection.switch.packet(client.send(1, 4))
    alone = connection.switch.packet(client.send(5, 0))
    assert first == again
    tcp = parse_tcp(parse_ipv4(alone[0]))
    assert (tcp.payload, tcp.flags & FIN, tcp.seq) == (b"", FIN, client.isn + 5)


def test_G5_bytes_that_were_acknowledged_early_are_repeated_with_what_follows_them() -> None:
    # Their sender has its acknowledgement and will never repeat them itself.
    connection = started()
    push(connection, Peer.CLIENT, b"P half")
    out = connection.switch.detach()
    assert [d for _, d in payloads(out)] == [b"P half"]
    push(connection, Peer.CLIENT, b"more")
    again = connection.switch.packet(connection.ends[Peer.CLIENT].frame(ACK, 7, b"more"))
    assert b"".join(d for _, d in payloads(again)) == b"P halfmore"
