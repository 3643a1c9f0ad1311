"""Ends: FINs and resets, with the numbers that either end expects, and the ALG stepping aside."""

import pytest

from p4alg.alg.contract import Peer
from p4alg.packet.ipv4 import parse_ipv4
from p4alg.packet.tcp import ACK, FIN, RST, parse_tcp
from p4alg.stream.effects import Closed, Detached
from tests.unit.stream.network import payloads, push, started


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


def test_a_reset_closes_once_and_its_repetitions_are_passed() -> None:
    connection = started()
    server = connection.ends[Peer.SERVER]
    frame = server.frame(RST | ACK, 1)
    assert len(connection.switch.packet(frame)) == 1
    assert len(connection.switch.packet(frame)) == 1
    assert connection.switch.ended == [Closed("reset")]
    assert connection.switch.stream.is_over
    assert push(connection, Peer.CLIENT, b"N 1\n") == []
    assert connection.switch.detach() == []
    assert connection.switch.ended == [Closed("reset")]


def test_a_fin_waits_for_what_is_before_it() -> None:
    connection = started(client=b"P 1\nhalf")
    client = connection.ends[Peer.CLIENT]
    assert connection.switch.packet(client.send(5, 4)) == []
    assert connection.switch.packet(client.frame(ACK, 1, b"P 1\n")) == []
    out = connection.switch.write_tables()
    assert [d for _, d in payloads(out)] == [b"P=P 1\n"]
    # A FIN out of order is not believed. Its sender repeats it.
    again = connection.switch.packet(client.send(5, 4))
    assert b"".join(d for _, d in payloads(again)).endswith(b"half")
    assert parse_tcp(parse_ipv4(again[-1])).flags & FIN


def test_nothing_comes_after_a_fin() -> None:
    connection = started(client=b"N 1\n")
    client = connection.ends[Peer.CLIENT]
    connection.switch.packet(client.send(1, 4))
    for start in (5, 6):
        out = connection.switch.packet(client.frame(ACK, start, b"N forged\n"))
        assert not any(d for _, d in payloads(out))
    assert not any(b"forged" in seen.before for seen in connection.switch.seen)


def test_a_fin_outside_the_window_does_not_end_anything() -> None:
    connection = started(client=b"N 1\n")
    client = connection.ends[Peer.CLIENT]
    told = connection.switch.packet(client.frame(ACK | FIN, 1 << 21))
    assert not any(parse_tcp(parse_ipv4(frame)).flags & FIN for frame in told)
    (out,) = connection.switch.packet(client.send(1, 4))
    tcp = parse_tcp(parse_ipv4(out))
    assert (tcp.payload, tcp.flags & FIN) == (b"N 1\n", FIN)


def test_F4_the_reset_of_a_refused_sender_acknowledges_all_that_it_sent() -> None:
    connection = started()
    out = push(connection, Peer.CLIENT, b"X no\nN 1\n")
    client = connection.ends[Peer.CLIENT]
    to_client = [parse_tcp(p) for p in map(parse_ipv4, out) if p.src == 0xC633640B]
    assert [(tcp.flags, tcp.ack) for tcp in to_client] == [(RST | ACK, client.isn + 10)]


def test_what_a_forged_reset_acknowledges_is_not_believed() -> None:
    connection = started()
    push(connection, Peer.SERVER, b"200\n")
    client, server = connection.ends.values()
    client.peer_isn, client.assembly.next = server.isn, 5
    assert connection.switch.packet(client.frame(RST | ACK, 1 << 20))
    # The server still gets no other acknowledgement than the client's own ...
    client.assembly.next = 1
    (out,) = push(connection, Peer.CLIENT, b"N 1\n")
    assert parse_tcp(parse_ipv4(out)).ack == server.isn + 1
    # ... and what the client may not have is still repeated.
    again = connection.switch.packet(server.frame(ACK, 1, b"200\n"))
    assert [d for _, d in payloads(again)] == [b"200\n"]


def test_detaching_sends_what_was_decided_before_what_is_held() -> None:
    connection = started()
    out = push(connection, Peer.CLIENT, b"N 1\nD\nrest")
    assert [d for _, d in payloads(out)] == [b"N 1\n", b"D\nrest"]


def test_both_fins_end_a_connection() -> None:
    connection = started()
    stream = connection.switch.stream
    for peer in Peer:
        assert not stream.is_over
        arrive_frames = connection.switch.packet(connection.ends[peer].send(1, 0))
        assert [parse_tcp(parse_ipv4(f)).flags & FIN for f in arrive_frames] == [FIN]
    assert stream.is_over


@pytest.mark.parametrize("ok", [True, False])
def test_rule_2_detaching_does_not_let_a_message_leave_that_waits(ok: bool) -> None:
    connection = started()
    push(connection, Peer.CLIENT, b"P waits\nP next\n")
    assert connection.switch.detach() == []
    stream = connection.switch.stream
    assert (stream.blocked, stream.detached) == (True, True)
    assert push(connection, Peer.SERVER, b"200\n") == []
    out = payloads(connection.switch.write_tables(ok))
    from_client = b"".join(d for src, d in out if src != 0xC633640B)
    assert from_client == (b"P=" if ok else b"") + b"P waits\nP next\n"
    assert b"".join(d for src, d in out if src == 0xC633640B) == b"200\n"


def test_detaching_twice_is_reported_once() -> None:
    connection = started()
    connection.switch.detach()
    connection.switch.detach()
    assert connection.switch.ended == [Detached("test", False)]


def test_G6_a_reset_acknowledges_what_its_receiver_sent_in_its_own_numbers() -> None:
    connection = started()
    out = push(connection, Peer.SERVER, b"+5 x\n")
    out += connection.switch.write_tables()
    connection.from_switch += out
    connection.arrive(0)
    client, server = connection.ends.values()
    (reset,) = connection.switch.packet(client.frame(RST | ACK, 1))
    assert parse_tcp(parse_ipv4(reset)).ack == server.isn + 1 + len(b"+5 x\n")
