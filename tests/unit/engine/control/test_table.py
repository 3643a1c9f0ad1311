"""Control sessions begin, are found, and leave; what an ALG's have in common is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from p4alg.alg.contract import TCP, UDP, SessionFacts
from p4alg.alg.descriptor import Context, Option
from p4alg.alg.registry import algs
from p4alg.engine import events as ev
from p4alg.engine.control.session import ControlSession
from p4alg.engine.control.table import ControlSessions
from p4alg.engine.flows import Flow
from p4alg.engine.settings import Limits
from p4alg.engine.tables import FlowKey
from p4alg.packet.tcp import ACK, SYN
from p4alg.stream.datagram import DatagramFollower
from p4alg.stream.tcp import StreamFollower, StreamLimits
from tests.unit.engine.dialogue import greeted
from tests.unit.engine.harness import (
    IN_PORT,
    INSIDE,
    INSIDE2,
    OUT_PORT,
    REMOTE,
    REMOTE2,
    SERVER,
    AlgSettings,
    Bench,
    segment,
)
from tests.unit.engine.parts import NOW, TOY_ID, Parts, Toy, lines, owner, toy


def attached(parts: Parts, flow: Flow | None = None) -> ControlSession:
    session = parts.sessions.attach(flow or parts.flow(), parts.alg, hairpin=False, now=NOW)
    assert session is not None
    return session


class Common:
    """What all sessions have in common: numbers that end when they are asked for."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.numbers: list[Any] = [3, 4]

    def expire(self, now: float) -> Sequence[int]:
        numbers, self.numbers = self.numbers, []
        return numbers


def test_a_flow_under_an_ALG_is_marked_and_found() -> None:
    parts = Parts()
    flow = parts.flow()
    session = attached(parts, flow)
    assert (flow.alg, flow.alg_id, flow.label) == ("toy", TOY_ID, "control")
    sessions = parts.sessions
    assert sessions.get(flow.key) is sessions.of_owner(session.owner) is session
    assert (sessions.get(None), sessions.of_owner(None), sessions.of_owner(owner())) == (None,) * 3
    assert (len(sessions), sessions.count_of(INSIDE)) == (1, 1)
    assert sessions.all() == sessions.all("toy") == [session]
    assert sessions.all("other") == []
    assert parts.count("alg.toy.controls.opened") == 1


def test_who_leaves_is_forgotten_once_and_the_flow_stays() -> None:
    parts = Parts()
    session = attached(parts)
    assert parts.sessions.leave(session)
    assert not parts.sessions.leave(session)
    assert session.flow.alg_id == 0
    assert parts.sessions.get(session.flow.key) is None
    assert parts.sessions.of_owner(session.owner) is None
    assert (len(parts.sessions), parts.sessions.count_of(INSIDE)) == (0, 0)
    assert session.flow.key in parts.flows


@pytest.mark.parametrize(("proto", "kind"), [(TCP, StreamFollower), (UDP, DatagramFollower)])
def test_what_follows_a_session_is_that_of_its_transport(proto: int, kind: type) -> None:
    parts = Parts()
    assert isinstance(attached(parts, parts.flow(proto)).stream, kind)


def test_a_machine_is_told_what_is_configured() -> None:
    made: list[Toy] = []

    def make(facts: SessionFacts, context: Context) -> Toy:
        made.append(Toy(facts, context))
        return made[-1]

    alg = toy(
        make=make, share=Common, options=(Option("loud", False, ""), Option("rude", True, ""))
    )
    configured = AlgSettings(alg, True, ("toy",), {"rude": False})
    limits = Limits(message=4096, pinhole_lifetime=33.0)
    parts = Parts(alg, algs=(configured,), limits=limits)
    session = attached(parts)
    context = made[0].context
    assert (context.message, context.pinhole_lifetime) == (4096, 33.0)
    assert context.options == {"loud": False, "rude": False}
    assert context.shared is parts.sessions.shared["toy"]
    assert made[0].facts == session.facts


@pytest.mark.parametrize(("own", "longest"), [(0, 60), (200, 200)])
def test_the_longest_message_of_a_stream_is_that_of_its_ALG(own: int, longest: int) -> None:
    parts = Parts(toy(message=own), limits=Limits(message=60, stream=9000))
    stream = attached(parts, parts.flow(TCP)).stream
    assert isinstance(stream, StreamFollower)
    assert stream._limits == StreamLimits(longest, 9000, reset_on_refusal=True)


def test_a_session_begins_anew_with_another_machine() -> None:
    parts = Parts()
    session = attached(parts)
    before = session.machine, session.stream
    assert parts.sessions.renew(session, NOW)
    assert session.machine is not before[0]
    assert session.stream is not before[1]
    assert parts.sessions.get(session.flow.key) is session


def test_rule_10_an_ALG_that_makes_no_machine_leaves_the_flow_to_plain_NAT() -> None:
    def broken(facts: SessionFacts, context: Context) -> Toy:
        raise RuntimeError("no")

    parts = Parts(toy(make=broken))
    flow = parts.flow()
    assert parts.sessions.attach(flow, parts.alg, hairpin=False, now=NOW) is None
    assert (flow.alg, flow.alg_id, len(parts.sessions)) == ("", 0, 0)
    assert parts.count("alg.toy.faults") == 1
    (told,) = lines(parts.answer())
    assert "toy: 10.0.0.11:6000 -> 198.51.100.11:7777: not followed: RuntimeError: no" in told


def test_rule_10_a_machine_that_cannot_be_made_again_ends_the_session_only() -> None:
    makes = iter([Toy, None])

    def make(facts: SessionFacts, context: Context) -> Toy:
        maker = next(makes)
        assert maker is not None
        return maker(facts, context)

    parts = Parts(toy(make=make))
    session = attached(parts)
    assert not parts.sessions.renew(session, NOW)
    assert parts.count("alg.toy.faults") == 1


@pytest.mark.parametrize(("remote", "is_ours"), [(SERVER, True), (REMOTE, False)])
def test_N5382_8_who_opens_a_session_to_an_address_of_ours_hairpins(
    remote: int, is_ours: bool
) -> None:
    bench = Bench()
    bench.new(segment(INSIDE2, 40001, remote, 21), IN_PORT, alg_id=1)
    key = FlowKey(TCP, INSIDE2, 40001, remote, 21)
    outside = bench.outside_of(TCP, INSIDE2, 40001)
    answer = segment(remote, 21, *outside, SYN | ACK, 1, 2)
    # A packet of the server has been translated once, and comes back so from outside.
    outs = bench.punt(ev.Reason.ALG, answer, OUT_PORT, 1, hairpin=is_ours)
    assert [out.hairpin for out in outs] == [is_ours]
    assert key in bench.sessions()


def test_G4_the_sessions_of_a_host_are_bounded() -> None:
    parts = Parts(limits=Limits(controls_per_subscriber=1))
    first = attached(parts)
    second = parts.flow(port=6001)
    assert parts.sessions.attach(second, parts.alg, hairpin=False, now=NOW) is None
    assert parts.count("alg.toy.controls.refused") == 1
    assert lines(parts.answer()) == ["toy: control session limit of a host reached; not followed"]
    parts.sessions.leave(first)
    attached(parts, second)


def test_G4_beyond_the_control_session_limit_a_connection_is_plain_nat() -> None:
    bench = Bench(limits=Limits(controls_per_subscriber=1))
    greeted(bench).client(b"USER a\r\n")
    out = bench.new(segment(INSIDE, 40001, REMOTE2, 21), IN_PORT, alg_id=1)
    assert len(out) == 1
    key = FlowKey(TCP, INSIDE, 40001, REMOTE2, 21)
    assert bench.sessions()[key].alg_id == 0
    assert bench.counter("alg.ftp.controls.refused") == 1


# What sessions have in common


def test_what_sessions_have_in_common_is_made_once_and_anew_when_asked() -> None:
    parts = Parts(toy(share=Common))
    first = parts.sessions.shared["toy"]
    assert isinstance(first, Common)
    assert parts.sessions.shared["toy"] is first
    parts.sessions.renew_shared("toy", NOW)
    assert isinstance(parts.sessions.shared["toy"], Common)
    assert parts.sessions.shared["toy"] is not first


def expired(sessions: ControlSessions) -> list[int]:
    return list(sessions.expired("toy", NOW))


def test_the_clock_of_what_is_common_gives_numbers_to_end() -> None:
    parts = Parts(toy(share=Common))
    assert expired(parts.sessions) == [3, 4]
    assert expired(parts.sessions) == []
    assert expired(Parts().sessions) == []


@pytest.mark.parametrize("numbers", [["x"], [None], 7])
def test_rule_10_a_clock_that_fails_is_counted_and_ends_nothing(numbers: Any) -> None:
    parts = Parts(toy(share=Common))
    parts.sessions.shared["toy"].numbers = numbers
    assert expired(parts.sessions) == []
    assert parts.count("alg.toy.faults") == 1


def test_rule_10_what_is_common_and_cannot_be_made_is_none() -> None:
    def broken(context: Context) -> object:
        raise RuntimeError("no")

    parts = Parts(toy(share=broken))
    assert parts.sessions.shared["toy"] is None
    assert parts.count("alg.toy.faults") == 1
    assert attached(parts).facts.server.addr == REMOTE


@pytest.mark.parametrize("configured", [2048, 65536])
def test_G4_a_message_may_be_as_long_as_the_ALG_needs_or_the_configuration_says(
    configured: int,
) -> None:
    parts = Parts(algs()["sip"], limits=Limits(message=configured))
    assert parts.sessions.shared["sip"].settings.limits.message == max(65535, configured)
