"""Rules 10 and 11: an ALG that raises, forgets or lies costs its own control session only.

The ALGs here are made for this and do what no ALG should; the engine is the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from p4alg.alg.contract import (
    TCP,
    UDP,
    Detach,
    Edit,
    Endpoint,
    Finish,
    Forward,
    Gateway,
    Grant,
    Notice,
    Peer,
    PinholeRequest,
    Refusal,
    Refuse,
    SessionFacts,
    Step,
    Watch,
)
from p4alg.alg.descriptor import Alg, Context
from p4alg.alg.registry import algs
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.settings import Limits
from p4alg.engine.tables import FlowKey
from p4alg.packet.ipv4 import parse_ipv4
from p4alg.packet.tcp import parse_tcp
from p4alg.packet.udp import parse_udp
from tests.unit.engine.dialogue import Dialogue
from tests.unit.engine.harness import (
    IN_PORT,
    INSIDE,
    INSIDE2,
    REMOTE,
    AlgSettings,
    Bench,
    PortSpan,
    datagram,
    segment,
)

ID, PORT = 200, 7777
KEY = FlowKey(UDP, INSIDE, 6000, REMOTE, PORT)

Answer = Callable[[Peer, bytes, Gateway], Sequence[Step]]


@dataclass
class Careless:
    """An ALG that answers as the test says."""

    facts: SessionFacts
    answer: Answer
    on_tick: Callable[[Gateway], None] = lambda _gateway: None
    on_end: Callable[[Gateway], None] = lambda _gateway: None
    heard: list[bytes] = field(default_factory=list)

    def receive(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        self.heard.append(data)
        return self.answer(sender, data, gateway)

    feed = receive

    def tick(self, gateway: Gateway, now: float) -> None:
        self.on_tick(gateway)

    def ended(self, gateway: Gateway) -> None:
        self.on_end(gateway)


class Lab:
    """A gateway with one careless ALG on UDP and TCP port 7777, and FTP."""

    def __init__(self, answer: Answer, outlives: bool = False, **more: Any) -> None:
        self.made: list[Careless] = []

        def make(facts: SessionFacts, _context: Context) -> Careless:
            self.made.append(Careless(facts, answer, **more))
            return self.made[-1]

        alg = Alg(
            "careless",
            "does what no ALG should",
            services=((UDP, PORT), (TCP, PORT)),
            make=make,
            alg_id=ID,
            outlives=outlives,
        )
        self.bench = Bench(
            services={
                "careless": (PortSpan(UDP, PORT, PORT), PortSpan(TCP, PORT, PORT)),
                "ftp": (PortSpan(TCP, 21, 21),),
            },
            algs=(
                AlgSettings(alg, True, ("careless",)),
                AlgSettings(algs()["ftp"], True, ("ftp",)),
            ),
            limits=Limits(grants_per_message=20, pinholes_per_subscriber=50, pinholes=60),
            denied_ports=frozenset({3306}),
        )
        # Somebody else's session, which has to go on.
        self.other = Dialogue(self.bench, Peer.SERVER)
        self.other.server(b"220 hi\r\n")

    def say(self, data: bytes = b"hello", host: int = INSIDE) -> list[bytes]:
        """The inside host sends a datagram; the payloads that go on."""
        frame = datagram(host, 6000, REMOTE, PORT, data)
        key = FlowKey(UDP, host, 6000, REMOTE, PORT)
        if key in self.bench.sessions():
            outs = self.bench.punt(ev.Reason.ALG, frame, IN_PORT, ID)
        else:
            outs = self.bench.new(frame, IN_PORT, ID)
        return [parse_udp(parse_ipv4(out.frame)).payload for out in outs]

    @property
    def is_followed(self) -> bool:
        """Whether the switch still gives the session's packets to the ALG."""
        return bool(self.bench.sessions()[KEY].alg_id)

    def check(self) -> None:
        """The other session goes on, and nothing was opened by the careless one."""
        assert self.bench.of(t.PinholeEntry) == []
        assert {e.inside_id for e in self.bench.of(t.MapOut)} <= {6000, 40000, 21}
        assert self.other.client(b"EPSV\r\n") == b"EPSV\r\n"
        assert self.other.server(b"229 ok (|||50000|)\r\n").startswith(b"229 ok (|||")


LISTEN = Endpoint(INSIDE, 50000)


def pinhole(listen: Endpoint = LISTEN, **more: Any) -> PinholeRequest:
    values = {"proto": UDP, "listener": Peer.CLIENT, "opener_port": None, "lifetime": 60.0}
    return PinholeRequest(**{**values, "listen": listen, "opener_addr": REMOTE, **more})


def ask(gateway: Gateway, **more: Any) -> Grant:
    found = gateway.open_pinhole(pinhole(**more))
    assert isinstance(found, Grant)
    return found


def raises(_sender: Peer, data: bytes, gateway: Gateway) -> Sequence[Step]:
    ask(gateway)
    gateway.reserve(UDP, Endpoint(INSIDE, 50002))
    raise ValueError("\x1b[31m what a parser may raise\n" * 20)


def test_rule_10_an_ALG_that_raises_is_left_to_plain_NAT_and_told() -> None:
    lab = Lab(raises)
    assert lab.say() == [b"hello"]
    assert not lab.is_followed
    assert lab.bench.counter("alg.careless.faults") == 1
    assert lab.bench.counter("alg.careless.detached.fault") == 1
    (told,) = [log.text for log in lab.bench.logs if log.text.startswith("fault: ")]
    assert "careless: 10.0.0.11:6000 -> 198.51.100.11:7777: ValueError: \\x1b[31m" in told
    assert "test_guard.py:" in told
    assert told.isprintable()
    assert len(told) < 400
    lab.check()


def test_rule_10_faults_are_all_counted_and_told_at_a_bounded_rate() -> None:
    lab = Lab(raises)
    for number in range(40):
        lab.say(host=INSIDE + 1 + number)
    assert lab.bench.counter("alg.careless.faults") == 40
    assert len([log for log in lab.bench.logs if log.text.startswith("fault: ")]) == 10
    lab.bench.tick(61.0)
    lab.say(host=INSIDE + 100)
    assert [log.text for log in lab.bench.logs if "were not logged" in log.text] == [
        "30 more faults were not logged (counters: faults.*)"
    ]


def wrong(kind: Callable[..., Any], *values: Any) -> Any:
    """A step with values of types that it should not have."""
    return kind(*values)


BAD_STEPS: dict[str, Callable[[bytes], Any]] = {
    "too few bytes of a datagram": lambda data: [Forward(len(data) - 1)],
    "no steps for a datagram": lambda data: [],
    "too many bytes": lambda data: [Forward(len(data) + 1)],
    "two messages in a datagram": lambda data: [Forward(2), Forward(len(data) - 2)],
    "a negative length": lambda data: [Forward(-1), Forward(len(data) + 1)],
    "a length that is no number": lambda data: [wrong(Forward, "5")],
    "an edit outside": lambda data: [Forward(len(data), (Edit(0, len(data) + 1, b""),))],
    "edits out of order": lambda data: [Forward(len(data), (Edit(3, 4, b""), Edit(0, 1, b"")))],
    "an edit that ends before it begins": lambda data: [Forward(len(data), (Edit(3, 2, b""),))],
    "a message that grows without end": lambda data: [
        Forward(len(data), (Edit(0, 1, bytes(70000)),))
    ],
    "data that is no bytes": lambda data: [Forward(len(data), (wrong(Edit, 0, 1, "x"),))],
    "a summary that is no text": lambda data: [wrong(Forward, len(data), (), 7)],
    "numbers that are none": lambda data: [wrong(Forward, len(data), (), "", ("x",))],
    "something else than a step": lambda data: [Forward(len(data)), "forward"],
    "no list": lambda data: 7,
    "a refusal without a reason": lambda data: [wrong(Refuse, len(data), 5)],
    "an answer that is no bytes": lambda data: [wrong(Refuse, len(data), "no", "", "said")],
    "an answer that is too long": lambda data: [Refuse(len(data), "no", answer=bytes(9000))],
    "bytes after stepping aside": lambda data: [Detach("gone"), Forward(len(data))],
    "a notice without words": lambda data: [wrong(Notice, 1, 2), Forward(len(data))],
    "a step of a data flow": lambda data: [Watch(Peer.CLIENT, 8), Forward(len(data))],
    "another step of a data flow": lambda data: [Finish(1.0), Forward(len(data))],
}


@pytest.mark.parametrize("name", BAD_STEPS)
def test_rule_10_steps_that_do_not_add_up_are_a_fault_of_that_ALG(name: str) -> None:
    def answer(_sender: Peer, data: bytes, gateway: Gateway) -> Sequence[Step]:
        ask(gateway)
        steps: Sequence[Step] = BAD_STEPS[name](data)
        return steps

    lab = Lab(answer)
    assert lab.say() == [b"hello"]
    assert lab.bench.counter("alg.careless.faults") == 1
    assert not lab.is_followed
    lab.check()


@pytest.mark.parametrize("outlives", [False, True])
def test_rule_11_no_ALG_gets_what_must_not_be_opened(outlives: bool) -> None:
    refused: list[str] = []
    wanted = {
        "denied-port": Endpoint(INSIDE, 3306),
        "low-port": Endpoint(INSIDE, 22),
        "bounce": Endpoint(INSIDE2, 50000),
        "bad-id": Endpoint(INSIDE, 70000),
    }

    def answer(_sender: Peer, data: bytes, gateway: Gateway) -> Sequence[Step]:
        for reason, listen in wanted.items():
            for found in (
                gateway.open_pinhole(pinhole(listen)),
                gateway.reserve(UDP, listen),
                gateway.reserve(UDP, Endpoint(listen.addr, listen.port - 1), pair=True),
            ):
                refused.append(found.reason if isinstance(found, Refusal) else f"got {listen}")
            assert gateway.objection(UDP, listen) == reason
        return [Forward(len(data))]

    lab = Lab(answer, outlives)
    assert lab.say() == [b"hello"]
    assert lab.is_followed
    assert set(refused) == {*wanted, "low-port"}
    assert lab.bench.counter("alg.careless.pinholes.refused.denied-port") == 1
    assert lab.bench.counter("alg.careless.reservations.refused.denied-port") == 2
    lab.check()


def test_rule_11_what_no_step_names_is_taken_back() -> None:
    def answer(_sender: Peer, data: bytes, gateway: Gateway) -> Sequence[Step]:
        ask(gateway)
        gateway.reserve(UDP, Endpoint(INSIDE, 50002), pair=True)
        return [Forward(len(data))]

    lab = Lab(answer)
    assert lab.say() == [b"hello"]
    assert lab.is_followed
    lab.check()


def test_rule_11_what_a_refused_message_was_granted_is_taken_back() -> None:
    def answer(_sender: Peer, data: bytes, gateway: Gateway) -> Sequence[Step]:
        ask(gateway)
        gateway.reserve(UDP, Endpoint(INSIDE, 50002))
        return [Refuse(len(data), "no")]

    lab = Lab(answer)
    assert lab.say() == []
    lab.check()


def test_rule_11_what_the_switch_refuses_is_taken_back_whole() -> None:
    def answer(_sender: Peer, data: bytes, gateway: Gateway) -> Sequence[Step]:
        held = gateway.reserve(UDP, Endpoint(INSIDE, 50002), pair=True)
        assert isinstance(held, Grant)
        return [Forward(len(data), (), "", (ask(gateway).number, held.number))]

    lab = Lab(answer)
    lab.bench.refuses = lambda update: isinstance(update.entry, t.PinholeEntry)
    assert lab.say() == []
    lab.bench.refuses = lambda update: False
    lab.check()
    # The next message of the same session may have it.
    assert lab.say() == [b"hello"]
    assert len([e for e in lab.bench.of(t.PinholeEntry) if e.proto == UDP]) == 1


def test_rule_11_a_lifetime_is_cut_and_a_thousand_pinholes_are_not_had() -> None:
    refused: list[str] = []

    def answer(_sender: Peer, data: bytes, gateway: Gateway) -> Sequence[Step]:
        numbers = []
        first = 20000 + 1000 * int(data)
        for number in range(first, first + 1000):
            wanted = pinhole(Endpoint(INSIDE, number), lifetime=1e12, max_flows=10**9)
            found = gateway.open_pinhole(wanted)
            if isinstance(found, Grant):
                numbers.append(found.number)
            else:
                refused.append(found.reason)
        return [Forward(len(data), (), "", tuple(numbers))]

    lab = Lab(answer, outlives=True)
    assert lab.say(b"0") == [b"0"]
    holes = lab.bench.of(t.PinholeEntry)
    assert len(holes) == 20
    assert {hole.idle_timeout for hole in holes} == {86400.0}
    assert refused == ["message-limit"] * 980
    for number in range(1, 5):
        lab.say(b"%d" % number)
    assert len(lab.bench.of(t.PinholeEntry)) == 50
    # Another host still has its share of all.
    lab.say(b"9", host=INSIDE2)
    assert lab.bench.counter("alg.careless.pinholes.refused.bounce") == 1000
    assert lab.bench.counter("alg.careless.pinholes.refused.subscriber-limit") > 0


def test_rule_10_an_ALG_that_cannot_be_made_leaves_its_flows_to_plain_NAT() -> None:
    lab = Lab(raises)
    del lab.made[:]
    alg = lab.bench.engine._switching.algs["careless"].alg
    assert alg.make is not None

    def broken(facts: SessionFacts, context: Context) -> Careless:
        raise RuntimeError("no")

    object.__setattr__(alg, "make", broken)
    assert lab.say() == [b"hello"]
    assert not lab.is_followed
    assert lab.bench.counter("alg.careless.faults") == 1
    lab.check()


def forwards(_sender: Peer, data: bytes, _gateway: Gateway) -> Sequence[Step]:
    return [Forward(len(data))]


def test_rule_10_a_tick_that_fails_costs_that_session_only() -> None:
    def fails(gateway: Gateway) -> None:
        ask(gateway)
        raise KeyError("tick")

    lab = Lab(forwards, on_tick=fails)
    lab.say()
    assert lab.is_followed
    lab.bench.tick(1.0)
    assert not lab.is_followed
    assert lab.bench.counter("alg.careless.faults") == 1
    lab.bench.tick(1.0)
    assert lab.bench.counter("alg.careless.faults") == 1
    lab.check()


def test_rule_10_an_end_that_fails_ends_the_session_all_the_same() -> None:
    def fails(_gateway: Gateway) -> None:
        raise KeyError("ended")

    lab = Lab(forwards, on_end=fails)
    lab.say()
    lab.bench.event(ev.SessionIdle(KEY))
    assert KEY not in lab.bench.sessions()
    assert lab.bench.counter("alg.careless.faults") == 1
    assert lab.bench.show("algs")[0]["sessions"] in (0, 1)
    lab.check()


def test_rule_10_a_gateway_asked_for_nonsense_is_a_fault_of_who_asks() -> None:
    def answer(_sender: Peer, data: bytes, gateway: Gateway) -> Sequence[Step]:
        ask(gateway)
        gateway.open_pinhole(pinhole(lifetime="soon"))
        return [Forward(len(data))]

    lab = Lab(answer)
    assert lab.say() == [b"hello"]
    assert lab.bench.counter("alg.careless.faults") == 1
    lab.check()


def test_rule_10_on_TCP_the_bytes_go_on_as_they_are() -> None:
    def answer(_sender: Peer, data: bytes, gateway: Gateway) -> Sequence[Step]:
        if b"bad" in data:
            raise ValueError("bad")
        return [Forward(data.find(b"\n") + 1)] if b"\n" in data else []

    lab = Lab(answer)
    talk = Dialogue(lab.bench, Peer.CLIENT, ID)
    assert talk.client(b"fine\n") == b"fine\n"
    assert talk.client(b"not yet, ") == b""
    assert talk.client(b"bad\n") == b"not yet, bad\n"
    assert talk.client(b"and on\n") == b"and on\n"
    assert lab.bench.counter("alg.careless.faults") == 1
    lab.check()


@pytest.mark.parametrize("inside_listens", [False, True])
def test_rule_11_what_a_message_behind_a_reset_was_granted_is_taken_back(
    inside_listens: bool,
) -> None:
    def answer(_sender: Peer, data: bytes, gateway: Gateway) -> Sequence[Step]:
        if b"bad" not in data:
            return [Forward(len(data))]
        asked = pinhole(proto=TCP)
        if not inside_listens:
            there = Endpoint(REMOTE, 50000)
            asked = pinhole(there, proto=TCP, listener=Peer.SERVER, opener_addr=INSIDE)
        found = gateway.open_pinhole(asked)
        assert isinstance(found, Grant)
        return [Refuse(3, "no"), Forward(len(data) - 3, (), "", (found.number,))]

    lab = Lab(answer)
    talk = Dialogue(lab.bench, Peer.CLIENT, ID)
    assert talk.client(b"bad, good\n") == b""
    assert all(end.reset for end in talk.ends.values())
    assert not lab.bench.engine._expectations._expected
    assert len(lab.bench.engine._pinholes) == 0
    lab.check()


def test_rule_10_a_connection_begun_anew_passes_though_its_ALG_cannot_be_made_again() -> None:
    lab = Lab(forwards)
    talk = Dialogue(lab.bench, Peer.CLIENT, ID)
    for end in Peer:
        talk.finish(end)
    alg = lab.bench.engine._switching.algs["careless"].alg

    def broken(facts: SessionFacts, context: Context) -> Careless:
        raise RuntimeError("no")

    object.__setattr__(alg, "make", broken)
    syn = segment(INSIDE, talk.key.inside_id, REMOTE, talk.key.remote_id, seq=70000)
    (out,) = lab.bench.punt(ev.Reason.ALG, syn, IN_PORT, ID)
    assert parse_tcp(parse_ipv4(out.frame)).seq == 70000
    assert lab.bench.sessions()[talk.key].alg_id == 0
    assert lab.bench.counter("alg.careless.faults") == 1
    lab.check()
