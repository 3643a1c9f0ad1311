import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.contract import Endpoint, Forward, Notice, Peer, Refuse, SessionFacts, Step
from p4alg.alg.ike.alg import IkeAlg, IkeExchanges, IkeLimits
from p4alg.alg.ike.header import IkeHeader, Malformed, Natt, read_header, read_natt
from tests.unit.alg.gateway import Nat, SessionGateway

A, B, OUTSIDE, REMOTE = 0x0A00000B, 0x0A00000C, 0xCB007102, 0xC6336401
SPI, OTHER_SPI, ANSWER = 0x1111222233334444, 0x5555666677778888, 0x9999AAAABBBBCCCC
MAIN, AGGRESSIVE, INFO_V1, QUICK = 2, 4, 5, 32
INIT, AUTH, CHILD, INFO = 34, 35, 36, 37
RESPONSE = 0x20


def message(
    spi: int = SPI,
    responder: int = 0,
    kind: int = INIT,
    flags: int = 0,
    number: int = 0,
    body: bytes = b"",
    version: int | None = None,
    length: int | None = None,
) -> bytes:
    """An IKE message; of version 1 if the exchange type is."""
    if version is None:
        version = 0x10 if kind < INIT else 0x20
    return (
        spi.to_bytes(8, "big")
        + responder.to_bytes(8, "big")
        + bytes((33, version, kind, flags))
        + number.to_bytes(4, "big")
        + (28 + len(body) if length is None else length).to_bytes(4, "big")
        + body
    )


class Flow:
    """A UDP flow between an inside and an outside host, and what the ALG said of it."""

    def __init__(
        self,
        inside: int = A,
        shared: IkeExchanges | None = None,
        port: int = 500,
        is_server: bool = False,
        limits: IkeLimits | None = None,
    ) -> None:
        self.inside = Peer.SERVER if is_server else Peer.CLIENT
        ends = (Endpoint(inside, port), Endpoint(REMOTE, port))
        client, server = ends[::-1] if is_server else ends
        facts = SessionFacts(17, client, server, self.inside, Endpoint(OUTSIDE, port))
        self.alg = IkeAlg(facts, shared, limits)
        self.gateway = SessionGateway(facts)
        self.now = 0.0

    def say(self, peer: Peer, data: bytes) -> list[Step]:
        steps = list(self.alg.receive(peer, data, self.gateway, self.now))
        assert self.gateway.nat == Nat(OUTSIDE), "asked for something"
        assert sum(step.length for step in steps) == len(data)
        assert all(step.edits == () for step in steps if isinstance(step, Forward))
        return steps

    def out(self, data: bytes) -> list[str]:
        return words(self.say(self.inside, data))

    def back(self, data: bytes) -> list[str]:
        return words(self.say(self.inside.other, data))

    def establish(self, spi: int = SPI) -> None:
        """IKE_SA_INIT and IKE_AUTH, begun inside."""
        assert self.out(message(spi)) == ["exchange", "passed"]
        assert self.back(message(spi, ANSWER, INIT, RESPONSE)) == ["passed"]
        assert self.out(message(spi, ANSWER, AUTH, 0, 1)) == ["passed"]
        assert self.back(message(spi, ANSWER, AUTH, RESPONSE, 1)) == ["passed"]


def words(steps: list[Step]) -> list[str]:
    """What the steps say, one word each."""
    said = []
    for step in steps:
        if isinstance(step, Notice):
            said.append(step.event)
        elif isinstance(step, Refuse):
            said.append("refused: " + step.reason)
        else:
            assert isinstance(step, Forward)
            said.append("passed" if step.is_message else "passed unread")
    return said


# K1: told apart by the initiator's SPI


def test_K1_the_header_of_both_versions_is_read() -> None:
    data = message(SPI, ANSWER, CHILD, RESPONSE, 7, b"sealed")
    assert read_header(data) == IkeHeader(SPI, ANSWER, 33, 2, 0, CHILD, RESPONSE, 7, 34)
    old = message(SPI, 0, MAIN, 1, 0xFFFFFFFF)
    assert read_header(old) == IkeHeader(SPI, 0, 33, 1, 0, MAIN, 1, 0xFFFFFFFF, 28)


def test_K1_a_new_initiator_spi_is_told_once_and_messages_pass_as_they_are() -> None:
    flow = Flow()
    (notice, passed) = flow.say(flow.inside, message())
    assert isinstance(notice, Notice)
    assert notice.summary == (
        "IKEv2 IKE_SA_INIT, initiator SPI 1111222233334444: 10.0.0.11 and 198.51.100.1"
    )
    assert passed == Forward(28, summary="IKEv2 IKE_SA_INIT, initiator SPI 1111222233334444")
    assert flow.out(message()) == ["passed"]


@pytest.mark.parametrize("kind", [MAIN, AGGRESSIVE, INIT])
def test_K1_hosts_that_share_port_500_have_their_own_exchanges(kind: int) -> None:
    shared = IkeExchanges()
    one, two = Flow(A, shared), Flow(B, shared)
    one.out(message(SPI, 0, kind))
    two.out(message(OTHER_SPI, 0, kind))
    assert one.back(message(SPI, ANSWER, kind)) == ["passed"]
    assert two.back(message(OTHER_SPI, ANSWER, kind)) == ["passed"]
    assert one.back(message(OTHER_SPI, ANSWER, kind)) == ["refused: spi-in-use"]
    assert (shared.host_of(OUTSIDE, SPI), shared.host_of(OUTSIDE, OTHER_SPI)) == (A, B)
    assert one.alg.initiator_spis == {SPI: 0.0}


def test_K1_an_answer_nobody_asked_for_is_refused() -> None:
    flow = Flow()
    assert flow.back(message(SPI, ANSWER, INIT, RESPONSE)) == ["refused: unknown-spi"]
    flow.out(message())
    assert flow.back(message(OTHER_SPI, ANSWER, INIT, RESPONSE)) == ["refused: unknown-spi"]


def test_K1_an_initiator_spi_of_another_host_is_refused() -> None:
    shared = IkeExchanges()
    one, two = Flow(A, shared), Flow(B, shared)
    one.out(message())
    assert two.out(message()) == ["refused: spi-in-use"]
    assert two.alg.initiator_spis == {}
    one.alg.close()
    assert two.out(message()) == ["exchange", "passed"]


def test_K1_claims_are_per_outside_address_and_given_back_one_by_one() -> None:
    shared = IkeExchanges()
    assert shared.claim(OUTSIDE, REMOTE, SPI, A) == ""
    assert shared.claim(OUTSIDE, REMOTE, SPI, A) == ""
    assert shared.claim(OUTSIDE, REMOTE, SPI, B) == "spi-in-use"
    assert shared.claim(OUTSIDE + 1, REMOTE, SPI, B) == ""
    for owner in (A, None, None):
        shared.release(OUTSIDE, REMOTE, SPI)
        assert shared.host_of(OUTSIDE, SPI) == owner
    assert shared.host_of(OUTSIDE + 1, SPI) == B


def test_K1_an_error_answer_without_a_responder_spi_passes() -> None:
    flow = Flow()
    flow.out(message())
    assert flow.back(message(SPI, 0, INIT, RESPONSE)) == ["passed"]
    flow.out(message(OTHER_SPI, 0, MAIN))
    assert flow.back(message(OTHER_SPI, 0, INFO_V1, 0, 99)) == ["informational", "passed"]


def test_K1_that_both_sides_have_spoken_is_told_of_one_exchange() -> None:
    flow = Flow()
    flow.out(message())
    flow.back(message(OTHER_SPI, ANSWER))
    assert not flow.alg.both_spoke
    flow.back(message(SPI, ANSWER, INIT, RESPONSE))
    assert flow.alg.both_spoke


# K3: rekeying, Delete, timers


def test_K3_a_rekey_counts_once_for_all_its_messages() -> None:
    flow = Flow()
    flow.establish()
    assert flow.out(message(SPI, ANSWER, CHILD, 0, 2)) == ["rekey", "passed"]
    assert flow.out(message(SPI, ANSWER, CHILD, 0, 2)) == ["passed"]
    assert flow.back(message(SPI, ANSWER, CHILD, RESPONSE, 2)) == ["passed"]
    assert flow.back(message(SPI, ANSWER, CHILD, 0, 2)) == ["rekey", "passed"]
    assert flow.out(message(SPI, ANSWER, CHILD, RESPONSE, 2)) == ["passed"]


def test_K3_a_quick_mode_counts_once_for_its_three_messages() -> None:
    flow = Flow()
    flow.out(message(SPI, 0, MAIN))
    flow.back(message(SPI, ANSWER, MAIN))
    assert flow.out(message(SPI, ANSWER, QUICK, 1, 77)) == ["rekey", "passed"]
    assert flow.back(message(SPI, ANSWER, QUICK, 1, 77)) == ["passed"]
    assert flow.out(message(SPI, ANSWER, QUICK, 1, 77)) == ["passed"]
    assert flow.back(message(SPI, ANSWER, QUICK, 1, 78)) == ["rekey", "passed"]


def test_K3_that_the_remote_agreed_to_esp_sas_has_its_time() -> None:
    flow = Flow()
    flow.now = 1.0
    flow.out(message())
    flow.back(message(SPI, ANSWER, INIT, RESPONSE))
    flow.out(message(SPI, ANSWER, INFO, 0, 1))
    assert flow.alg.keying_at is None
    flow.now = 2.0
    flow.out(message(SPI, ANSWER, AUTH, 0, 1))
    flow.out(message(SPI, ANSWER, CHILD, 0, 2))
    assert flow.alg.keying_at is None
    flow.back(message(SPI, ANSWER, AUTH, RESPONSE, 1))
    assert flow.alg.keying_at is None
    flow.back(message(SPI, ANSWER, AUTH, RESPONSE, 1, bytes(100)))
    assert flow.alg.keying_at == 2.0
    for at in (3.0, 4.0):
        flow.now = at
        flow.back(message(SPI, ANSWER, CHILD, RESPONSE, 2))
    assert flow.alg.keying_at == 3.0


def test_K3_a_rekeyed_ike_sa_goes_on_with_spis_nobody_could_read() -> None:
    flow = Flow()
    flow.establish()
    assert flow.out(message(OTHER_SPI, ANSWER, INFO)) == ["exchange", "informational", "passed"]


def test_K3_a_peer_may_renew_from_its_side_while_only_one_host_can_be_meant() -> None:
    shared = IkeExchanges()
    flow, second = Flow(A, shared), Flow(B, shared)
    flow.establish()
    assert flow.back(message(OTHER_SPI, 0, MAIN)) == ["exchange", "passed"]
    second.out(message(0x77))
    assert flow.back(message(0x88, 0, MAIN)) == ["refused: unknown-spi"]
    second.now = 60.0
    second.alg.expire(60.0)
    assert flow.back(message(0x88, 0, MAIN)) == ["exchange", "passed"]


def test_K3_an_exchange_without_an_answer_is_soon_forgotten() -> None:
    flow = Flow()
    flow.out(message())
    assert flow.alg.expire(59.9) == ()
    assert flow.alg.expire(60.0) == (SPI,)
    assert flow.back(message(SPI, ANSWER, INIT, RESPONSE)) == ["refused: unknown-spi"]


def test_K3_a_host_that_was_turned_away_is_soon_forgotten() -> None:
    flow = Flow()
    flow.out(message())
    flow.back(message(SPI, ANSWER, INIT, RESPONSE))
    assert flow.alg.expire(60.0) == (SPI,)


def test_K3_an_established_exchange_outlives_silence() -> None:
    flow = Flow()
    flow.establish()
    assert flow.alg.expire(28799.0) == ()
    assert flow.back(message(SPI, ANSWER, INFO, 0, 0)) == ["informational", "passed"]
    assert flow.alg.expire(28800.0) == (SPI,)


def test_K3_a_rekeyed_ike_sa_outlives_silence_after_one_answer() -> None:
    flow = Flow()
    flow.out(message(SPI, ANSWER, INFO, 0, 0))
    flow.back(message(SPI, ANSWER, INFO, RESPONSE, 0))
    assert flow.alg.expire(28799.0) == ()


# K4: NAT-T


def test_K4_the_float_to_4500_goes_on_with_the_same_exchange() -> None:
    shared = IkeExchanges()
    flow, floated, other = Flow(A, shared), Flow(A, shared, 4500), Flow(B, shared, 4500)
    flow.out(message())
    flow.back(message(SPI, ANSWER, INIT, RESPONSE))
    auth = bytes(4) + message(SPI, ANSWER, AUTH, 0, 1)
    assert other.out(auth) == ["refused: spi-in-use"]
    assert floated.out(auth) == ["float", "passed"]
    assert floated.back(bytes(4) + message(SPI, ANSWER, AUTH, RESPONSE, 1)) == ["passed"]
    assert flow.alg.close() == (SPI,)
    assert shared.host_of(OUTSIDE, SPI) == A
    assert floated.alg.close() == (SPI,)
    assert len(shared) == 0


def test_K4_an_exchange_that_begins_on_4500_or_follows_another_there_is_new() -> None:
    flow = Flow(port=4500)
    assert flow.out(bytes(4) + message()) == ["exchange", "passed"]
    assert flow.out(bytes(4) + message(OTHER_SPI, ANSWER, INFO))[0] == "exchange"


def test_K4_what_else_is_on_4500_passes_unread() -> None:
    flow = Flow(port=4500)
    assert flow.out(b"\xff") == ["passed unread"]
    assert flow.back(b"\0\0\1\0" + bytes(60)) == ["passed unread"]
    assert flow.alg.initiator_spis == {}


def test_K4_ike_on_4500_without_its_marker_is_taken_for_esp() -> None:
    assert read_natt(message()) is Natt.ESP
    flow = Flow(port=4500)
    assert flow.out(message()) == ["passed unread"]
    assert flow.alg.initiator_spis == {}


def test_K4_a_marker_on_500_is_no_ike() -> None:
    assert Flow().out(bytes(4) + message()) == ["refused: bad-version"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (b"\xff\xff", "truncated"),
        (bytes(4), "truncated"),
        (bytes(3), "truncated"),
        (bytes(4) + message()[:-1], "truncated"),
        (bytes(4) + message(spi=0), "zero-spi"),
        (bytes(4) + message(length=32), "bad-length"),
    ],
)
def test_K4_malformed_datagrams_on_4500_are_refused(data: bytes, reason: str) -> None:
    assert Flow(port=4500).out(data) == ["refused: " + reason]


# K5: a gateway inside


def test_K5_a_gateway_inside_is_called_by_the_outside_and_calls_it() -> None:
    flow = Flow(is_server=True)
    assert flow.back(message()) == ["exchange", "passed"]
    assert flow.out(message(SPI, ANSWER, INIT, RESPONSE)) == ["passed"]
    assert flow.out(message(OTHER_SPI, 0, MAIN)) == ["exchange", "passed"]
    assert flow.alg.initiator_spis == {SPI: 0.0, OTHER_SPI: 0.0}


def test_K5_strangers_do_not_use_up_the_share_of_the_gateway_inside() -> None:
    shared = IkeExchanges(IkeLimits(per_host=1))
    stranger, own = Flow(A, shared, is_server=True), Flow(A, shared)
    for spi in range(1, 9):
        stranger.back(message(spi))
    assert own.out(message()) == ["exchange", "passed"]
    assert len(stranger.alg.close()) == 8
    assert shared.host_of(OUTSIDE, SPI) == A


def test_K5_an_spi_of_another_inside_host_is_refused() -> None:
    shared = IkeExchanges()
    Flow(B, shared).out(message())
    assert Flow(A, shared, is_server=True).back(message()) == ["refused: spi-in-use"]


def test_K5_a_forged_beginning_is_soon_forgotten_though_it_is_answered() -> None:
    flow = Flow(is_server=True)
    flow.back(message())
    flow.out(message(SPI, ANSWER, INIT, RESPONSE))
    assert flow.alg.expire(60.0) == (SPI,)


# G4: limits


def test_G4_exchanges_of_a_flow_have_a_limit_that_lets_a_host_try_again() -> None:
    flow = Flow(limits=IkeLimits(per_flow=2))
    flow.establish(0x10)
    flow.now = 30.0
    flow.out(message(0x11))
    assert flow.out(message(0x12)) == ["refused: too-many-exchanges"]
    flow.now = 60.0
    assert flow.out(message(0x12)) == ["exchange", "passed"]
    assert set(flow.alg.initiator_spis) == {0x11, 0x12}
    assert flow.alg.expire(60.0) == (0x10,)
    assert flow.alg.expire(60.0) == ()


def test_G4_what_the_outside_begins_leaves_room_for_the_inside() -> None:
    flow = Flow(limits=IkeLimits(per_flow=2))
    flow.establish()
    for spi in (0x20, 0x21):
        assert flow.back(message(spi)) == ["exchange", "passed"]
    assert flow.back(message(0x22)) == ["refused: too-many-exchanges"]
    assert flow.out(message(OTHER_SPI)) == ["exchange", "passed"]


def test_G4_exchanges_of_a_host_and_in_all_have_a_limit() -> None:
    shared = IkeExchanges(IkeLimits(per_host=2, total=3))
    one, two = Flow(A, shared), Flow(B, shared)
    one.out(message(0x10))
    Flow(A, shared, 4500).out(bytes(4) + message(0x11))
    assert one.out(message(0x12)) == ["refused: host-limit"]
    two.out(message(0x20))
    assert two.out(message(0x21)) == ["refused: limit"]
    one.alg.close()
    assert two.out(message(0x21)) == ["exchange", "passed"]


# G7, G9: what is not IKE


@pytest.mark.parametrize(
    "data",
    [b"POST / HTTP/1.1\r\nHost: gateway.example.org\r\n\r\n", b"REGISTER sip:x SIP/2.0\r\n" * 4],
)
def test_G7_another_protocol_on_port_500_is_refused(data: bytes) -> None:
    flow = Flow()
    assert flow.out(data)[0].startswith("refused: ")
    assert flow.alg.initiator_spis == {}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (b"\xff", "truncated"),
        (message()[:27], "truncated"),
        (message(spi=0), "zero-spi"),
        (message(length=27), "bad-length"),
        (message(length=29), "bad-length"),
        (message(length=0), "bad-length"),
        (message(length=0xFFFFFFFF), "bad-length"),
        (message() + b"tail", "bad-length"),
        (message(version=0), "bad-version"),
        (message(version=0x30), "bad-version"),
        (message(version=0xF0), "bad-version"),
        (message(kind=0), "bad-exchange"),
        (message(kind=INIT, version=0x10), "bad-exchange"),
        (message(kind=QUICK, version=0x20), "bad-exchange"),
        (message(kind=QUICK), "zero-responder-spi"),
        (message(kind=AUTH), "zero-responder-spi"),
        (message(kind=CHILD), "zero-responder-spi"),
    ],
)
def test_G9_malformed_messages_are_refused_with_their_reason(data: bytes, reason: str) -> None:
    assert read_header(data) == Malformed(reason)
    assert Flow().out(data) == ["refused: " + reason]


def test_G9_minor_versions_and_exchange_types_to_come_pass() -> None:
    assert Flow().out(message(version=0x2F)) == ["exchange", "passed"]
    assert Flow().out(message(SPI, ANSWER, 43)) == ["exchange", "passed"]


_MESSAGES = st.one_of(
    st.binary(max_size=80),
    st.builds(
        message,
        st.integers(0, 3),
        st.integers(0, 1),
        st.sampled_from([0, MAIN, INFO_V1, QUICK, INIT, AUTH, CHILD, INFO, 250]),
        st.sampled_from([0, RESPONSE]),
        st.integers(0, 2),
        st.binary(max_size=4),
    ),
)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.sampled_from(list(Peer)),
            _MESSAGES,
            st.booleans(),
            st.floats(0, 1e6),
        ),
        max_size=50,
    )
)
def test_G9_nothing_raises_and_no_spi_ever_has_two_hosts(
    events: list[tuple[int, Peer, bytes, bool, float]],
) -> None:
    limits = IkeLimits(per_flow=2, per_host=3, total=4)
    shared = IkeExchanges(limits)
    flows = [
        Flow(host, shared, port, is_server, limits)
        for host, port, is_server in (
            (A, 500, False),
            (B, 500, False),
            (A, 4500, False),
            (B, 4500, False),
            (A, 500, True),
            (A, 4500, True),
        )
    ]
    for index, peer, data, is_marked, now in events:
        flow = flows[index]
        flow.now = now
        flow.say(peer, bytes(4) + data if is_marked else data)
        if data[:1] == b"\0":
            flow.alg.expire(now)
        assert len(flow.alg.initiator_spis) <= 4
        assert len(shared) <= 4
        claimed = [{*flow.alg.initiator_spis} for flow in flows[:4]]
        assert not (claimed[0] | claimed[2]) & (claimed[1] | claimed[3])
    for flow in flows:
        flow.alg.close()
    assert len(shared) == 0
    assert not shared._hosts
    assert not shared._per_host
