"""Messages that are turned away: they leave the stream, and their sender may be told why."""

from __future__ import annotations

import random

import pytest

from p4alg.alg.contract import Peer
from p4alg.packet.ipv4 import parse_ipv4
from p4alg.packet.tcp import RST, parse_tcp
from tests.unit.stream.network import (
    LIMITS,
    Connection,
    edited_stream,
    payloads,
    push,
    started,
)

CLIENT, SERVER = Peer.CLIENT, Peer.SERVER


def finish(connection: Connection) -> None:
    connection.finish(random.Random(1), 100)


def test_a_message_that_is_answered_goes_nowhere_and_the_connection_goes_on() -> None:
    connection = started(b"one\nA two\nthree\n", b"hello\n")
    finish(connection)
    assert bytes(connection.ends[SERVER].got) == b"one\nthree\n"
    assert bytes(connection.ends[CLIENT].got) == b"answer\nhello\n"
    assert not any(end.reset for end in connection.ends.values())


def test_a_message_may_be_dropped_without_an_answer() -> None:
    connection = started(b"Q one\ntwo\n", b"")
    finish(connection)
    assert bytes(connection.ends[SERVER].got) == b"two\n"
    assert bytes(connection.ends[CLIENT].got) == b""


def test_rule_2_the_answer_waits_until_the_switch_corrects_numbers() -> None:
    connection = started()
    assert push(connection, CLIENT, b"A one\n") == []
    assert [data for _, data in payloads(connection.switch.write_tables())] == [b"answer\n"]


def test_G6_an_answer_that_is_lost_is_said_again_when_the_sender_repeats() -> None:
    connection = started(b"A one\n")
    client = connection.ends[CLIENT]
    connection.switch.packet(client.send(1, 6))
    assert connection.switch.write_tables()
    again = connection.switch.packet(client.send(1, 6))
    assert b"answer\n" in [data for _, data in payloads(again)]
    connection.from_switch += again
    connection.settle()
    assert bytes(client.got) == b"answer\n"
    finish(connection)
    assert bytes(client.got) == b"answer\n"


def test_a_message_whose_answer_the_switch_cannot_carry_resets() -> None:
    connection = started()
    push(connection, CLIENT, b"A one\n")
    out = connection.switch.write_tables(ok=False)
    assert all(parse_tcp(parse_ipv4(frame)).flags & RST for frame in out)
    assert len(out) == 2


def test_an_end_that_has_finished_says_nothing_more_and_the_message_is_dropped() -> None:
    connection = started(b"A one\n", b"")
    connection.to_switch.append(connection.ends[SERVER].send(1, 1))
    connection.settle()
    connection.to_switch.append(connection.ends[CLIENT].send(1, 6))
    connection.settle()
    assert not connection.ends[CLIENT].reset
    finish(connection)
    assert bytes(connection.ends[SERVER].got) == b""


@pytest.mark.parametrize("isn", [7, (1 << 32) - 20])
@pytest.mark.parametrize("seed", range(120))
def test_G5_G6_whatever_the_network_does_each_end_gets_its_stream_and_its_answers(
    seed: int, isn: int
) -> None:
    rng = random.Random(seed)
    kinds = [b"A asks\n", b"Q quiet\n", b"plain text\n", b"+3 grows\n", b"-shrinks a lot\n", b"P\n"]
    streams = [b"".join(rng.choices(kinds, k=rng.randint(1, 12))) for _ in range(2)]
    connection = Connection(streams[0], streams[1], isns=(isn, 9), limits=LIMITS)
    connection.handshake()
    connection.misbehave(rng, 120, 24)
    connection.finish(rng, 24)
    for peer in Peer:
        got = bytes(connection.ends[peer.other].got)
        assert got.replace(b"answer\n", b"") == edited_stream(streams[peer is SERVER])
        asked = streams[peer is CLIENT].count(b"A asks\n")
        # What asks after the other end has finished gets no answer.
        assert got.count(b"answer\n") <= asked
