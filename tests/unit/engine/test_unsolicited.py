"""SYNs from outside that nobody waits for (RFC 5382 REQ-4)."""

from __future__ import annotations

from p4alg.engine import events as ev
from p4alg.engine.unsolicited import MAX_OF_SOURCE, MAX_SYNS, SILENCE
from p4alg.packet.icmp import UNREACHABLE, parse_icmp
from p4alg.packet.ipv4 import parse_ipv4
from tests.unit.engine.harness import OUT_PORT, REMOTE, SERVER, Bench, segment

SYN = segment(REMOTE, 80, SERVER, 4711)


def arrives(bench: Bench, frame: bytes = SYN, *, hairpin: bool = False) -> list[bytes]:
    """The switch punts a SYN; the frames that leave because of it."""
    return [out.frame for out in bench.punt(ev.Reason.SYN, frame, OUT_PORT, hairpin=hairpin)]


def asked(bench: Bench, seconds: float) -> list[bytes]:
    """Time passes; the SYNs of which the switch is asked whether somebody waits for them now."""
    outs = [out for out in bench.tick(seconds) if out.late]
    assert all(out.egress_port is None and out.ingress_port == OUT_PORT for out in outs)
    return [out.frame for out in outs]


def test_N5382_4_an_unsolicited_SYN_is_answered_after_six_seconds_and_not_before() -> None:
    bench = Bench()
    assert arrives(bench) == []
    assert asked(bench, SILENCE - 0.1) == []
    assert arrives(bench) == []
    assert asked(bench, 0.1) == [SYN]
    (error,) = (parse_ipv4(frame) for frame in arrives(bench))
    told = parse_icmp(error)
    assert (told.type, told.code, error.dst) == (UNREACHABLE, 3, REMOTE)
    assert error.payload[8:].startswith(SYN[14:])
    assert bench.counter("syns.answered") == 1


def test_N5382_4_nothing_is_said_if_the_switch_does_not_give_the_SYN_back() -> None:
    bench = Bench()
    arrives(bench)
    assert asked(bench, SILENCE) == [SYN]
    assert asked(bench, 10.0) == []
    # This is another one, and is held as long as the first.
    assert arrives(bench) == []
    assert asked(bench, 1.0) == []


def test_N5382_4_SYNs_that_are_held_are_bounded() -> None:
    bench = Bench()
    for port in range(1, 2 * MAX_OF_SOURCE):
        arrives(bench, segment(REMOTE, port, SERVER, 4711))
    for host in range(2 * MAX_SYNS):
        arrives(bench, segment(REMOTE + 1 + host, 80, SERVER, 4711))
    assert bench.counter("syns.dropped") == MAX_SYNS + 2 * MAX_OF_SOURCE - 1
    assert len(asked(bench, SILENCE)) == MAX_SYNS
    assert asked(bench, SILENCE) == []
    arrives(bench)
    assert asked(bench, SILENCE) == [SYN]


def test_N5382_4_a_SYN_of_an_inside_host_that_came_round_is_not_held() -> None:
    bench = Bench()
    assert arrives(bench, hairpin=True) == []
    assert asked(bench, SILENCE) == []
