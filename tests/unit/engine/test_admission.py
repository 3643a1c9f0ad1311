"""The first packet of a flow: whether it is let in, and which ALG reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from p4alg.alg.contract import (
    TCP,
    UDP,
    Endpoint,
    Finish,
    Forward,
    Gateway,
    Grant,
    Peer,
    PinholeRequest,
    Step,
    Watch,
)
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.settings import Limits, PortForward, Prefix
from p4alg.engine.tables import FlowKey, Op, SessionFlags
from p4alg.packet.icmp import UNREACHABLE, parse_icmp
from p4alg.packet.ipv4 import parse_ipv4
from tests.unit.engine.dialogue import greeted
from tests.unit.engine.harness import (
    IN_PORT,
    INSIDE,
    INSIDE2,
    OUT_PORT,
    POOL,
    REMOTE,
    REMOTE2,
    SERVER,
    AlgSettings,
    Bench,
    PortSpan,
    datagram,
    segment,
)
from tests.unit.engine.parts import TOY_ID, TOY_PORT, Toy, asked, toy

KEY = FlowKey(UDP, INSIDE, 6000, REMOTE, TOY_PORT)
DATA = FlowKey(UDP, INSIDE, 50000, REMOTE, 9000)


class Asking(Toy):
    """A machine that asks for something with each message of the client."""

    wants: PinholeRequest | None = None

    def receive(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        if self.wants is None or sender is not self.facts.inside:
            return [Forward(len(data))]
        found = gateway.open_pinhole(self.wants)
        assert isinstance(found, Grant), found
        return [Forward(len(data), (), "", (found.number,))]


class Reading(Asking):
    """One that reads its data flows too."""

    def receive_data(
        self, opener: Endpoint, sender: Peer, data: bytes, gateway: Gateway, now: float
    ) -> Sequence[Step]:
        if data == b"end":
            return [Forward(len(data)), Finish(3.0)]
        return [Forward(len(data)), Watch(sender, 100)]


def bench(machine: type[Toy] = Toy, enabled: bool = True, **changes: Any) -> Bench:
    more = {name: changes.pop(name) for name in ("services", "keeps_port") if name in changes}
    alg = toy(make=machine, **more)
    spans = {"toy": (PortSpan(UDP, TOY_PORT, TOY_PORT), PortSpan(TCP, TOY_PORT, TOY_PORT))}
    values: dict[str, Any] = {"algs": (AlgSettings(alg, enabled, ("toy",)),), "services": spans}
    return Bench(**{**values, **changes})


def hello(made: Bench, port: int = 6000, host: int = INSIDE) -> list[PacketOut]:
    return made.new(datagram(host, port, REMOTE, TOY_PORT), IN_PORT, TOY_ID)


def asking(machine: type[Asking], wants: PinholeRequest) -> Bench:
    """A gateway whose ALG was granted something."""

    class Wanting(machine):  # type: ignore[valid-type,misc]
        pass

    Wanting.wants = wants
    made = bench(Wanting)
    assert len(hello(made)) == 1
    return made


def test_a_flow_to_a_service_is_read_by_its_ALG() -> None:
    made = bench()
    frame = datagram(INSIDE, 6000, REMOTE, TOY_PORT)
    assert [out.frame for out in made.new(frame, IN_PORT, TOY_ID)] == [frame]
    assert made.sessions()[KEY].alg_id == TOY_ID
    assert made.show("sessions")[0]["label"] == "control"


@pytest.mark.parametrize(
    ("alg_id", "changes"),
    [(0, {}), (TOY_ID + 1, {}), (TOY_ID, {"enabled": False}), (TOY_ID, {"services": ((TCP, 7),)})],
    ids=["no service", "an unknown ALG", "an ALG that is off", "one for TCP only"],
)
def test_any_other_flow_is_plain_NAT(alg_id: int, changes: dict[str, Any]) -> None:
    made = bench(**changes)
    frame = datagram(INSIDE, 6000, REMOTE, TOY_PORT)
    assert made.new(frame, IN_PORT, alg_id) == [PacketOut(frame, IN_PORT)]
    assert made.sessions()[KEY].alg_id == 0
    assert made.show("sessions")[0]["alg"] == ""


def test_N6888_11_a_flow_that_may_not_be_is_counted_and_its_sender_told() -> None:
    made = bench(limits=Limits(sessions=1))
    hello(made)
    (error,) = hello(made, 6001)
    assert parse_icmp(parse_ipv4(error.frame))[:2] == (UNREACHABLE, 1)
    assert made.counter("nat.refused.session-limit") == 1
    assert made.counter("alg.toy.controls.opened") == 1


def test_rule_2_a_first_datagram_is_read_after_its_flow_is_written() -> None:
    made = bench()
    made.refuses = lambda update: isinstance(update.entry, t.Session) and update.op is Op.INSERT
    hello(made)
    assert made.sessions() == {}
    assert made.counter("nat.sessions.failed") == 1


def test_rule_2_the_SYN_of_a_control_session_leaves_behind_its_flow() -> None:
    made = bench()
    frame = segment(INSIDE, 6000, REMOTE, TOY_PORT)
    made.refuses = lambda update: isinstance(update.entry, t.Session) and update.op is Op.INSERT
    assert made.new(frame, IN_PORT, TOY_ID) == []
    made.refuses = lambda update: False
    (out,) = made.new(frame, IN_PORT, TOY_ID)
    assert out.frame == frame
    assert made.sessions()[KEY._replace(proto=TCP)].alg_id == TOY_ID


# Ports that are kept


def test_K1_a_port_is_kept_for_an_ALG_that_tells_hosts_apart() -> None:
    made = bench(keeps_port=lambda _options, _proto, inside, _remote: inside in (600, 6000))
    for host in (INSIDE, INSIDE2):
        hello(made, 600, host=host)
        assert made.outside_of(UDP, host, 600)[1] == 600
    hello(made, 601)
    # From 1024 up a port is in a block, and may be anybody's.
    hello(made, 6000)
    kinds = {row["inside"]: row["kind"] for row in made.show("bindings")}
    assert (kinds["10.0.0.11:600"], kinds["10.0.0.11:601"]) == ("shared", "dynamic")
    assert kinds["10.0.0.11:6000"] == "dynamic"


def test_an_endpoint_that_the_switch_has_mapped_keeps_its_port_for_the_ALG() -> None:
    made = bench()
    made.punt(ev.Reason.SUBSCRIBER, datagram(INSIDE, 5000, REMOTE, 80))
    (block,) = made.of(t.Block)
    mapped = block.outside_id + 40
    frame = datagram(INSIDE, 6000, REMOTE, TOY_PORT)
    made.punt(ev.Reason.NEW_FLOW, frame, IN_PORT, TOY_ID, mapped_id=mapped)
    assert made.outside_of(UDP, INSIDE, 6000) == (block.outside_addr, mapped)
    (row,) = made.show("sessions")
    assert row["alg"] == "toy"


def test_K1_a_port_that_somebody_has_alone_is_not_kept() -> None:
    def always(*_: object) -> bool:
        return True

    made = bench(
        keeps_port=always,
        pools=(Prefix(POOL, 32),),
        forwards=(PortForward(UDP, INSIDE2, 6000, POOL, 6000),),
    )
    assert len(hello(made)) == 1
    assert made.outside_of(UDP, INSIDE, 6000)[1] != 6000
    assert made.sessions()[KEY].alg_id == TOY_ID


# Flows that a control message has announced


OUTWARD = asked(
    listener=Peer.SERVER,
    listen=Endpoint(REMOTE, 9000),
    opener_addr=INSIDE,
    flow_idle=25.0,
    label="toy OUT",
)


def test_F1_an_announced_flow_has_its_ALGs_label_timer_and_address() -> None:
    made = asking(Asking, OUTWARD)
    made.new(datagram(INSIDE, 50000, REMOTE, 9000), IN_PORT)
    row = made.show("sessions")[-1]
    assert (row["alg"], row["label"], row["idle_timeout"]) == ("toy", "toy OUT", 25.0)
    assert made.outside_of(UDP, INSIDE, 50000)[0] == made.outside_of(UDP, INSIDE, 6000)[0]
    assert made.sessions()[DATA].alg_id == 0
    assert made.counter("alg.toy.expected.used") == 1
    # Once: another flow to there is as any other.
    made.new(datagram(INSIDE, 50001, REMOTE, 9000), IN_PORT)
    assert made.show("sessions")[-1]["label"] == ""


def test_F1_an_expected_flow_of_the_inside_host_is_labelled_and_keeps_the_address() -> None:
    dialogue = greeted(inside=Peer.SERVER)
    dialogue.client(b"PORT 198,51,100,11,100,1\r\n")
    made = dialogue.bench
    (waiting,) = made.of(t.PinholeEntry)
    assert (waiting.inside_id, waiting.remote_id) == (None, 25601)
    made.new(segment(INSIDE, 20, REMOTE, 25601), alg_id=waiting.alg_id)
    assert made.of(t.PinholeEntry) == []
    row = made.show("sessions")[-1]
    assert (row["alg"], row["label"]) == ("ftp", "ftp PORT")
    addr, port = made.outside_of(TCP, INSIDE, 20)
    assert addr == SERVER
    assert port < 1024


def inspected(**more: Any) -> PinholeRequest:
    return asked(inspect=True, **more)


def test_T2_an_announced_flow_may_be_read_to_its_end() -> None:
    outward = inspected(
        listener=Peer.SERVER, listen=Endpoint(REMOTE, 9000), opener_addr=INSIDE, label="toy OUT"
    )
    made = asking(Reading, outward)
    assert len(made.new(datagram(INSIDE, 50000, REMOTE, 9000), IN_PORT)) == 1
    session = made.sessions()[DATA]
    assert (session.alg_id, session.flags) == (TOY_ID, SessionFlags.WATCH_INSIDE)
    assert session.watch_below == 108


# Flows through a pinhole whose ALG reads the first packet


def through(made: Bench, payload: bytes = b"data", remote: int = REMOTE) -> list[PacketOut]:
    outside = made.outside_of(UDP, INSIDE, 50000)
    return made.new(datagram(remote, 9000, *outside, payload), OUT_PORT, TOY_ID)


def test_T1_a_flow_through_a_pinhole_is_read_as_data() -> None:
    made = asking(Reading, inspected())
    assert len(through(made)) == 1
    session = made.sessions()[DATA]
    assert (session.alg_id, session.flags) == (TOY_ID, SessionFlags.WATCH_OUTSIDE)
    assert made.of(t.PinholeEntry) == []
    row = made.show("sessions")[-1]
    assert (row["label"], row["opened_by"]) == ("toy DATA", "outside")


def test_a_first_datagram_may_be_the_last() -> None:
    made = asking(Reading, inspected())
    through(made, b"end")
    assert made.sessions()[DATA].idle_timeout == 3.0


def test_S5_a_flow_through_a_pinhole_of_another_ALG_is_a_control_session() -> None:
    made = asking(Asking, inspected(max_flows=2))
    assert len(through(made)) == 1
    assert made.show("sessions")[-1]["label"] == "control"
    assert made.show("algs")[0]["sessions"] == 2
    # It serves more flows, and is there for them.
    assert len(made.of(t.PinholeEntry)) == 1


def test_S5_a_pinhole_that_outlives_its_session_lets_sessions_in_and_stays() -> None:
    made = asking(Asking, inspected())
    session = made.engine._sessions.get(KEY)
    assert session is not None
    made.engine._sessions.leave(session)
    assert len(through(made)) == 1
    assert made.sessions()[DATA].alg_id == TOY_ID
    assert len(made.of(t.PinholeEntry)) == 1


CASES: dict[str, Callable[[Bench], list[PacketOut]]] = {
    "from another host": lambda made: through(made, remote=REMOTE2),
    "to another port": lambda made: made.new(
        datagram(REMOTE, 9000, POOL + 9, 50000), OUT_PORT, TOY_ID
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_fits_no_pinhole_is_not_given_to_its_ALG(name: str) -> None:
    made = asking(Reading, inspected())
    CASES[name](made)
    assert len(made.of(t.PinholeEntry)) == 1
    assert made.counter("alg.toy.pinholes.used") == 0
