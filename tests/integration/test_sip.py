"""SIP through the gateway: sipp, kamailio and baresip on both sides, media counted at the ends.

Who is called where is read from the messages that came, so the same tests hold
with and without translation.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from p4alg.alg.registry import algs
from p4alg.config.errors import UserError
from p4alg.lab import runner
from peers import rtp, sip
from peers.rtp import Count, Endpoint, Flow, Target
from peers.sip import Message, Phone
from tests.integration.conftest import BMV2, MININET, Lab, up

TRUNK, PROXY = "198.51.100.11", "198.51.100.12"
PRIVATE = "10.0.0."
"""What no address outside begins with; empty where nothing is translated."""
POOL = IPv4Network("203.0.113.0/28")
PACKETS = 60
HOLD = 2.0
"""Long enough for `PACKETS` to go both ways, with time to spare."""
TRANSPORTS = ("udp", "tcp")
_LEFT_OPEN: set[int] = set()
"""The pinholes that were there when the test began, by their ids."""

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
    pytest.mark.skipif(bool(sip.missing()), reason="needs sipp, kamailio and baresip (make setup)"),
    pytest.mark.skipif("sip" not in algs(), reason="needs the SIP ALG"),
]


@pytest.fixture(
    scope="module",
    params=["embedded", pytest.param("bmv2", marks=[*BMV2.marks, pytest.mark.slow]), MININET],
)
def nat_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The lab; on BMv2 only if asked for, as calls take their time."""
    with up(request.param) as lab:
        yield lab


@pytest.fixture(autouse=True)
def left_open(nat_lab: Lab) -> None:
    """Note what a failed test has left open: that is not the next test's fault."""
    _LEFT_OPEN.clear()
    _LEFT_OPEN.update(row["id"] for row in media_pinholes(nat_lab))


@pytest.fixture
def lab(nat_lab: Lab) -> Lab:
    """The lab, with a proxy on `outside2` that knows nobody yet."""
    sip.proxy("outside2")
    return nat_lab


def register(host: str, own: str, transport: str, remote: str = PROXY, expires: int = 60) -> None:
    with sip.phone(
        host,
        "register",
        remote,
        own=own,
        transport=transport,
        keys={"expires": str(expires)},
    ) as phone:
        outcome = phone.wait(10)
        assert outcome.good, f"{own} in {host}, {transport}: {outcome.said}"
        answer = phone.message(False, "SIP/2.0 200", "REGISTER")
        # What the outside learnt is mapped back: a phone looks for its own contact.
        if expires:
            assert f"{own}@{sip.address(host)}:{sip.PORT}" in answer.text


@contextmanager
def registered(transport: str, **hosts: str) -> Iterator[None]:
    """Phones at the proxy, NAME=HOST, as long as the block lasts."""
    for own, host in hosts.items():
        register(host, own, transport)
    yield
    for own, host in hosts.items():
        register(host, own, transport, expires=0)


def assert_good(*phones: Phone, limit: float = 20.0) -> None:
    for phone in phones:
        outcome = phone.wait(limit)
        seen = [("> " if m.sent else "< ") + m.start for m in phone.messages()]
        assert outcome.good, f"{outcome.said}; {seen}"


def assert_nothing_private(*phones: Phone) -> None:
    """No message that a phone outside got names an inside host."""
    for phone in phones:
        got = [m.text for m in phone.messages() if PRIVATE and not m.sent]
        assert not [text for text in got if PRIVATE in text]


class Ends:
    """The endpoints of a call's media: those the caller announced, and those the callee did."""

    def __init__(self, stack: ExitStack, caller: str, callee: str, *ports: tuple[int, int]) -> None:
        ports = ports or ((sip.AUDIO, sip.AUDIO + 1),)
        self.callers = [self._open(stack, caller, *port) for port in ports]
        self.callees = [self._open(stack, callee, *port) for port in ports]

    @staticmethod
    def _open(stack: ExitStack, host: str, port: int, rtcp: int) -> Endpoint:
        return stack.enter_context(Endpoint(host, sip.address(host), port, rtcp))

    def exchange(self, offer: Message, answer: Message) -> list[Count]:
        """Send all streams both ways, to where the other's description says as it came."""
        flows: list[Flow] = []
        pairs = zip(self.callers, self.callees, offer.targets(), answer.targets(), strict=True)
        for caller, callee, to_caller, to_callee in pairs:
            flows += [Flow(callee, to_caller, caller), Flow(caller, to_callee, callee)]
        return rtp.exchange(flows, PACKETS)


def assert_media(counts: list[Count]) -> None:
    assert all(count.complete for count in counts), counts


def assert_pair(target: Target) -> None:
    """What the outside is told: an address of the pool, an even port and the next one."""
    if PRIVATE:
        assert IPv4Address(target.address) in POOL
        assert target.rtp % 2 == 0
        assert target.rtcp == target.rtp + 1


def offer_and_answer(caller: Phone, callee: Phone, nth: int = 0) -> tuple[Message, Message]:
    answer = caller.message(False, "SIP/2.0 200", "INVITE", nth)
    return callee.message(False, "INVITE", "INVITE", nth), answer


def media_pinholes(lab: Lab) -> list[Any]:
    """What is open and leads to where media were announced."""
    ports = tuple(f":{p + n}" for p in (sip.AUDIO, sip.RESUMED, sip.VIDEO) for n in (0, 1))
    rows = lab.show("pinholes")
    return [r for r in rows if r["inside"].endswith(ports) and r["id"] not in _LEFT_OPEN]


def punted(lab: Lab) -> int:
    """Packets that came to the controller so far, but for those about neighbours."""
    counters = lab.show("counters").items()
    about = ("switch.punts.arp", "switch.punts.neighbour")
    return sum(n for name, n in counters if name.startswith("switch.punts.") and name not in about)


def wait_until_no_pinholes(lab: Lab, seconds: float = 8.0) -> None:
    """Wait until all of them are closed."""
    until = time.monotonic() + seconds
    while rows := media_pinholes(lab):
        assert time.monotonic() < until, rows
        time.sleep(0.1)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_S1_an_outbound_call_with_media_both_ways(lab: Lab, transport: str) -> None:
    with (
        ExitStack() as stack,
        sip.phone("outside1", "callee", own="trunk", transport=transport) as callee,
        sip.phone(
            "inside1", "caller", TRUNK, own="alice", transport=transport, hold=HOLD
        ) as caller,
    ):
        ends = Ends(stack, "inside1", "outside1")
        offer, answer = offer_and_answer(caller, callee)
        assert_pair(offer.targets()[0])
        assert not PRIVATE or len(media_pinholes(lab)) == 2
        punts, used = punted(lab), lab.counter("alg.sip.pinholes.used")
        assert_media(ends.exchange(offer, answer))
        if PRIVATE:
            # RTP and RTCP came in by a pinhole each, and the controller saw none of it.
            assert lab.counter("alg.sip.pinholes.used") == used + 2
            assert punted(lab) == punts
        assert_good(caller, callee)
        assert_nothing_private(callee)
    wait_until_no_pinholes(lab)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_S5_a_registered_phone_is_called_through_the_proxy(lab: Lab, transport: str) -> None:
    with (
        registered(transport, alice="inside1"),
        ExitStack() as stack,
        sip.phone("inside1", "callee", own="alice", transport=transport) as callee,
        sip.phone(
            "outside1",
            "caller",
            PROXY,
            own="trunk",
            service="alice",
            transport=transport,
            hold=HOLD,
        ) as caller,
    ):
        ends = Ends(stack, "outside1", "inside1")
        offer, answer = offer_and_answer(caller, callee)
        assert_pair(answer.targets()[0])
        assert_media(ends.exchange(offer, answer))
        assert_good(caller, callee)
        assert_nothing_private(caller)
    wait_until_no_pinholes(lab)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_S5_nobody_is_there_after_a_registration_was_taken_back(lab: Lab, transport: str) -> None:
    with registered(transport, alice="inside1"):
        pass
    with sip.phone(
        "outside1", "caller", PROXY, own="trunk", service="alice", transport=transport
    ) as caller:
        assert caller.message(False, "SIP/2.0 404", "INVITE")


def test_S5_only_the_registrar_calls_in(lab: Lab) -> None:
    with sip.phone("outside1", "registrar") as registrar:
        register("inside1", "alice", "udp", TRUNK)
        assert_good(registrar)
        contact = registrar.message(False, "REGISTER", "REGISTER").uri("Contact")
    assert not PRIVATE or PRIVATE not in contact
    where = contact.partition("@")[2]
    with sip.phone("inside1", "callee", own="alice") as callee:
        if PRIVATE:
            with (
                sip.phone("outside2", "caller", where, port=5070, service="alice") as stranger,
                pytest.raises(UserError),
            ):
                stranger.message(False, "SIP/2.0 180", "INVITE", limit=2.0)
            assert callee.messages() == []
        with sip.phone("outside1", "caller", where, service="alice") as caller:
            assert_good(caller, callee)


@pytest.mark.parametrize("held_ip", ["", "0.0.0.0"], ids=["sendonly", "0.0.0.0"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_S6_hold_and_resume_by_re_INVITE(lab: Lab, transport: str, held_ip: str) -> None:
    keys = {"held_ip": held_ip} if held_ip else {}
    with (
        ExitStack() as stack,
        sip.phone("outside1", "callee_hold", own="trunk", transport=transport) as callee,
        sip.phone(
            "inside1", "caller_hold", TRUNK, own="alice", transport=transport, hold=HOLD, keys=keys
        ) as caller,
    ):
        ends = Ends(stack, "inside1", "outside1")
        assert_media(ends.exchange(*offer_and_answer(caller, callee)))
        held, _ = offer_and_answer(caller, callee, 1)
        assert "a=sendonly" in held.body
        assert not held_ip or held.targets()[0].address == held_ip
        resumed, answer = offer_and_answer(caller, callee, 2)
        # The caller has moved to another port meanwhile.
        ends.callers = [Ends._open(stack, "inside1", sip.RESUMED, sip.RESUMED + 1)]
        assert_pair(resumed.targets()[0])
        assert_media(ends.exchange(resumed, answer))
        assert_good(caller, callee)
        assert_nothing_private(callee)
    wait_until_no_pinholes(lab)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_S3_video_beside_audio_with_RTCP_of_its_own_port(lab: Lab, transport: str) -> None:
    with (
        ExitStack() as stack,
        sip.phone("outside1", "callee_video", own="trunk", transport=transport) as callee,
        sip.phone(
            "inside1", "caller_video", TRUNK, own="alice", transport=transport, hold=HOLD
        ) as caller,
    ):
        ports = (sip.AUDIO, sip.AUDIO + 1), (sip.VIDEO, sip.VIDEO_RTCP)
        ends = Ends(stack, "inside1", "outside1", *ports)
        assert_media(ends.exchange(*offer_and_answer(caller, callee)))
        assert_good(caller, callee)
        assert_nothing_private(callee)
    wait_until_no_pinholes(lab)


@pytest.mark.parametrize("inside_calls", [True, False], ids=["out", "in"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_S6_early_media_is_heard_before_the_answer(
    lab: Lab, transport: str, inside_calls: bool
) -> None:
    here, there = ("inside1", "outside1") if inside_calls else ("outside1", "inside1")
    with (
        registered(transport, bob=there),
        ExitStack() as stack,
        sip.phone(there, "callee_early", own="bob", transport=transport, hold=HOLD) as callee,
        sip.phone(here, "caller_early", PROXY, service="bob", transport=transport) as caller,
    ):
        ends = Ends(stack, here, there)
        early = caller.message(False, "SIP/2.0 183", "INVITE")
        offer = callee.message(False, "INVITE", "INVITE")
        assert callee.message(False, "PRACK", "PRACK")
        assert_media(ends.exchange(offer, early))
        assert not [m for m in callee.messages() if m.sent and m.header("CSeq") == "1 INVITE"][1:]
        answer = caller.message(False, "SIP/2.0 200", "INVITE")
        assert answer.body.strip() == ""
        assert_media(ends.exchange(offer, early))
        # The callee hangs up.
        assert_good(caller, callee)
        assert_nothing_private(callee if inside_calls else caller)
    wait_until_no_pinholes(lab)


@pytest.mark.parametrize("inside_calls", [True, False], ids=["out", "in"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_S6_CANCEL_while_it_rings_closes_what_was_open(
    lab: Lab, transport: str, inside_calls: bool
) -> None:
    here, there = ("inside1", "outside1") if inside_calls else ("outside1", "inside1")
    with (
        registered(transport, bob=there),
        sip.phone(there, "callee_cancel", own="bob", transport=transport) as callee,
        sip.phone(here, "caller_cancel", PROXY, service="bob", transport=transport) as caller,
    ):
        assert_good(caller, callee)
        assert_nothing_private(callee if inside_calls else caller)
    wait_until_no_pinholes(lab)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_S7_an_inside_phone_is_transferred_to_another_outside(nat_lab: Lab, transport: str) -> None:
    runner.stop("kamailio-outside2")
    keys = {"refer_to": f"sip:carol@{PROXY}"}
    with (
        sip.phone("outside2", "callee", own="carol", transport=transport) as third,
        sip.phone(
            "outside1", "callee_transfers", own="trunk", transport=transport, keys=keys
        ) as callee,
        sip.phone(
            "inside1", "caller_transferred", TRUNK, own="alice", transport=transport, hold=HOLD
        ) as caller,
    ):
        # On UDP the first call has the phone's port.
        port = 0 if transport == "tcp" else 5064
        target = caller.message(False, "REFER", "REFER").uri("Refer-To")
        user, _, where = target.removeprefix("sip:").partition("@")
        with (
            sip.phone(
                "inside1",
                "caller",
                where,
                own="alice",
                service=user,
                transport=transport,
                port=port,
                hold=HOLD,
            ) as again,
            ExitStack() as stack,
        ):
            ends = Ends(stack, "inside1", "outside2")
            assert_media(ends.exchange(*offer_and_answer(again, third)))
            assert_good(again, third, caller, callee)
        assert_nothing_private(callee, third)
    wait_until_no_pinholes(nat_lab)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_S7_an_inside_phone_transfers_its_caller_to_another_inside(
    lab: Lab, transport: str
) -> None:
    keys = {"refer_to": f"sip:bob@{PROXY}"}
    with (
        registered(transport, alice="inside1", bob="inside2"),
        sip.phone(
            "inside1", "callee_transfers", own="alice", transport=transport, keys=keys
        ) as callee,
        sip.phone("inside2", "callee", own="bob", transport=transport) as third,
        sip.phone(
            "outside1",
            "caller_transferred",
            PROXY,
            service="alice",
            transport=transport,
            hold=HOLD,
        ) as caller,
    ):
        port = 0 if transport == "tcp" else 5064
        refer = caller.message(False, "REFER", "REFER")
        assert refer.uri("Refer-To") == keys["refer_to"]
        with (
            sip.phone(
                "outside1",
                "caller",
                PROXY,
                service="bob",
                transport=transport,
                port=port,
                hold=HOLD,
            ) as again,
            ExitStack() as stack,
        ):
            ends = Ends(stack, "outside1", "inside2")
            assert_media(ends.exchange(*offer_and_answer(again, third)))
            assert_good(again, third, caller, callee)
        # Its Referred-By named the inside phone.
        assert_nothing_private(caller, again)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_S7_two_inside_phones_call_each_other_through_the_proxy(lab: Lab, transport: str) -> None:
    with (
        registered(transport, alice="inside1", bob="inside2"),
        ExitStack() as stack,
        sip.phone("inside2", "callee", own="bob", transport=transport) as callee,
        sip.phone(
            "inside1",
            "caller",
            PROXY,
            own="alice",
            service="bob",
            transport=transport,
            hold=HOLD,
        ) as caller,
    ):
        ends = Ends(stack, "inside1", "inside2")
        assert_media(ends.exchange(*offer_and_answer(caller, callee)))
        assert_good(caller, callee)
    wait_until_no_pinholes(lab)


def wait_until_reported(phone: sip.Softphone, seconds: float = 20.0) -> None:
    """Wait until RTCP has said what the other side received, and what it sent."""
    until = time.monotonic() + seconds
    while True:
        stats = phone.event("CALL_RTCP")["rtcp_stats"]
        if stats["tx"]["sent"] and stats["rx"]["sent"]:
            return
        assert time.monotonic() < until, stats


@pytest.mark.parametrize("is_registered", [True, False], ids=["registered", "unknown"])
def test_S7_a_proxy_inside_relays_no_media_of_its_phones(lab: Lab, is_registered: bool) -> None:
    own = sip.outbound_proxy("inside2")
    if is_registered:
        with sip.phone(
            "inside1", "register", own, own="alice", domain=PROXY, keys={"expires": "60"}
        ) as phone:
            assert_good(phone)
    before = lab.counter("alg.sip.media-elsewhere")
    with (
        ExitStack() as stack,
        sip.phone("outside1", "callee", own="trunk") as callee,
        sip.phone("inside1", "caller", own, own="alice", domain=TRUNK, hold=HOLD) as caller,
    ):
        ends = Ends(stack, "inside1", "outside1")
        offer, answer = offer_and_answer(caller, callee)
        if is_registered or not PRIVATE:
            assert_media(ends.exchange(offer, answer))
        else:
            # The phone is not known to be behind the proxy: that is said, and nothing opens.
            assert media_pinholes(lab) == []
        assert_good(caller, callee)
    said = lab.counter("alg.sip.media-elsewhere") - before
    assert not PRIVATE or (said == 0) == is_registered
    if is_registered:
        with sip.phone(
            "inside1", "register", own, own="alice", domain=PROXY, keys={"expires": "0"}
        ) as phone:
            assert_good(phone)
    runner.stop("kamailio-inside2")
    wait_until_no_pinholes(lab)


@pytest.mark.parametrize("outbound", [True, False], ids=["out", "in"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_S7_softphones_talk_hold_and_resume(lab: Lab, transport: str, outbound: bool) -> None:
    with (
        sip.Softphone("inside1", "alice", PROXY, transport) as inside,
        sip.Softphone("outside1", "carol", PROXY, transport) as outside,
    ):
        caller, callee = (inside, outside) if outbound else (outside, inside)
        caller.command("dial", f"sip:{callee.own}@{PROXY}")
        caller.event("CALL_ESTABLISHED")
        callee.event("CALL_ESTABLISHED")
        caller.command("hold")
        callee.event("CALL_REMOTE_SDP")
        caller.command("resume")
        callee.event("CALL_REMOTE_SDP")
        # Reports of the other's receiver, 5 s apart: RTCP comes through too.
        for phone in (caller, callee):
            wait_until_reported(phone)
        caller.command("hangup")
        for phone in (caller, callee):
            phone.event("CALL_CLOSED")
        time.sleep(0.3)
        (sent, heard), (answered, reached) = caller.packets(), callee.packets()
        assert min(sent, answered) > 100
        assert reached >= 0.95 * sent - 10
        assert heard >= 0.95 * answered - 10


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_S7_a_softphone_transfers_its_call(lab: Lab, transport: str) -> None:
    with (
        sip.Softphone("inside1", "alice", PROXY, transport) as alice,
        sip.Softphone("inside2", "bob", PROXY, transport) as bob,
        sip.Softphone("outside1", "carol", PROXY, transport) as carol,
    ):
        alice.command("dial", f"sip:carol@{PROXY}")
        alice.event("CALL_ESTABLISHED")
        carol.event("CALL_ESTABLISHED")
        alice.command("transfer", f"sip:bob@{PROXY}")
        alice.event("CALL_CLOSED")
        bob.event("CALL_ESTABLISHED")
        carol.event("CALL_ESTABLISHED")
        time.sleep(2.0)
        carol.command("hangup")
        bob.event("CALL_CLOSED")
        time.sleep(0.3)
        assert min(bob.packets()) > 50, bob.said()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_S7_many_calls_at_once(lab: Lab, transport: str) -> None:
    load = sip.calls(10, 30, 3.0, transport=transport)
    assert (load.succeeded, load.failed) == (30, 0), load
    assert load.peak > 20
    assert load.slow == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_G1_off_SIP_crosses_as_it_is_and_nothing_opens(lab: Lab, transport: str) -> None:
    if not PRIVATE:
        pytest.skip("nothing is translated")

    def announced(port: int) -> str:
        with (
            sip.phone("outside1", "callee", own="trunk", transport=transport) as callee,
            sip.phone("inside1", "caller", TRUNK, transport=transport, port=port) as caller,
        ):
            assert_good(caller, callee)
            return callee.message(False, "INVITE", "INVITE").targets()[0].address

    # A session keeps what it began with: ports of their own, and no test that needs
    # an older session of the ALG's may follow.
    lab.client.call("disable", name="sip")
    try:
        punts = lab.counter("switch.punts.alg")
        assert announced(5080) == sip.address("inside1")
        assert media_pinholes(lab) == []
        assert lab.counter("switch.punts.alg") == punts
    finally:
        lab.client.call("enable", name="sip")
    assert IPv4Address(announced(5081)) in POOL
